"""The information bottleneck: what the encoder may see of the colours that it must tell (arXiv 1905.00875).

Without it, an encoder would match colours by the colours themselves. Colour channels are dropped, the same ones in all
frames; now and then each frame's colours change on their own. The targets are made from the frames as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from refine_motion.corrflow.lab import rgb_to_lab
from refine_motion.errors import ConfigError
from refine_motion.training.colours import recolour

INPUTS = ("rgb", "grey", "lab")


@dataclass(frozen=True)
class Bottleneck:
    """Strength of the bottleneck; the defaults are the published ones.

    Attributes:
        inputs: what the encoder sees: ``rgb``, ``grey`` in all three channels, or ``lab``.
        dropout_probability: share of the steps in which one or two of the three channels are zero and the others
            larger.
        jitter_probability: share of the clips in which each frame's colours change on their own.
        brightness: factor within ``1 +- brightness``.
        contrast: factor within ``1 +- contrast``.
        saturation: factor within ``1 +- saturation``.
        hue: shift within ``+- hue`` of a full turn.
    """

    inputs: str = "rgb"
    dropout_probability: float = 0.7
    jitter_probability: float = 0.1
    brightness: float = 0.1
    contrast: float = 0.1
    saturation: float = 0.1
    hue: float = 0.1

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: an unknown kind of input, a probability outside 0..1 or a strength outside its range.
        """
        if self.inputs not in INPUTS:
            raise ConfigError(f"bottleneck.inputs must be one of {', '.join(INPUTS)}, got {self.inputs!r}")
        for name, value in vars(self).items():
            highest = 0.5 if name == "hue" else 1.0
            if name != "inputs" and not 0 <= value <= highest:
                raise ConfigError(f"bottleneck.{name} must be between 0 and {highest:g}, got {value}")

    def prepare(self, frames: Tensor) -> Tensor:
        """Frames as the encoder sees them where nothing is hidden: in validation and at test time.

        Args:
            frames: ``(..., 3, H, W)`` RGB, uint8 or float in 0..255.

        Returns:
            The same shape, float32 as :meth:`refine_motion.models.corrflow.CorrFlow.encode` takes it: RGB in 0..255,
            grey in 0..255, or L in 0..255 with a and b in about -255..255, where 0 is no colour.
        """
        frames = frames.float()
        if self.inputs == "rgb":
            return frames
        if self.inputs == "grey":
            from kornia.color import rgb_to_grayscale

            return rgb_to_grayscale(frames).expand_as(frames)
        scale = torch.tensor([255 / 100, 255 / 128, 255 / 128], device=frames.device)
        return rgb_to_lab(frames) * scale.view(3, 1, 1)

    @torch.no_grad()
    def hide(self, frames: Tensor, seeds: list[int], step_seed: int) -> Tensor:
        """Frames as the encoder sees them in training.

        Args:
            frames: ``(B, T, 3, H, W)`` RGB, uint8 or float in 0..255; not changed.
            seeds: one per clip, of its jitter.
            step_seed: seed of the step, the same in all processes: the channels that are dropped are dropped in the
                whole batch.

        Returns:
            ``(B, T, 3, H, W)`` float32, see :meth:`prepare`.
        """
        seen = self.prepare(self._jitter(frames.float(), seeds))
        return seen * torch.tensor(draw_channels(self, step_seed), device=seen.device).view(3, 1, 1)

    def _jitter(self, frames: Tensor, seeds: list[int]) -> Tensor:
        draws = [draw_jitter(self, seed, frames.shape[1]) for seed in seeds]
        chosen = [number for number, factors in enumerate(draws) if factors]
        if not chosen:
            return frames
        factors = torch.tensor([draws[number] for number in chosen], device=frames.device)
        index = torch.tensor(chosen, device=frames.device)
        changed = recolour(frames[index].flatten(0, 1), factors.flatten(0, 1))
        return frames.index_copy(0, index, changed.view_as(frames[index]))


def draw_channels(settings: Bottleneck, seed: int) -> tuple[float, float, float]:
    """Factors of the three channels: ones, or zeros for one or two of them and ``3 / (3 - n)`` for the others.

    Args:
        settings: how often.
        seed: of the step.
    """
    generator = torch.Generator().manual_seed(seed)
    drop = torch.rand((), generator=generator).item() < settings.dropout_probability
    dropped = int(torch.randint(1, 3, (), generator=generator))
    order = torch.randperm(3, generator=generator).tolist()
    if not drop:
        return 1.0, 1.0, 1.0
    first, second, third = (0.0 if channel in order[:dropped] else 3 / (3 - dropped) for channel in range(3))
    return first, second, third


def draw_jitter(settings: Bottleneck, seed: int, frames: int) -> list[tuple[float, float, float, float]]:
    """For each frame of a clip, factors of brightness, contrast and saturation and the shift of the hue in full turns.

    Args:
        settings: how often and how strong.
        seed: of the clip.
        frames: of the clip.

    Returns:
        Nothing where the clip's colours stay.
    """
    generator = torch.Generator().manual_seed(seed)
    if torch.rand((), generator=generator).item() >= settings.jitter_probability:
        return []
    draws = (2 * torch.rand(frames, 4, generator=generator, dtype=torch.float64) - 1).tolist()
    b, c, s = settings.brightness, settings.contrast, settings.saturation
    return [(1 + b * u[0], 1 + c * u[1], 1 + s * u[2], settings.hue * u[3]) for u in draws]
