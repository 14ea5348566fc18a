"""What the textures of a domain have in common: colours, contrast, fineness, and which kinds there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.draw import uniform

Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """Ranges from which each texture draws its own numbers.

    Attributes:
        kinds: weight of each kind of texture; names in :data:`refine_motion.benchmarks.synthetic.textures.KINDS`.
        hue: in turns; 0 is red, 1/3 green, 2/3 blue; a range over 1 wraps round.
        saturation: 0 grey to 1.
        lightness: grey levels of the darkest and the lightest colour, which differ by at most this range.
        contrast: factor on the differences of a texture from its own mean.
        grain: strength of the finer octaves.
        finest: size in pixels of the finest structures' cells.
    """

    kinds: Mapping[str, float] = field(
        default_factory=lambda: {"noise": 2.0, "stripes": 1.0, "blobs": 1.0, "glyphs": 1.0}
    )
    hue: Range = (0.0, 1.0)
    saturation: Range = (0.25, 0.85)
    lightness: Range = (35.0, 220.0)
    contrast: Range = (1.0, 1.0)
    grain: Range = (0.3, 1.0)
    finest: Range = (5.5, 8.0)


def palette(source: Generator, count: int, style: Style) -> Tensor:
    """``(count, 3)`` RGB colours, 0..255, spread in hue and in lightness within a style."""
    low, high = style.hue
    middle = uniform(source, low, high)
    # Neighbouring hues within one texture, as most things have.
    hue = middle + (torch.rand(count, generator=source) - 0.5) * min(0.6, high - low)
    darkest, lightest = style.lightness
    lightness = (torch.randperm(count, generator=source) + 0.5) / count * (lightest - darkest) + darkest
    least, most = style.saturation
    saturation = least + (most - least) * torch.rand(count, generator=source)
    wheel = torch.cos(2 * torch.pi * (hue[:, None] - torch.tensor([0.0, 1 / 3, 2 / 3])))
    return (lightness[:, None] * (1 + 0.75 * saturation[:, None] * wheel)).clamp(0, 255)
