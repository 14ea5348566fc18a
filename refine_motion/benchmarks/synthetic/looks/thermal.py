"""The look of a thermal camera."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.draw import generator, integer, uniform
from refine_motion.benchmarks.synthetic.looks.pieces import (
    Key,
    Waves,
    blur,
    grey,
    random_seed,
    random_waves,
    white,
)


@dataclass(frozen=True)
class Thermal:
    """One band of heat behind soft optics, under patterns that stay with the sensor while the scene moves.

    Attributes:
        weights: how much each colour of the scene counts as heat; they sum to 1.
        heat: share of the range by which the nearest surfaces are warmer than the air.
        contrast: factor on the differences of heat within the scene.
        absorption: share of the heat radiation lost in the air per unit of depth.
        softness: standard deviation of the optical blur in pixels.
        columns: standard deviation of the offsets of the sensor's columns in grey levels.
        unevenness: standard deviation of the slow offsets over the sensor in grey levels.
        relief: the shape of those.
        noise: standard deviation of the noise of each frame in grey levels.
        white_hot: else black is hot.
        seed: what columns and noise are drawn from.
    """

    weights: tuple[float, float, float]
    heat: float
    contrast: float
    absorption: float
    softness: float
    columns: float
    unevenness: float
    relief: Waves
    noise: float
    white_hot: bool
    seed: int

    def __call__(self, image: Tensor, depth: Tensor, t: int) -> Tensor:
        """See :class:`~refine_motion.benchmarks.synthetic.looks.base.Look`."""
        warm = grey(image, self.weights).sub_(127.5).mul_(self.contrast).add_(255 * self.heat)
        warm.mul_(depth.sub(1).mul_(-self.absorption).exp_())
        warm = blur(warm, self.softness).add_(70)
        stripes = torch.randn(warm.shape[1], generator=generator(Key.COLUMNS, self.seed)) * self.columns
        warm.add_(stripes.to(warm)).add_(self.relief.height(warm, 0), alpha=self.unevenness)
        warm.add_(white(Key.THERMAL, self.seed, t, warm), alpha=self.noise)
        # The display's tone curve steepens the middle and flattens the ends.
        share = warm.div_(255).clamp_(0, 1)
        shown = share.square() * (3 - 2 * share)
        return (shown if self.white_hot else 1 - shown).mul(255).expand(3, -1, -1).contiguous()


def random_thermal(source: Generator) -> Thermal:
    """Warm things before a cooler background."""
    share = torch.rand(3, generator=source) + 0.1
    red, green, blue = (share / share.sum()).tolist()
    return Thermal(
        weights=(red, green, blue),
        heat=uniform(source, 0.25, 0.45),
        contrast=uniform(source, 0.6, 0.9),
        absorption=uniform(source, 0.15, 0.3),
        softness=uniform(source, 0.8, 1.2),
        columns=uniform(source, 2, 6),
        unevenness=uniform(source, 4, 12),
        relief=random_waves(source, (120, 400), wind=0, churn=0),
        noise=uniform(source, 2, 5),
        white_hot=integer(source, 0, 1) == 1,
        seed=random_seed(source),
    )
