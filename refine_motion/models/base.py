"""What every motion model is, the contract of a flow model, and what its implementations share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from refine_motion.models.options import MatchOptions


@dataclass(frozen=True)
class FrameFeatures:
    """What a model keeps of each frame, so that any pair in either direction can be matched without a second look.

    Attributes:
        matching: ``(N, C, h, w)`` features that are compared between frames.
        context: ``(N, D, h, w)`` features from which the update starts when the frame is the source.
        size: ``(H, W)`` of the frames in pixels, before padding.
    """

    matching: Tensor
    context: Tensor
    size: tuple[int, int]

    def __getitem__(self, index: Tensor | slice | list[int]) -> FrameFeatures:
        """Features of some of the frames."""
        return FrameFeatures(self.matching[index], self.context[index], self.size)


class Padder:
    """Replicate padding to a multiple of the stride, split evenly between both sides, and its undoing.

    Args:
        height: frame height in pixels.
        width: frame width in pixels.
        stride: the model's total down-sampling.
    """

    def __init__(self, height: int, width: int, stride: int):
        extra_h, extra_w = -height % stride, -width % stride
        self.left, self.top = extra_w // 2, extra_h // 2
        self.right, self.bottom = extra_w - self.left, extra_h - self.top
        self.height, self.width = height, width

    def pad(self, frames: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the padded size."""
        if not (self.left or self.right or self.top or self.bottom):
            return frames
        return F.pad(frames, (self.left, self.right, self.top, self.bottom), mode="replicate")

    def unpad(self, maps: Tensor) -> Tensor:
        """``(..., H', W')`` back to ``(..., H, W)``."""
        return maps[..., self.top : self.top + self.height, self.left : self.left + self.width]


class MotionModel(nn.Module, ABC):
    """A network that tells motion between frames.

    Attributes:
        name: the name in the registry.
        stride: total down-sampling; frames are padded to a multiple of it.
        min_side: the smallest frame side in pixels that the model can take.
    """

    name: str
    stride: int
    min_side: int

    def freeze_batch_norm(self) -> None:
        """Keep batch-norm layers at their running statistics (call again after every ``train()``)."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


class FlowModel(MotionModel):
    """An optical-flow network.

    Frames are ``(N, 3, H, W)``, RGB, uint8 or float in 0..255; the model normalises and pads them itself. Flow is
    ``(N, 2, H, W)`` float32 in pixels, channel 0 = x. ``iters`` is the number of refinement iterations.

    Attributes:
        options: memory, speed and precision of the matching; may be set at any time.
    """

    options: MatchOptions = MatchOptions()

    @abstractmethod
    def encode(self, frames: Tensor) -> FrameFeatures:
        """Features of each frame, once per frame whatever pairs it is used in.

        Raises:
            ValueError: the shape is not ``(N, 3, H, W)`` or a side is below ``min_side``.
        """

    @abstractmethod
    def match(
        self, features_a: FrameFeatures, features_b: FrameFeatures, iters: int, init: Tensor | None = None
    ) -> list[Tensor]:
        """Flow from a to b after each iteration, coarse to fine, at full resolution.

        Args:
            features_a: source frames, N of them.
            features_b: target frames, N of them.
            iters: number of iterations, at least 1.
            init: ``(N, 2, H, W)`` flow in pixels to start from; zero when not given.

        Returns:
            ``iters`` tensors ``(N, 2, H, W)``.
        """

    @abstractmethod
    def match_both(
        self, features_a: FrameFeatures, features_b: FrameFeatures, iters: int, tolerance: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Final flow from a to b and from b to a, from features that both directions share.

        Args:
            features_a: first frames, N of them.
            features_b: second frames, N of them.
            iters: number of iterations, at least 1.
            tolerance: a sample stops earlier, after an iteration that changed its flow by less than this on average
                over the frame, in pixels; 0 never stops. It does not depend on the other samples.

        Returns:
            Two flows ``(N, 2, H, W)``.
        """

    @abstractmethod
    def flow(self, a: Tensor, b: Tensor, iters: int = 12) -> Tensor:
        """Final flow from a to b, without gradients.

        Args:
            a: ``(N, 3, H, W)`` frames.
            b: ``(N, 3, H, W)`` frames.
            iters: number of iterations.

        Returns:
            ``(N, 2, H, W)`` float32 in pixels.
        """

    def flow_sequence(self, a: Tensor, b: Tensor, iters: int = 12) -> list[Tensor]:
        """Flow from a to b after each iteration, with gradients: what the training loss sees.

        Returns:
            ``iters`` tensors ``(N, 2, H, W)`` float32 in pixels.
        """
        features = self.encode(torch.cat((a, b)))
        count = a.shape[0]
        return self.match(features[:count], features[count:], iters)


def check_frames(frames: Tensor, min_side: int) -> None:
    """Refuse what is not a batch of RGB frames of sufficient size.

    Raises:
        ValueError: the shape is not ``(N, 3, H, W)`` or a side is below ``min_side``.
    """
    if frames.ndim != 4 or frames.shape[1] != 3:
        raise ValueError(f"frames must be (N, 3, H, W), got {tuple(frames.shape)}")
    if min(frames.shape[-2:]) < min_side:
        raise ValueError(f"frames must be at least {min_side} pixels on each side, got {tuple(frames.shape[-2:])}")


def resize_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Flow at another resolution: averaged or interpolated in pixel-edge geometry, vectors scaled by the true ratios.

    Args:
        flow: ``(N, 2, H, W)`` in pixels of its own size.
        size: ``(h, w)`` wanted.

    Returns:
        ``(N, 2, h, w)`` in pixels of the new size.
    """
    height, width = flow.shape[-2:]
    shrink = math.prod(size) < height * width
    resized = F.interpolate(flow, size, mode="bilinear", align_corners=False, antialias=shrink)
    ratio = torch.tensor([size[1] / width, size[0] / height], device=flow.device, dtype=flow.dtype)
    return resized * ratio.view(1, 2, 1, 1)
