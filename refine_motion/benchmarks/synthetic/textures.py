"""Textures defined at every real coordinate, so that a moved layer is rendered without resampling an image.

The finest structure repeats no faster than once in about 8 px, so that brightness constancy survives the pixel grid.
Coordinates are ``(2, h, w)`` (x, y) in texture units, which are pixels where the scale is 1; colours are ``(3, h, w)``
grey levels, not yet clipped to 0..255.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.affine import affine
from refine_motion.benchmarks.synthetic.draw import integer, palette, uniform
from refine_motion.motion.grid import sample

_LATTICE = 48  # Cells along a side before a lattice repeats.
_SPOT_EDGE = 4.0  # Units over which a spot fades: narrower edges would alias.


class Field(Protocol):
    """A colour for every coordinate."""

    def __call__(self, xy: Tensor) -> Tensor:
        """Colours ``(3, h, w)`` at ``xy`` ``(2, h, w)``."""
        ...


@dataclass(frozen=True)
class Noise:
    """Value noise: octaves of random colours on turned lattices, joined by a cubic step.

    Attributes:
        tables: ``(octaves, 3, lattice + 1, lattice + 1)``, last row and column repeat the first.
        place: ``(octaves, 2, 3)`` from coordinates to lattice cells.
    """

    tables: Tensor
    place: Tensor

    def __call__(self, xy: Tensor) -> Tensor:
        """See :class:`Field`."""
        cells = affine(self.place, xy)
        corner = cells.floor()
        part = cells - corner
        # Bilinear sampling of the lattice at eased coordinates is exactly the noise with eased weights.
        eased = corner.remainder(_LATTICE) + part * part * (3 - 2 * part)
        return sample(self.tables, eased).sum(0)


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
        place: ``(2, 3)`` from coordinates to cells.
        spots: ``(lattice * lattice, 6)``: centre x, y and radius in cells, then the colour added.
    """

    base: Field
    cell: float
    place: Tensor
    spots: Tensor

    def __call__(self, xy: Tensor) -> Tensor:
        """See :class:`Field`."""
        cells = affine(self.place, xy)
        corner = cells.floor()
        column, row = corner.remainder(_LATTICE).long()
        spot = self.spots[row * _LATTICE + column].permute(2, 0, 1)
        distance = torch.hypot(*(cells - corner - spot[:2]))
        rise = ((spot[2] - distance) * (self.cell / _SPOT_EDGE)).clamp(0, 1)
        return self.base(xy) + spot[3:] * (rise * rise * (3 - 2 * rise))


def random_texture(source: Generator, device: torch.device | str = "cpu") -> Field:
    """Noise alone, or under stripes or blobs, in a palette of its own."""
    base = _random_noise(source, device)
    kind = integer(source, 0, 3)
    if kind == 0:
        return _random_stripes(base, source, device)
    if kind == 1:
        return _random_blobs(base, source, device)
    return base


def _placed(source: Generator, angle: float, cell: float) -> Tensor:
    """``(2, 3)`` map to the cells of a turned lattice, shifted at random."""
    cosine, sine = math.cos(angle) / cell, math.sin(angle) / cell
    x, y = uniform(source, 0, _LATTICE), uniform(source, 0, _LATTICE)
    return torch.tensor([[cosine, -sine, x], [sine, cosine, y]])


def _random_noise(source: Generator, device: torch.device | str) -> Noise:
    colours = palette(source, 5)
    sizes = [uniform(source, 28, 60), uniform(source, 12, 20), uniform(source, 5.5, 8)]
    grain = uniform(source, 0.3, 1.0)
    tables = [colours[torch.randint(0, 5, (_LATTICE, _LATTICE), generator=source)].permute(2, 0, 1)]
    for amplitude in (grain * 75, grain * 45):
        light = torch.rand((1, _LATTICE, _LATTICE), generator=source) * 2 - 1
        tint = torch.rand((3, _LATTICE, _LATTICE), generator=source) * 2 - 1
        tables.append(amplitude * (0.75 * light + 0.25 * tint))
    table = torch.nn.functional.pad(torch.stack(tables), (0, 1, 0, 1), mode="circular")
    # Turned lattices hide the grid; the odd angles keep the octaves' axes apart.
    first = uniform(source, 0, math.pi)
    place = torch.stack([_placed(source, first + 0.9 * octave, size) for octave, size in enumerate(sizes)])
    return Noise(table.to(device), place.to(device))


def _random_stripes(base: Field, source: Generator, device: torch.device | str) -> Stripes:
    colour = palette(source, 2).diff(dim=0)[0] * uniform(source, 0.15, 0.4)
    angle, pitch = uniform(source, 0, math.pi), 2 * math.pi / uniform(source, 16, 40)
    wave = (pitch * math.cos(angle), pitch * math.sin(angle))
    return Stripes(base, colour.view(3, 1, 1).to(device), wave, uniform(source, 0, 1.5))


def _random_blobs(base: Field, source: Generator, device: torch.device | str) -> Blobs:
    cell = uniform(source, 14, 36)
    count = _LATTICE * _LATTICE
    radius = 0.2 + 0.28 * torch.rand((count, 1), generator=source)
    centre = radius + (1 - 2 * radius) * torch.rand((count, 2), generator=source)
    sign = (torch.rand((count, 1), generator=source) < 0.5).float() * 2 - 1
    colour = sign * palette(source, 4)[torch.randint(0, 4, (count,), generator=source)] * 0.5
    spots = torch.cat((centre, radius, colour), dim=1)
    place = _placed(source, uniform(source, 0, math.pi), cell)
    return Blobs(base, cell, place.to(device), spots.to(device))
