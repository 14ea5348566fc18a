"""The look of an endoscope."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.draw import uniform
from refine_motion.benchmarks.synthetic.looks.pieces import Waves, random_waves, vignette


@dataclass(frozen=True)
class Specular:
    """Highlights of a lamp beside the lens on a moist surface: they stay with the light while the tissue moves.

    Attributes:
        bumps: relief of the film of moisture.
        tilt: how far the surface turns away from the lens at the border, in standard deviations of the bumps' slope.
        gloss: how fast a highlight fades as the surface turns away; large is small and sharp.
        light: grey level in the middle of a highlight.
        sway: how far the lamp's middle wanders, in shares of the half side.
        turn: radians per frame of that.
        phase: radians at frame 0.
        shade: share of the light lost in the corners, 0..1.
    """

    bumps: Waves
    tilt: float
    gloss: float
    light: float
    sway: float
    turn: float
    phase: float
    shade: float

    def __call__(self, image: Tensor, depth: Tensor, t: int) -> Tensor:
        """See :class:`~refine_motion.benchmarks.synthetic.looks.base.Look`."""
        height, width = image.shape[-2:]
        angle = self.turn * t + self.phase
        x = torch.linspace(-1, 1, width).to(image).sub_(self.sway * math.cos(angle))
        y = torch.linspace(-1, 1, height).to(image).sub_(self.sway * math.sin(angle))
        across, down = self.bumps.slope(image, t)
        away = across.add_(x, alpha=self.tilt).square_() + down.add_(y[:, None], alpha=self.tilt).square_()
        # Hollows face the lamp as well, but lie in shade. Above 1 the middle of a highlight is white, its rim soft.
        shine = away.mul_(-self.gloss).exp_().mul_(self.bumps.height(image, t).mul_(2).clamp_(0, 2)).clamp_(max=1)
        lit = image * vignette(image, self.shade)
        return lit.lerp_(lit.new_tensor(self.light), shine)


def random_specular(source: Generator) -> Specular:
    """A few to many highlights, most where the tissue faces the lens."""
    return Specular(
        bumps=random_waves(source, (30, 80), wind=0, churn=0.05),
        tilt=uniform(source, 1.0, 2.5),
        gloss=uniform(source, 2, 7),
        light=uniform(source, 225, 255),
        sway=uniform(source, 0.02, 0.1),
        turn=2 * math.pi / uniform(source, 25, 80),
        phase=uniform(source, 0, 2 * math.pi),
        shade=uniform(source, 0.5, 0.8),
    )
