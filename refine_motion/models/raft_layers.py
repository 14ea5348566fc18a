"""Building blocks of RAFT (Teed and Deng, ECCV 2020, arXiv 2003.12039), named as in the official checkpoints."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _norm(kind: str, channels: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels)
    return nn.Identity()


def _shortcut(kind: str, inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride), _norm(kind, outputs))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (RAFT-large)."""

    def __init__(self, inputs: int, outputs: int, norm: str, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, stride=stride)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm1 = _norm(norm, outputs)
        self.norm2 = _norm(norm, outputs)
        self.downsample = _shortcut(norm, inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        return (self.downsample(x) + y).relu()


class BottleneckBlock(nn.Module):
    """1x1, 3x3, 1x1 convolutions at a quarter of the width and a shortcut (RAFT-small)."""

    def __init__(self, inputs: int, outputs: int, norm: str, stride: int):
        super().__init__()
        inner = outputs // 4
        self.conv1 = nn.Conv2d(inputs, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, stride=stride)
        self.conv3 = nn.Conv2d(inner, outputs, 1)
        self.norm1 = _norm(norm, inner)
        self.norm2 = _norm(norm, inner)
        self.norm3 = _norm(norm, outputs)
        self.downsample = _shortcut(norm, inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y)).relu()
        return (self.downsample(x) + y).relu()


class Encoder(nn.Module):
    """Frame to features at an eighth of its size.

    Args:
        block: residual block type.
        widths: channels of the stem and first stage, second and third stage.
        outputs: channels of the features.
        norm: ``"instance"``, ``"batch"`` or ``"none"``.
    """

    def __init__(
        self,
        block: type[ResidualBlock] | type[BottleneckBlock],
        widths: tuple[int, int, int],
        outputs: int,
        norm: str,
    ):
        super().__init__()
        first, second, third = widths
        self.conv1 = nn.Conv2d(3, first, 7, stride=2, padding=3)
        self.norm1 = _norm(norm, first)
        self.layer1 = nn.Sequential(block(first, first, norm, 1), block(first, first, norm, 1))
        self.layer2 = nn.Sequential(block(first, second, norm, 2), block(second, second, norm, 1))
        self.layer3 = nn.Sequential(block(second, third, norm, 2), block(third, third, norm, 1))
        self.conv2 = nn.Conv2d(third, outputs, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in -1..1 to ``(N, outputs, H / 8, W / 8)``."""
        x = self.norm1(self.conv1(x)).relu()
        return self.conv2(self.layer3(self.layer2(self.layer1(x))))


class MotionEncoder(nn.Module):
    """Correlation and current flow to motion features.

    Args:
        correlation: channels of the look-up.
        widths: channels after the correlation convolutions (one or two of them).
        flow_widths: channels after the two flow convolutions.
        outputs: channels of the result, of which the last two are the flow itself.
    """

    def __init__(self, correlation: int, widths: tuple[int, ...], flow_widths: tuple[int, int], outputs: int):
        super().__init__()
        self.convc1 = nn.Conv2d(correlation, widths[0], 1)
        self.convc2 = nn.Conv2d(widths[0], widths[1], 3, padding=1) if len(widths) == 2 else None
        self.convf1 = nn.Conv2d(2, flow_widths[0], 7, padding=3)
        self.convf2 = nn.Conv2d(flow_widths[0], flow_widths[1], 3, padding=1)
        self.conv = nn.Conv2d(widths[-1] + flow_widths[1], outputs - 2, 3, padding=1)

    def forward(self, flow: Tensor, correlation: Tensor) -> Tensor:
        """Flow ``(N, 2, h, w)`` and correlation ``(N, correlation, h, w)`` to ``(N, outputs, h, w)``."""
        c = self.convc1(correlation).relu()
        if self.convc2 is not None:
            c = self.convc2(c).relu()
        f = self.convf2(self.convf1(flow).relu()).relu()
        return torch.cat((self.conv(torch.cat((c, f), dim=1)).relu(), flow), dim=1)


class GatePass:
    """One gated update of a hidden state, prepared for many iterations under one context.

    The context is a part of every gate's input and stays the same over the iterations, so its share of the convolutions
    is computed once; the two gates that see the same input share one convolution. Values equal those of the published
    form but for rounding.

    Args:
        update: convolution of the update gate, over hidden state, context and motion features.
        reset: that of the reset gate.
        candidate: that of the candidate state.
        context: ``(N, context, h, w)``.
    """

    def __init__(self, update: nn.Conv2d, reset: nn.Conv2d, candidate: nn.Conv2d, context: Tensor):
        gates = (update, reset, candidate)
        hidden = update.out_channels
        weight = torch.cat([gate.weight for gate in gates])
        bias = torch.cat([gate.bias for gate in gates if gate.bias is not None])
        self.padding = cast("tuple[int, int]", update.padding)
        first, constant, last = weight.split(
            (hidden, context.shape[1], weight.shape[1] - hidden - context.shape[1]), dim=1
        )
        fixed = F.conv2d(context, constant, bias, padding=self.padding)
        self.fixed = fixed.split((2 * hidden, hidden), dim=1)
        self.weight = torch.cat((first, last), dim=1).split((2 * hidden, hidden))

    def __call__(self, h: Tensor, motion: Tensor) -> Tensor:
        """New hidden state ``(N, hidden, h, w)``."""
        gates = self._convolve(torch.cat((h, motion), dim=1), 0).sigmoid()
        z, r = gates.chunk(2, dim=1)
        q = self._convolve(torch.cat((r * h, motion), dim=1), 1).tanh()
        return (1 - z) * h + z * q

    def _convolve(self, x: Tensor, part: int) -> Tensor:
        return F.conv2d(x, self.weight[part], padding=self.padding) + self.fixed[part]


class ConvGRU(nn.Module):
    """Gated recurrent unit with one 3x3 convolution per gate (RAFT-small)."""

    def __init__(self, hidden: int, inputs: int):
        super().__init__()
        self.convz = nn.Conv2d(hidden + inputs, hidden, 3, padding=1)
        self.convr = nn.Conv2d(hidden + inputs, hidden, 3, padding=1)
        self.convq = nn.Conv2d(hidden + inputs, hidden, 3, padding=1)

    def passes(self, context: Tensor) -> list[GatePass]:
        """The updates of one iteration, in order, under a context ``(N, context, h, w)``."""
        return [GatePass(self.convz, self.convr, self.convq, context)]


class SepConvGRU(nn.Module):
    """Gated recurrent unit with a horizontal, then a vertical pass (RAFT-large)."""

    def __init__(self, hidden: int, inputs: int):
        super().__init__()
        both = hidden + inputs
        self.convz1 = nn.Conv2d(both, hidden, (1, 5), padding=(0, 2))
        self.convr1 = nn.Conv2d(both, hidden, (1, 5), padding=(0, 2))
        self.convq1 = nn.Conv2d(both, hidden, (1, 5), padding=(0, 2))
        self.convz2 = nn.Conv2d(both, hidden, (5, 1), padding=(2, 0))
        self.convr2 = nn.Conv2d(both, hidden, (5, 1), padding=(2, 0))
        self.convq2 = nn.Conv2d(both, hidden, (5, 1), padding=(2, 0))

    def passes(self, context: Tensor) -> list[GatePass]:
        """The updates of one iteration, in order, under a context ``(N, context, h, w)``."""
        return [
            GatePass(self.convz1, self.convr1, self.convq1, context),
            GatePass(self.convz2, self.convr2, self.convq2, context),
        ]


class FlowHead(nn.Module):
    """Hidden state to a change of flow."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, 2, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """``(N, inputs, h, w)`` to ``(N, 2, h, w)`` in cells."""
        return self.conv2(self.conv1(h).relu())
