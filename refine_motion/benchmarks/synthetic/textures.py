"""Textures defined at every real coordinate, so that a moved layer is rendered without resampling an image.

Coordinates are ``(2, h, w)`` (x, y) in texture units, which are pixels where the scale is 1; colours are ``(3, h, w)``
grey levels, not yet clipped to 0..255.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.affine import affine
from refine_motion.benchmarks.synthetic.draw import choice, uniform
from refine_motion.benchmarks.synthetic.styles import Style, palette
from refine_motion.motion.grid import sample

_LATTICE = 48  # Cells along a side before a lattice repeats.


class Field(Protocol):
    """A colour for every coordinate."""

    def __call__(self, xy: Tensor) -> Tensor:
        """Colours ``(3, h, w)`` at ``xy`` ``(2, h, w)``."""
        ...


@dataclass(frozen=True)
class Noise:
    """Value noise: octaves of random colours on turned lattices, joined by a cubic step.

    Attributes:
        tables: ``(octaves, channels, lattice + 1, lattice + 1)``, last row and column repeat the first.
        place: ``(octaves, 2, 3)`` from coordinates to lattice cells.
    """

    tables: Tensor
    place: Tensor

    def __call__(self, xy: Tensor) -> Tensor:
        """See :class:`Field`; as many channels as the tables have."""
        cells = affine(self.place, xy)
        corner = cells.floor()
        # In place, since this is most of the time of a frame.
        part = cells.sub_(corner)
        ease = part * part
        ease *= part.mul_(-2).add_(3)
        # Bilinear sampling of the lattice at eased coordinates is exactly the noise with eased weights.
        return sample(self.tables, corner.remainder_(_LATTICE).add_(ease)).sum(0)


@dataclass(frozen=True)
class Stripes:
    """Smooth-edged, gently bent stripes over another field.

    Attributes:
        base: what they lie on.
        colour: ``(3, 1, 1)`` half the difference between the two bands.
        wave: radians per unit along x and y.
        bend: radians by which the stripes swing to and fro.
    """

    base: Field
    colour: Tensor
    wave: tuple[float, float]
    bend: float

    def __call__(self, xy: Tensor) -> Tensor:
        """See :class:`Field`."""
        across = self.wave[0] * xy[0] + self.wave[1] * xy[1]
        along = self.wave[0] * xy[1] - self.wave[1] * xy[0]
        band = torch.tanh(2 * torch.sin(across + self.bend * torch.sin(0.3 * along)))
        return self.base(xy) + self.colour * band


@dataclass(frozen=True)
class Blobs:
    """Round spots over another field, one in every cell of a turned lattice and wholly inside it.

    Attributes:
        base: what they lie on.
        cell: side of a cell in units.
        edge: units over which a spot fades; narrower ones than 2 px alias.
        place: ``(2, 3)`` from coordinates to cells.
        spots: ``(6, lattice * lattice)``: centre x, y and radius in cells, then the colour added.
    """

    base: Field
    cell: float
    edge: float
    place: Tensor
    spots: Tensor

    def __call__(self, xy: Tensor) -> Tensor:
        """See :class:`Field`."""
        part, spot = _in_cells(self.place, self.spots, xy)
        distance = torch.hypot(*(part - spot[:2]))
        return self.base(xy) + spot[3:] * _step((spot[2] - distance) * (self.cell / self.edge))


@dataclass(frozen=True)
class Glyphs:
    """Sign-like figures of a few strokes over another field, one in every cell of a turned lattice.

    Attributes:
        base: what they are written on.
        cell: side of a cell in units.
        width: half the width of a stroke in units.
        place: ``(2, 3)`` from coordinates to cells.
        signs: ``(2 * corners + 3, lattice * lattice)``: the corners of one line in cells, then the colour added.
    """

    base: Field
    cell: float
    width: float
    place: Tensor
    signs: Tensor

    def __call__(self, xy: Tensor) -> Tensor:
        """See :class:`Field`."""
        part, sign = _in_cells(self.place, self.signs, xy)
        corners = sign[:-3].unflatten(0, (-1, 2))
        nearest = torch.full_like(part[0], self.cell)
        for first, second in pairwise(corners):
            stroke, away = second - first, part - first
            along = ((stroke * away).sum(0) / (stroke * stroke).sum(0).clamp_(min=1e-6)).clamp_(0, 1)
            nearest = torch.minimum(nearest, torch.hypot(*(away - along * stroke)))
        return self.base(xy) + sign[-3:] * _step((self.width - nearest * self.cell) / _STROKE_EDGE + 0.5)


@dataclass(frozen=True)
class Veins:
    """Branching dark lines over another field, where a slow noise crosses zero.

    Attributes:
        base: what they run through.
        noise: one channel, about -1..1.
        colour: ``(3, 1, 1)`` added in the middle of a vein.
        width: of a vein, in the noise's own values.
    """

    base: Field
    noise: Noise
    colour: Tensor
    width: float

    def __call__(self, xy: Tensor) -> Tensor:
        """See :class:`Field`."""
        return self.base(xy) + self.colour / (1 + (self.noise(xy) / self.width).square())


_STROKE_EDGE = 2.0
_CORNERS = 4


def random_texture(source: Generator, style: Style | None = None, device: torch.device | str = "cpu") -> Field:
    """A texture of one of the style's kinds, in a palette of its own.

    Args:
        source: where the numbers come from.
        style: what the domain's textures have in common.
        device: where it is evaluated.
    """
    style = Style() if style is None else style
    contrast = uniform(source, *style.contrast)
    base = _random_noise(source, style, contrast, device)
    return KINDS[choice(source, style.kinds)](base, source, style, contrast, device)


def _random_noise(source: Generator, style: Style, contrast: float, device: torch.device | str) -> Noise:
    colours = palette(source, 5, style)
    colours = colours.mean(0) + contrast * (colours - colours.mean(0))
    sizes = [uniform(source, 28, 60), uniform(source, 12, 20), uniform(source, *style.finest)]
    grain = uniform(source, *style.grain) * contrast
    tables = [colours[torch.randint(0, 5, (_LATTICE, _LATTICE), generator=source)].permute(2, 0, 1)]
    tint_share = 0.25 * min(1.0, style.saturation[1])
    for amplitude in (grain * 75, grain * 45):
        light = torch.rand((1, _LATTICE, _LATTICE), generator=source) * 2 - 1
        tint = torch.rand((3, _LATTICE, _LATTICE), generator=source) * 2 - 1
        tables.append(amplitude * ((1 - tint_share) * light + tint_share * tint))
    return _noise(source, torch.stack(tables), sizes, device)


def _noise(source: Generator, tables: Tensor, sizes: list[float], device: torch.device | str) -> Noise:
    table = torch.nn.functional.pad(tables, (0, 1, 0, 1), mode="circular")
    # Turned lattices hide the grid; the odd angles keep the octaves' axes apart.
    first = uniform(source, 0, math.pi)
    place = torch.stack([_placed(source, first + 0.9 * octave, size) for octave, size in enumerate(sizes)])
    return Noise(table.to(device), place.to(device))


def _plain(base: Noise, source: Generator, style: Style, contrast: float, device: torch.device | str) -> Field:
    return base


def _stripes(base: Noise, source: Generator, style: Style, contrast: float, device: torch.device | str) -> Field:
    colour = palette(source, 2, style).diff(dim=0)[0] * uniform(source, 0.15, 0.4) * contrast
    angle, pitch = uniform(source, 0, math.pi), 2 * math.pi / uniform(source, 16, 40)
    wave = (pitch * math.cos(angle), pitch * math.sin(angle))
    return Stripes(base, colour.view(3, 1, 1).to(device), wave, uniform(source, 0, 1.5))


def _blobs(base: Noise, source: Generator, style: Style, contrast: float, device: torch.device | str) -> Field:
    cell = uniform(source, 14, 36)
    radius = 0.2 + 0.28 * torch.rand((_CELLS, 1), generator=source)
    colour = _added_colours(source, style) * 0.5 * contrast
    return _spots(base, cell, 4.0, radius, colour, source, device)


def _dots(base: Noise, source: Generator, style: Style, contrast: float, device: torch.device | str) -> Field:
    """Two lattices of small bright particles, as tracers in a light sheet."""
    found: Field = base
    for low, high in ((6.0, 8.0), (8.0, 12.0)):
        cell = uniform(source, low, high)
        # In units: particles are about as large whatever the spacing. Some cells stay empty.
        radius = (1.2 + 1.2 * torch.rand((_CELLS, 1), generator=source)) / cell
        lit = torch.rand((_CELLS, 1), generator=source)
        colour = (60 + 180 * lit) * (lit > 0.25) * contrast
        found = _spots(found, cell, 2.0, radius, colour.expand(-1, 3), source, device)
    return found


def _glyphs(base: Noise, source: Generator, style: Style, contrast: float, device: torch.device | str) -> Field:
    cell = uniform(source, 18, 40)
    width = uniform(source, 0.05, 0.1) * cell
    # Off the border by the width of a stroke, so that no sign is cut.
    margin = (width + _STROKE_EDGE) / cell
    corners = margin + (1 - 2 * margin) * torch.rand((2 * _CORNERS, _CELLS), generator=source)
    signs = torch.cat((corners, _added_colours(source, style).T * 0.6 * contrast))
    return Glyphs(base, cell, width, _placed(source, uniform(source, 0, math.pi), cell).to(device), signs.to(device))


def _veins(base: Noise, source: Generator, style: Style, contrast: float, device: torch.device | str) -> Field:
    tables = torch.rand((2, 1, _LATTICE, _LATTICE), generator=source) * 2 - 1
    tables[1] *= 0.35
    noise = _noise(source, tables, [uniform(source, 40, 60), uniform(source, 16, 24)], device)
    colour = torch.tensor([-40.0, -75.0, -60.0]) * uniform(source, 0.6, 1.0) * contrast
    return Veins(base, noise, colour.view(3, 1, 1).to(device), uniform(source, 0.05, 0.1))


KINDS: dict[str, Callable[[Noise, Generator, Style, float, torch.device | str], Field]] = {
    "noise": _plain,
    "stripes": _stripes,
    "blobs": _blobs,
    "dots": _dots,
    "glyphs": _glyphs,
    "veins": _veins,
}
_CELLS = _LATTICE * _LATTICE


def _spots(
    base: Field,
    cell: float,
    edge: float,
    radius: Tensor,
    colour: Tensor,
    source: Generator,
    device: torch.device | str,
) -> Blobs:
    centre = radius + (1 - 2 * radius) * torch.rand((_CELLS, 2), generator=source)
    spots = torch.cat((centre, radius, colour), dim=1).T.contiguous()
    place = _placed(source, uniform(source, 0, math.pi), cell)
    return Blobs(base, cell, edge, place.to(device), spots.to(device))


def _added_colours(source: Generator, style: Style) -> Tensor:
    """``(cells, 3)``: some lighten, some darken."""
    sign = (torch.rand((_CELLS, 1), generator=source) < 0.5).float() * 2 - 1
    return sign * palette(source, 4, style)[torch.randint(0, 4, (_CELLS,), generator=source)]


def _placed(source: Generator, angle: float, cell: float) -> Tensor:
    """``(2, 3)`` map to the cells of a turned lattice, shifted at random."""
    cosine, sine = math.cos(angle) / cell, math.sin(angle) / cell
    x, y = uniform(source, 0, _LATTICE), uniform(source, 0, _LATTICE)
    return torch.tensor([[cosine, -sine, x], [sine, cosine, y]])


def _in_cells(place: Tensor, table: Tensor, xy: Tensor) -> tuple[Tensor, Tensor]:
    """Position within the cell ``(2, h, w)``, and what the cell holds ``(values, h, w)``."""
    cells = affine(place, xy)
    corner = cells.floor()
    column, row = corner.remainder(_LATTICE).long()
    held = table.index_select(1, (row * _LATTICE + column).flatten())
    return cells - corner, held.unflatten(1, xy.shape[1:])


def _step(level: Tensor) -> Tensor:
    """Smooth from 0 to 1 as the level rises from 0 to 1."""
    level = level.clamp(0, 1)
    return level * level * (3 - 2 * level)
