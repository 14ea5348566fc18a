"""Tables of a page: numbers that stand under one another, and changes told in words."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape

from refine_motion.viz.markup import figure, prose

_NUMBER_LIKE = re.compile(r"[~<>≤≥±+−-]?\s?\d")
# Of the smallest number of a column, and at most so many decimals.
_DIGITS = 3
_MOST_DECIMALS = 4
# Narrow no-break space.
_THIN = "\u202f"


@dataclass(frozen=True)
class Change:
    """A relative change, written with its sign and the word better or worse.

    Attributes:
        relative: -0.25 for a quarter less.
        lower_is_better: true of errors, false of accuracies.

    >>> Change(-0.25).words()[1], Change(-0.25, lower_is_better=False).words()[1]
    ('better', 'worse')
    """

    relative: float
    lower_is_better: bool = True

    def words(self) -> tuple[str, str]:
        """The number, and ``better``, ``worse`` or, where it rounds to nothing, ``same``."""
        if not math.isfinite(self.relative):
            return "–", "unknown"
        percent = round(100 * self.relative, 1)
        if percent == 0:
            return f"±0.0{_THIN}%", "same"
        sign = "−" if percent < 0 else "+"
        return f"{sign}{abs(percent):.1f}{_THIN}%", "better" if (percent < 0) == self.lower_is_better else "worse"


Cell = str | int | float | Change | None


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Attributes:
        headings: one per column.
        rows: text, integers, floats (of one column with the same decimals: three digits of the smallest), changes, or
            None for what is not known. A column is flush right where all that is known in it begins like a number.
        caption: prose below it, which also names the table to a screen reader.
        emphasis: indices of rows in bold.

    Raises:
        ValueError: a row has not one cell per heading, or there is no row to emphasise.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str
    emphasis: Collection[int] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headings):
                raise ValueError(f"{len(row)} cells for {len(self.headings)} headings: {row}")
        if missing := [index for index in self.emphasis if not 0 <= index < len(self.rows)]:
            raise ValueError(f"no rows {missing} to emphasise, of {len(self.rows)}")

    def html(self) -> str:
        """Markup of the table, in a box that scrolls where the window is narrower."""
        columns = [[row[index] for row in self.rows] for index in range(len(self.headings))]
        names = [' class="number"' if _is_numeric(column) else "" for column in columns]
        decimals = [_decimals(column) for column in columns]
        head = "".join(
            f'<th scope="col"{name}>{prose(text)}</th>' for text, name in zip(self.headings, names, strict=True)
        )
        body = ""
        for index, row in enumerate(self.rows):
            first, *others = (_cell_html(cell, places) for cell, places in zip(row, decimals, strict=True))
            line = f'<th scope="row"{names[0]}>{first}</th>'
            line += "".join(f"<td{name}>{cell}</td>" for cell, name in zip(others, names[1:], strict=True))
            body += f'<tr class="emphasis">{line}</tr>' if index in self.emphasis else f"<tr>{line}</tr>"
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        box = f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(self.caption)}">{table}</div>'
        return figure(box, self.caption, "table")


def _is_numeric(column: Sequence[Cell]) -> bool:
    known = [cell for cell in column if cell is not None]
    return bool(known) and all(not isinstance(cell, str) or _NUMBER_LIKE.match(cell) for cell in known)


def _decimals(column: Sequence[Cell]) -> int:
    sizes = [abs(cell) for cell in column if isinstance(cell, float) and cell and math.isfinite(cell)]
    return min(_MOST_DECIMALS, max(0, _DIGITS - 1 - math.floor(math.log10(min(sizes))))) if sizes else 0


def _cell_html(cell: Cell, decimals: int) -> str:
    if isinstance(cell, Change):
        number, word = cell.words()
        return f'{number} <span class="verdict {word}">{word}</span>'
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return '<span title="not known">–</span>'
    if isinstance(cell, str):
        return prose(cell)
    text = f"{cell:,.{decimals}f}" if isinstance(cell, float) else f"{cell:,}"
    return text.replace(",", _THIN).replace("-", "−")
