"""R(2+1)D: a network of clips, which tells what is done in them (Tran et al., CVPR 2018, arXiv 1711.11248).

It looks at colours or at optical flow. Layers and parameter names are those of torchvision's ``r2plus1d_18``
(``torchvision/models/video/resnet.py``), so that its checkpoints load without a map where the input is RGB. A
convolution over space and time is split in one over space and one over time, with as many channels between them as keep
the number of parameters.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

PUBLISHED = (64, 128, 256, 512)
# With one block a stage a fortieth of the parameters, 0.8 million, and a twenty-fifth of the time on a CPU.
SMALL = (16, 32, 64, 128)
# Half as wide again, for frames of 32 pixels or so.
TINY = (8, 16, 32, 64)
RGB, FLOW = 3, 2
# Of the videos of Kinetics-400, as shares of 255 (``R2Plus1D_18_Weights`` of torchvision).
_MEAN, _DEVIATION = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


class R2Plus1D(nn.Module):
    """R(2+1)D of any width, which normalises its clips itself.

    Clips are ``(B, C, T, H, W)`` of any length and size. RGB (C = 3) is uint8, or float in 0..255; flow (C = 2) is in
    pixels between frames, u first. Normalisation adds no entry to the state.

    Args:
        name: of the size, see :mod:`refine_motion.models.clip_models`.
        in_channels: 3 for RGB, 2 for flow.
        classes: K, of the head.
        widths: channels of the four stages.
        blocks: residual blocks a stage.
        flow_limit: pixels; flow is clipped to so many in either direction and divided by it. Nothing is published on
            how MotionFit prepares flow: 20 is the choice of this project.

    Raises:
        ValueError: there is no input of so many channels.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        name: str,
        in_channels: int,
        classes: int,
        widths: tuple[int, int, int, int] = PUBLISHED,
        blocks: int = 2,
        flow_limit: float = 20.0,
    ):
        super().__init__()
        if in_channels not in (RGB, FLOW):
            raise ValueError(f"clips have {RGB} channels (RGB) or {FLOW} (flow), not {in_channels}")
        self.name, self.in_channels, self.classes, self.flow_limit = name, in_channels, classes, flow_limit
        self.width = widths[-1]
        self.stem = _stem(in_channels, widths[0])
        self.layer1 = _stage(widths[0], widths[0], blocks, stride=1)
        self.layer2, self.layer3, self.layer4 = (
            _stage(inputs, outputs, blocks, stride=2) for inputs, outputs in pairwise(widths)
        )
        self.fc = nn.Linear(self.width, classes)
        # Not saved: torchvision's checkpoints have no such entries.
        for key, values in (("mean", _MEAN), ("deviation", _DEVIATION)):
            self.register_buffer(key, 255 * torch.tensor(values).view(-1, 1, 1, 1), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def features(self, clips: Tensor) -> Tensor:
        """What the head sees: the last stage's mean over time and space.

        Args:
            clips: ``(B, C, T, H, W)``, see the class.

        Returns:
            ``(B, D)``, D the width of the last stage: 512 of the published size, 128 of the small one.

        Raises:
            ValueError: the shape is another.
        """
        if clips.ndim != 5 or clips.shape[1] != self.in_channels:
            raise ValueError(f"clips must be (B, {self.in_channels}, T, H, W), got {tuple(clips.shape)}")
        x = self.stem(self._normalised(clips))
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(dim=(2, 3, 4))

    def forward(self, clips: Tensor) -> Tensor:
        """Logits ``(B, K)`` of clips ``(B, C, T, H, W)``; see :meth:`features`."""
        return self.fc(self.features(clips))

    def _normalised(self, clips: Tensor) -> Tensor:
        values = clips if clips.is_floating_point() else clips.to(self.fc.weight.dtype)
        if self.in_channels == FLOW:
            return values.clamp(-self.flow_limit, self.flow_limit) / self.flow_limit
        return (values - self.mean.to(values)) / self.deviation.to(values)


class _Block(nn.Module):
    """Two split convolutions and a shortcut, which is one of 1x1x1 where the shape changes (ResNet's basic block)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        # Of the first convolution, whose number torchvision takes for both.
        between = inputs * outputs * 27 // (inputs * 9 + outputs * 3)
        self.conv1 = nn.Sequential(
            _split(inputs, between, outputs, stride), nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(_split(outputs, between, outputs, 1), nn.BatchNorm3d(outputs))
        self.downsample = (
            nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm3d(outputs))
            if stride != 1 or inputs != outputs
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, T, H, W)`` to ``(B, outputs, T / stride, H / stride, W / stride)``."""
        return (self.conv2(self.conv1(x)) + self.downsample(x)).relu()


def _split(inputs: int, between: int, outputs: int, stride: int) -> nn.Sequential:
    """3x3 over space, then 3 over time."""
    return nn.Sequential(
        nn.Conv3d(inputs, between, (1, 3, 3), stride=(1, stride, stride), padding=(0, 1, 1), bias=False),
        nn.BatchNorm3d(between),
        nn.ReLU(inplace=True),
        nn.Conv3d(between, outputs, (3, 1, 1), stride=(stride, 1, 1), padding=(1, 0, 0), bias=False),
    )


def _stem(inputs: int, outputs: int) -> nn.Sequential:
    # 45 for 64, as published; they are fewer than keep the number of parameters.
    between = 45 * outputs // 64
    return nn.Sequential(
        nn.Conv3d(inputs, between, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False),
        nn.BatchNorm3d(between),
        nn.ReLU(inplace=True),
        nn.Conv3d(between, outputs, (3, 1, 1), padding=(1, 0, 0), bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(inplace=True),
    )


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_Block(inputs, outputs, stride), *(_Block(outputs, outputs, 1) for _ in range(blocks - 1)))
