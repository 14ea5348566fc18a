"""The look of worn film."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.draw import generator, integer, uniform
from refine_motion.benchmarks.synthetic.looks.pieces import Key, blur, grey, kernel, random_seed, spots, vignette, white

_GRAIN_SIZE = 0.6  # Standard deviation of the blur that makes white noise grains of about 1.5 px.
_middle, *_sides = kernel(_GRAIN_SIZE)
_GRAIN_LEFT = _middle**2 + 2 * sum(side**2 for side in _sides)  # Standard deviation of white noise after that blur.


@dataclass(frozen=True)
class Scratch:
    """A vertical line that wanders to and fro and is there part of the time.

    Attributes:
        x: where it stands on average, in shares of the width.
        swing: how far it wanders, in pixels.
        turn: radians per frame of that.
        phase: radians at frame 0.
        width: standard deviation in pixels.
        level: added to the picture in its middle, in grey levels.
    """

    x: float
    swing: float
    turn: float
    phase: float
    width: float
    level: float

    def across(self, width: int, t: int) -> Tensor:
        """``(width,)`` grey levels to add to every row of frame ``t``."""
        angle = self.turn * t + self.phase
        middle = self.x * (width - 1) + self.swing * (math.sin(angle) + 0.4 * math.sin(2.7 * angle))
        # It comes and goes in a rhythm that is not that of its way.
        strength = min(max(0.5 + 1.5 * math.sin(0.61 * angle + 1), 0), 1)
        return self.level * strength * torch.exp(-0.5 * ((torch.arange(width) - middle) / self.width) ** 2)


@dataclass(frozen=True)
class OldFilm:
    """Soft grey or sepia film with grain, flicker, scratches, and dust in single frames.

    Attributes:
        tone: RGB of white, in shares of 255.
        contrast: factor on the distance from mid-grey.
        softness: standard deviation of the blur in pixels.
        shade: share of the light lost in the corners, 0..1.
        grain: standard deviation of the grain at mid-grey in grey levels; black and white have a third of it.
        flicker: standard deviation of the brightness from frame to frame, relative.
        scratches: lines along the film.
        dust: mean count of specks in a frame.
        seed: what grain, flicker and dust are drawn from.
    """

    tone: tuple[float, float, float]
    contrast: float
    softness: float
    shade: float
    grain: float
    flicker: float
    scratches: tuple[Scratch, ...]
    dust: float
    seed: int

    def __call__(self, image: Tensor, depth: Tensor, t: int) -> Tensor:
        """See :class:`~refine_motion.benchmarks.synthetic.looks.base.Look`."""
        film = blur(grey(image), self.softness).sub_(127.5).mul_(self.contrast).add_(127.5)
        share = film.div(255).clamp_(0, 1)
        grains = blur(white(Key.GRAIN, self.seed, t, film), _GRAIN_SIZE)
        # Most grain shows in the mid-tones.
        film.add_(grains.mul_((1 - share).mul_(share).mul_(8 / 3).add_(1 / 3)), alpha=self.grain / _GRAIN_LEFT)
        for scratch in self.scratches:
            film.add_(scratch.across(film.shape[1], t).to(film))
        self._add_dust(film, t)
        # A scratch that reaches the base leaves clear film: nothing is brighter.
        film.clamp_(0, 255)
        flash = torch.randn((), generator=generator(Key.FLICKER, self.seed, t)).clamp(-2.5, 2.5).item()
        film.mul_(vignette(film, self.shade)).mul_(1 + self.flicker * flash)
        return film * film.new_tensor(self.tone)[:, None, None]

    def _add_dust(self, film: Tensor, t: int) -> None:
        source = generator(Key.DUST, self.seed, t)
        count = int(torch.poisson(torch.tensor(self.dust), generator=source).item())
        centre = torch.rand((count, 2), generator=source)
        radius = 0.6 + 2.4 * torch.rand((count, 2), generator=source).square()
        level = torch.where(torch.rand(count, generator=source) < 0.7, 20.0, 235.0)
        for speck, shade in zip(spots(centre, radius, film).mul_(1.6).clamp_(max=1), level.tolist(), strict=True):
            film.lerp_(film.new_tensor(shade), speck)


def random_old_film(source: Generator) -> OldFilm:
    """Grey or sepia film, more or less worn."""
    fade = uniform(source, 0.1, 0.3) * integer(source, 0, 1)
    return OldFilm(
        tone=(1.0, 1 - 0.5 * fade, 1 - 1.3 * fade),
        contrast=uniform(source, 0.8, 1.2),
        softness=uniform(source, 0.8, 1.2),
        shade=uniform(source, 0.3, 0.6),
        grain=uniform(source, 5, 12),
        flicker=uniform(source, 0.02, 0.07),
        scratches=tuple(_random_scratch(source) for _ in range(integer(source, 1, 4))),
        dust=uniform(source, 1.5, 6),
        seed=random_seed(source),
    )


def _random_scratch(source: Generator) -> Scratch:
    return Scratch(
        x=uniform(source, 0, 1),
        swing=uniform(source, 1, 8),
        turn=2 * math.pi / uniform(source, 12, 60),
        phase=uniform(source, 0, 2 * math.pi),
        width=uniform(source, 0.5, 0.9),
        level=uniform(source, 40, 90) * (2 * integer(source, 0, 1) - 1),
    )
