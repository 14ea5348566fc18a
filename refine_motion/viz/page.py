"""One self-contained HTML page of results: its frame, its text blocks and the writer.

Tables are in :mod:`refine_motion.viz.table`, pictures in :mod:`refine_motion.viz.pictures`, moving ones in
:mod:`refine_motion.viz.animate`, line charts in :mod:`refine_motion.viz.curves`. A page holds all that it shows and
forbids itself every request.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path

from refine_motion.files import replacing
from refine_motion.viz.markup import Block, figure, prose


@dataclass
class Page:
    """A page of results.

    Attributes:
        title: the only heading of first rank, and the name in the browser's tab.
        lead: one paragraph that says what was found.
        blocks: what follows, in order; the titles of sections are also listed below the lead.
    """

    title: str
    lead: str
    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> None:
        """Put blocks at the end.

        Raises:
            ValueError: two sections would have the same address.
        """
        for block in blocks:
            if isinstance(block, Section) and block.anchor in {one.anchor for one in self._sections()}:
                raise ValueError(f"the page already has a section {block.title!r}")
            self.blocks.append(block)

    def html(self) -> str:
        """The whole document; the same blocks give the same text."""
        style, script = (_resource(name) for name in ("page_style.css", "page_script.js"))
        links = "".join(f'<li><a href="#{one.anchor}">{escape(one.title)}</a></li>' for one in self._sections())
        contents = f'<nav aria-label="Sections"><ul>{links}</ul></nav>' if links else ""
        body = "\n".join(block.html() for block in self.blocks)
        return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(self.title)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<header>
<h1>{escape(self.title)}</h1>
<p class="lead">{prose(self.lead)}</p>
{contents}
</header>
<main>
{body}
</main>
<footer><p>This page holds everything that it shows. It asks nothing of the network.</p></footer>
<script>{script}</script>
</body>
</html>
"""

    def write(self, path: str | Path) -> Path:
        """Write the page, whole or not at all; folders are made.

        Returns:
            The path.

        Raises:
            OSError: the file cannot be written.
        """
        path = Path(path)
        # File names that are not UTF-8 reach Python as lone surrogates, which no encoding can write.
        data = self.html().encode("utf-8", "replace")
        with replacing(path) as aside:
            aside.write_bytes(data)
        return path

    def _sections(self) -> list[Section]:
        return [block for block in self.blocks if isinstance(block, Section)]


@dataclass(frozen=True)
class Section:
    """A part of the page with its own heading and address.

    Attributes:
        title: heading.
        text: paragraphs below it, an empty line between them.
        blocks: what follows.
    """

    title: str
    text: str = ""
    blocks: Sequence[Block] = ()

    @property
    def anchor(self) -> str:
        """Its address within the page.

        >>> Section("Before & after").anchor
        'before-after'
        """
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")

    def html(self) -> str:
        """Markup of the section."""
        body = "\n".join((Text(self.text).html(), *(block.html() for block in self.blocks)))
        head = f'<h2 id="{self.anchor}">{escape(self.title)}</h2>'
        return f'<section aria-labelledby="{self.anchor}">\n{head}\n{body}\n</section>'


@dataclass(frozen=True)
class Text:
    """Paragraphs, an empty line between them; words between back-ticks are set as code."""

    text: str

    def html(self) -> str:
        """Markup of the paragraphs."""
        paragraphs = re.split(r"\n\s*\n", self.text.strip())
        return "\n".join(f"<p>{prose(one)}</p>" for one in paragraphs if one)


@dataclass(frozen=True)
class KeyFigures:
    """The few numbers to remember, set large.

    Attributes:
        figures: by what it is, such as ``mean error after``, the number with its unit.
    """

    figures: Mapping[str, str]

    def html(self) -> str:
        """Markup of the list."""
        return _definitions(self.figures, "key-figures")


@dataclass(frozen=True)
class Facts:
    """Names and values: machine, versions, seed, times.

    Attributes:
        facts: values by name.
    """

    facts: Mapping[str, str | int | float]

    def html(self) -> str:
        """Markup of the list."""
        return _definitions(self.facts, "facts")


@dataclass(frozen=True)
class Command:
    """A command to copy.

    Attributes:
        text: the command, of one or several lines.
        caption: prose below it.
    """

    text: str
    caption: str = ""

    def html(self) -> str:
        """Markup of the command; its button appears where scripts run."""
        button = '<button type="button" class="copy" hidden>Copy</button>'
        code = f'<pre tabindex="0" role="region" aria-label="Command"><code>{escape(self.text)}</code></pre>'
        return figure(f'<div class="command">{code}{button}</div>', self.caption, "narrow")


def _definitions(values: Mapping[str, str | int | float], name: str) -> str:
    items = "".join(f"<div><dt>{prose(key)}</dt><dd>{prose(str(value))}</dd></div>" for key, value in values.items())
    return f'<dl class="{name}">{items}</dl>'


def _policy(script: str) -> str:
    """What the page may do: show pictures that it holds, be styled, run its one script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _resource(name: str) -> str:
    return (files("refine_motion.viz") / name).read_text(encoding="utf-8")
