"""What the student sees of a pair: colour jitter and flips by Kornia, on the device, drawn per sample on the CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from kornia.augmentation import ColorJitter
from kornia.geometry.transform import hflip, vflip
from torch import Tensor

from refine_motion.errors import ConfigError


@dataclass(frozen=True)
class Augmentation:
    """Strength of the augmentation; the defaults are the published ones of arXiv 2401.00850 for RAFT.

    Attributes:
        jitter_probability: share of the samples whose colours change.
        brightness: factor within ``1 +- brightness``.
        contrast: factor within ``1 +- contrast``.
        saturation: factor within ``1 +- saturation``.
        hue: shift within ``+- hue`` of a full turn.
        asymmetric_probability: of the jittered samples, share in which the two frames change differently.
        hflip_probability: share of the samples mirrored left to right.
        vflip_probability: share of the samples mirrored top to bottom.
    """

    jitter_probability: float = 1.0
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.5 / math.pi
    asymmetric_probability: float = 0.2
    hflip_probability: float = 0.5
    vflip_probability: float = 0.1

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: a probability is outside 0..1 or a strength outside its range.
        """
        for name, value in vars(self).items():
            highest = 0.5 if name == "hue" else 1.0
            if not 0 <= value <= highest:
                raise ConfigError(f"augment.{name} must be between 0 and {highest:g}, got {value}")


@dataclass(frozen=True)
class Draw:
    """The random choices for one sample."""

    jitter: bool
    factors_a: tuple[float, float, float, float]
    factors_b: tuple[float, float, float, float]
    hflip: bool
    vflip: bool


def draw(settings: Augmentation, seed: int) -> Draw:
    """The choices for one sample: a function of its seed alone, not of its batch, worker or process.

    Args:
        settings: strengths and probabilities.
        seed: seed of the sample, from run, epoch and sample number.
    """
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(12, generator=generator, dtype=torch.float64).tolist()

    def factors(values: list[float]) -> tuple[float, float, float, float]:
        strengths = (settings.brightness, settings.contrast, settings.saturation)
        b, c, s = (1 + (2 * v - 1) * strength for v, strength in zip(values, strengths, strict=False))
        return b, c, s, (2 * values[3] - 1) * settings.hue

    first = factors(u[4:8])
    return Draw(
        jitter=u[0] < settings.jitter_probability,
        factors_a=first,
        factors_b=factors(u[8:12]) if u[1] < settings.asymmetric_probability else first,
        hflip=u[2] < settings.hflip_probability,
        vflip=u[3] < settings.vflip_probability,
    )


class PairAugmenter:
    """Applies drawn augmentations to a batch of labelled pairs.

    Args:
        settings: strengths and probabilities.
    """

    def __init__(self, settings: Augmentation):
        self.settings = settings
        # A fixed order, because Kornia draws one order for the whole batch and a sample must not depend on its batch.
        self._jitter = ColorJitter(0.0, 0.0, 0.0, 0.0, order=(0, 1, 2, 3))

    @torch.no_grad()
    def __call__(
        self, image_a: Tensor, image_b: Tensor, flow: Tensor, weight: Tensor, seeds: list[int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Augment a batch.

        Args:
            image_a: ``(B, 3, H, W)``, 0..255.
            image_b: ``(B, 3, H, W)``, 0..255.
            flow: ``(B, 2, H, W)`` labels from a to b in pixels.
            weight: ``(B, 1, H, W)`` of each label.
            seeds: one per sample.

        Returns:
            The same four, images float in 0..255.
        """
        draws = [draw(self.settings, seed) for seed in seeds]
        image_a = self._recolour(image_a, [d.factors_a for d in draws], [d.jitter for d in draws])
        image_b = self._recolour(image_b, [d.factors_b for d in draws], [d.jitter for d in draws])
        image_a, image_b, flow, weight = _mirror(
            image_a, image_b, flow, weight, [d.hflip for d in draws], horizontal=True
        )
        return _mirror(image_a, image_b, flow, weight, [d.vflip for d in draws], horizontal=False)

    def _recolour(self, image: Tensor, factors: list[tuple[float, float, float, float]], chosen: list[bool]) -> Tensor:
        image = image.float()
        index = torch.tensor(chosen, device=image.device).nonzero().flatten()
        if len(index) == 0:
            return image
        names = ("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")
        columns = torch.tensor([f for f, c in zip(factors, chosen, strict=True) if c], device=image.device).T
        params = dict(zip(names, columns, strict=True)) | {
            "order": torch.arange(4),
            "batch_prob": torch.ones(len(index)),
            "forward_input_shape": torch.tensor(image[index].shape),
        }
        return image.index_copy(0, index, self._jitter(image[index] / 255, params=params) * 255)


def _mirror(
    image_a: Tensor, image_b: Tensor, flow: Tensor, weight: Tensor, chosen: list[bool], horizontal: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mirror the chosen samples; the flow component along the mirrored axis changes its sign."""
    if not any(chosen):
        return image_a, image_b, flow, weight
    flip = hflip if horizontal else vflip
    sign = torch.tensor([-1.0, 1.0] if horizontal else [1.0, -1.0], device=flow.device).view(1, 2, 1, 1)
    mask = torch.tensor(chosen, device=flow.device).view(-1, 1, 1, 1)
    return (
        torch.where(mask, flip(image_a), image_a),
        torch.where(mask, flip(image_b), image_b),
        torch.where(mask, flip(flow) * sign, flow),
        torch.where(mask, flip(weight), weight),
    )
