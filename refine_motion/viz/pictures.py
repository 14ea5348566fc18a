"""Pictures of a page: grids, one picture switched between versions, and the keys of their colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import torch
from torch import Tensor

from refine_motion.viz.flow import error_to_rgb, flow_key
from refine_motion.viz.markup import Block, PictureKind, figure, image_tag, prose

# The style sheet has a rule for each place.
_MOST_VIEWS = 6
# Twice the size it is shown at, for sharp screens.
_KEY_SIZE = 160


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        image: ``(3, H, W)`` uint8 RGB.
        caption: a few words below it.
        alt: what it shows, for who does not see it.
        kind: ``photo``, or ``colours`` where colours are data: kept exact, and enlarged with its pixels visible.
    """

    image: Tensor
    caption: str
    alt: str
    kind: PictureKind = "photo"

    def html(self) -> str:
        """Markup of the picture, enlarged by a click or the enter key."""
        image = image_tag(self.image, self.alt, self.kind)
        button = f'<button type="button" class="zoom" aria-label="Enlarge: {escape(self.alt)}">{image}</button>'
        return figure(button, self.caption, "picture")


@dataclass(frozen=True)
class PictureGrid:
    """Rows of pictures of equal width; on a narrow screen a row continues below.

    Attributes:
        rows: pictures from left to right, row by row.
        row_titles: one per row, or none.
        caption: prose below it.
        legends: keys of its colours.

    Raises:
        ValueError: there are no pictures, or the row titles are not one per row.
    """

    rows: Sequence[Sequence[Picture]]
    row_titles: Sequence[str] = ()
    caption: str = ""
    legends: Sequence[Block] = ()

    def __post_init__(self) -> None:
        if not self.rows or not all(self.rows):
            raise ValueError("a grid needs pictures in each of its rows")
        if self.row_titles and len(self.row_titles) != len(self.rows):
            raise ValueError(f"{len(self.row_titles)} row titles for {len(self.rows)} rows")

    def html(self) -> str:
        """Markup of the grid."""
        columns = max(len(row) for row in self.rows)
        parts = []
        for index, row in enumerate(self.rows):
            if self.row_titles:
                parts.append(f'<p class="row-title">{prose(self.row_titles[index])}</p>')
            pictures = "".join(picture.html() for picture in row)
            parts.append(f'<div class="row" style="--columns: {columns}">{pictures}</div>')
        return figure("\n".join(parts) + _legends_html(self.legends), self.caption, "wide")


@dataclass(frozen=True)
class Compare:
    """The same picture in several versions in one place, switched by mouse or arrow keys; all of them in print.

    Attributes:
        images: by name, ``(3, H, W)`` uint8 RGB of one size.
        caption: prose below it; the names and it are what a screen reader says.
        kind: see :class:`Picture`.
        legends: keys of its colours.

    Raises:
        ValueError: there are less than two or more than six images, or they differ in size.
    """

    images: Mapping[str, Tensor]
    caption: str
    kind: PictureKind = "colours"
    legends: Sequence[Block] = ()

    def __post_init__(self) -> None:
        if not 2 <= len(self.images) <= _MOST_VIEWS:
            raise ValueError(f"2 to {_MOST_VIEWS} images can be compared, not {len(self.images)}")
        if len({image.shape for image in self.images.values()}) > 1:
            raise ValueError("images to compare have one size")

    def html(self) -> str:
        """Markup of the switch and its pictures."""
        switch, views = "", ""
        for index, (name, image) in enumerate(self.images.items()):
            checked = "" if index else " checked"
            switch += f'<label><input type="radio" name="view"{checked}>{escape(name)}</label>'
            picture = image_tag(image, f"{name}: {self.caption}", self.kind)
            views += f'<div class="view">{picture}<p>{escape(name)}</p></div>'
        # A form of its own keeps the radio buttons of two comparisons apart; of this method it goes nowhere.
        body = (
            '<form class="compare" method="dialog" autocomplete="off">'
            f'<fieldset><legend class="unseen">Version shown</legend>{switch}</fieldset>'
            f'<div class="views">{views}</div></form>'
        )
        return figure(body + _legends_html(self.legends), self.caption, "narrow")


@dataclass(frozen=True)
class FlowKey:
    """The key of pictures by :func:`refine_motion.viz.flow.flow_to_rgb`.

    Attributes:
        max_speed: their speed of full saturation, pixels.
    """

    max_speed: float

    def html(self) -> str:
        """Markup of the disc and what it says."""
        alt = "Disc of flow colours: right is red, down is yellow, left is cyan, up is violet, the centre is white."
        disc = image_tag(flow_key(_KEY_SIZE), alt, "colours")
        words = f"<b>Flow</b><br>centre: still<br>rim: {self.max_speed:.3g}&nbsp;px<br>darker: faster"
        return f'<div class="legend flow-key">{disc}<p>{words}</p></div>'


@dataclass(frozen=True)
class ErrorScale:
    """The key of pictures by :func:`refine_motion.viz.flow.error_to_rgb`.

    Attributes:
        max_error: their error of the brightest colour, pixels.
    """

    max_error: float

    def html(self) -> str:
        """Markup of the bar and its numbers."""
        colours = error_to_rgb(torch.linspace(0, 1, 256).view(1, 256), max_error=1.0)
        bar = image_tag(colours, "Bar of error colours: black, violet, orange, light yellow.", "colours")
        numbers = "".join(f"<span>{sign}{part * self.max_error:.3g}</span>" for sign, part in _ERROR_TICKS)
        words = "<b>Error, px</b> (grey: not known)"
        return f'<div class="legend error-scale"><p>{words}</p>{bar}<p class="ticks">{numbers}</p></div>'


_ERROR_TICKS = (("", 0.0), ("", 0.5), ("≥&nbsp;", 1.0))


def _legends_html(legends: Sequence[Block]) -> str:
    return f'<div class="legends">{"".join(legend.html() for legend in legends)}</div>' if legends else ""
