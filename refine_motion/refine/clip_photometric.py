"""How a clip looks: colours, blur, noise and compression, by Kornia, with one setting for all of its frames."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from kornia.color import rgb_to_grayscale
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_hue,
    adjust_saturation_with_gray_subtraction,
    jpeg_codec_differentiable,
)
from kornia.filters import gaussian_blur2d
from torch import Tensor


@dataclass(frozen=True)
class Look:
    """What is done to the picture, in this order; None leaves a step out.

    Attributes:
        colours: factors of brightness, contrast and saturation, and shift of the hue in full turns.
        grey: whether colour is taken away.
        blur: standard deviation of the blur in pixels.
        noise: standard deviation of the noise in grey levels of 255.
        pattern: standard deviation, in grey levels of 255, of the pattern of a sensor, which stays while things move:
            stripes along its columns or rows, and half as strong offsets of single pixels.
        noise_seed: seed of the noise, which is new in each frame, and of the pattern.
        jpeg: quality of the compression, 1..100.
    """

    colours: tuple[float, float, float, float] | None = None
    grey: bool = False
    blur: float | None = None
    noise: float | None = None
    pattern: float | None = None
    noise_seed: int = 0
    jpeg: float | None = None

    def apply(self, frames: Tensor) -> Tensor:
        """The frames with this look.

        Args:
            frames: ``(T, 3, H, W)`` float32, 0..255.

        Returns:
            The same shape and range.
        """
        if self.colours is not None:
            frames = _recolour(frames, self.colours)
        if self.grey:
            frames = rgb_to_grayscale(frames).expand_as(frames)
        if self.blur is not None:
            side = 2 * math.ceil(3 * self.blur) + 1
            frames = gaussian_blur2d(frames, side, (self.blur, self.blur), border_type="replicate")
        if self.noise is not None:
            frames = _add_noise(frames, self.noise, self.noise_seed)
        if self.pattern is not None:
            frames = _add_pattern(frames, self.pattern, self.noise_seed)
        if self.jpeg is not None:
            quality = torch.tensor([self.jpeg], device=frames.device)
            frames = jpeg_codec_differentiable(frames.contiguous() / 255, quality) * 255
        return frames


def _recolour(frames: Tensor, colours: tuple[float, float, float, float]) -> Tensor:
    brightness, contrast, saturation, hue = colours
    # The clip as one tall picture: the contrast turns about the mean of all its frames, so that a colour which stays
    # the same through the clip still does.
    picture = frames.transpose(0, 1).flatten(1, 2) / 255
    picture = adjust_brightness_accumulative(picture, brightness)
    picture = adjust_contrast_with_mean_subtraction(picture, contrast)
    picture = adjust_saturation_with_gray_subtraction(picture, saturation)
    picture = adjust_hue(picture, 2 * math.pi * hue)
    return picture.unflatten(1, (len(frames), -1)).transpose(0, 1) * 255


def _add_noise(frames: Tensor, strength: float, seed: int) -> Tensor:
    # Drawn on the CPU, so that every device sees the same noise.
    noise = torch.randn(frames.shape, generator=torch.Generator().manual_seed(seed))
    return (frames + strength * noise.to(frames.device)).clamp(0, 255)


def _add_pattern(frames: Tensor, strength: float, seed: int) -> Tensor:
    height, width = frames.shape[-2:]
    source = torch.Generator().manual_seed(seed + 1)
    columns = torch.rand((), generator=source) < 0.5
    stripes = torch.randn((1, width) if columns else (height, 1), generator=source)
    pattern = stripes + 0.5 * torch.randn((height, width), generator=source)
    return (frames + strength * pattern.to(frames.device)).clamp(0, 255)
