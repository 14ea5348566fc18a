"""CorrFlow's encoder (Lai and Xie, BMVC 2019, arXiv 1905.00875), equal to the official outputs.

Its features tell motion by comparison alone: a cell of one frame is looked for among the cells of another, see
:mod:`refine_motion.motion.local_attention`. Parameters carry the official names, so that official checkpoints load
without a map.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from refine_motion.models.base import MotionModel, check_frames

# Channels of the features, of every size.
FEATURES = 64
PUBLISHED = (64, 128, 256, 256)
# A tenth of the parameters and of the time.
SMALL = (32, 48, 64, 64)


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is one of 1x1 where the shape changes (ResNet's basic block)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.left = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        return (self.left(x) + self.shortcut(x)).relu()


class _FeatureExtraction(nn.Module):
    """A ResNet-18 that halves the size twice, not five times, and has no pooling."""

    def __init__(self, widths: tuple[int, int, int, int]):
        super().__init__()
        first, second, third, fourth = widths
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, first, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(first), nn.ReLU(inplace=True)
        )
        self.layer1 = _stage(first, first, 1)
        self.layer2 = _stage(first, second, 2)
        self.layer3 = _stage(second, third, 1)
        self.layer4 = _stage(third, fourth, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 3, H, W)`` to ``(N, fourth, H / 4, W / 4)``."""
        return self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_Block(inputs, outputs, stride), _Block(outputs, outputs, 1))


class CorrFlow(MotionModel):
    """CorrFlow's encoder of any size.

    Args:
        name: the name in the registry.
        widths: channels of the four stages.
    """

    stride = 4
    min_side = 4

    def __init__(self, name: str, widths: tuple[int, int, int, int]):
        super().__init__()
        self.name = name
        self.feature_extraction = _FeatureExtraction(widths)
        # It keeps torch's own initial weights. He's are five times as large here: with them, untrained features give
        # 0.9 of a window's weight to one cell, scaled or not; with these 0.1 if scaled.
        self.post_convolution = nn.Conv2d(widths[-1], FEATURES, 3, padding=1)

    def encode(self, frames: Tensor) -> Tensor:
        """Features of each frame, once per frame whatever pairs and directions it is used in.

        They are neither normalised nor scaled. In training mode, batch normalisation takes its statistics over all
        frames given at once and updates its running ones once, where the official code does so for each pair.

        Args:
            frames: ``(N, 3, H, W)`` uint8, or float in 0..255.

        Returns:
            ``(N, 64, h, w)``: a cell for every 4 pixels, begun ones included. Cell (y, x) is over the pixels from
            (4y, 4x) to (4y + 3, 4x + 3).

        Raises:
            ValueError: the shape is not ``(N, 3, H, W)`` or a side is below ``min_side``.
        """
        check_frames(frames, self.min_side)
        dtype = frames.dtype if frames.is_floating_point() else self.post_convolution.weight.dtype
        # To the right and below only, so that cells stay over the pixels that they are over.
        extra_h, extra_w = (-side % self.stride for side in frames.shape[-2:])
        scaled = frames.to(dtype) / 255
        padded = F.pad(scaled, (0, extra_w, 0, extra_h), mode="replicate") if extra_h or extra_w else scaled
        return self.post_convolution(self.feature_extraction(padded))


def corrflow() -> MotionModel:
    """CorrFlow's encoder as published, 5,291,648 parameters."""
    return CorrFlow("corrflow", PUBLISHED)


def corrflow_small() -> MotionModel:
    """CorrFlow's encoder at a tenth of the size, for CPUs."""
    return CorrFlow("corrflow_small", SMALL)
