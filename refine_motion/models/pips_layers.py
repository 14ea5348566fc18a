"""Building blocks of PIPs (Harley et al., ECCV 2022, arXiv 2204.04153), named as in the official checkpoints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from refine_motion.models.raft_layers import ResidualBlock

# Channels of the embedding of each of dx, dy and t.
EMBEDDED = 64


class PipsEncoder(nn.Module):
    """Frame to features at a quarter (or another fraction) of its size, from four scales at once.

    Args:
        widths: channels of the four stages.
        fused: channels in which the stages are brought together.
        outputs: channels of the features.
        stride: down-sampling of the features.
    """

    def __init__(self, widths: tuple[int, int, int, int], fused: int, outputs: int, stride: int):
        super().__init__()
        self.stride = stride
        first, second, third, fourth = widths
        self.conv1 = nn.Conv2d(3, first, 7, stride=2, padding=3)
        self.norm1 = nn.InstanceNorm2d(first)
        self.layer1 = _stage(first, first, 1)
        self.layer2 = _stage(first, second, 2)
        self.layer3 = _stage(second, third, 2)
        self.layer4 = _stage(third, fourth, 2)
        self.conv2 = nn.Conv2d(sum(widths), fused, 3, padding=1)
        self.norm2 = nn.InstanceNorm2d(fused)
        self.conv3 = nn.Conv2d(fused, outputs, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in -1..1, sides a multiple of the stride, to ``(N, outputs, H / stride, W / stride)``."""
        size = (x.shape[-2] // self.stride, x.shape[-1] // self.stride)
        x = self.norm1(self.conv1(x)).relu()
        stages = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            # Corner-aligned, as the published weights were trained.
            stages.append(F.interpolate(x, size, mode="bilinear", align_corners=True))
        return self.conv3(self.norm2(self.conv2(torch.cat(stages, dim=1))).relu())


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualBlock(inputs, outputs, "instance", stride), ResidualBlock(outputs, outputs, "instance", 1)
    )


class _PreNorm(nn.Module):
    """A residual branch over normalised features."""

    def __init__(self, width: int, fn: nn.Module):
        super().__init__()
        self.fn = fn
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """``(M, S, width)`` to the same shape."""
        return self.fn(self.norm(x)) + x


def _mlp(first: nn.Module, last: nn.Module) -> nn.Sequential:
    # The official one has dropout of nothing in the third place, which the names count.
    return nn.Sequential(first, nn.GELU(), nn.Identity(), last)


class _Mean(nn.Module):
    """Mean over the frames."""

    def forward(self, x: Tensor) -> Tensor:
        """``(M, S, width)`` to ``(M, width)``."""
        return x.mean(dim=1)


class DeltaBlock(nn.Module):
    """What is known of a point in each frame of a window to a change of its places and features (an MLP-Mixer).

    Args:
        frames: S, length of the window.
        features: C, channels of a point's features.
        correlations: channels of a look-up.
        width: of the mixer.
        depth: number of its blocks.
    """

    def __init__(self, frames: int, features: int, correlations: int, width: int, depth: int):
        super().__init__()
        self.frames, self.outputs = frames, features + 2
        inputs = features + correlations + 3 * EMBEDDED + 3
        tokens, channels = 4 * frames, 4 * width
        blocks = [
            nn.Sequential(
                _PreNorm(width, _mlp(nn.Conv1d(frames, tokens, 1), nn.Conv1d(tokens, frames, 1))),
                _PreNorm(width, _mlp(nn.Linear(width, channels), nn.Linear(channels, width))),
            )
            for _ in range(depth)
        ]
        self.to_delta = nn.Sequential(
            nn.Linear(inputs, width),
            *blocks,
            nn.LayerNorm(width),
            _Mean(),
            nn.Linear(width, frames * self.outputs),
        )

    def forward(self, features: Tensor, correlations: Tensor, motion: Tensor) -> Tensor:
        """Change of place and features.

        Args:
            features: ``(M, S, C)`` of M points.
            correlations: ``(M, S, L)``.
            motion: ``(M, S, 3)`` dx, dy in cells since the first frame, and time.

        Returns:
            ``(M, S, 2 + C)``.
        """
        x = torch.cat((features, correlations, embed(motion).to(features.dtype)), dim=-1)
        hidden = self.to_delta[:-1](x)
        # Half precision has steps of an eighth of a cell at 16 cells, which is half a pixel.
        with torch.autocast(hidden.device.type, enabled=False):
            change = self.to_delta[-1](hidden.to(self.to_delta[-1].weight.dtype))
        return change.unflatten(1, (self.frames, self.outputs))


def embed(xyz: Tensor) -> Tensor:
    """Sines and cosines of three coordinates, each after the other, and the coordinates themselves.

    Args:
        xyz: ``(..., 3)``.

    Returns:
        ``(..., 3 * 64 + 3)``.
    """
    frequency = torch.arange(0, EMBEDDED, 2, device=xyz.device, dtype=xyz.dtype) * (1000.0 / EMBEDDED)
    angles = xyz[..., None] * frequency
    return torch.cat((torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-3), xyz), dim=-1)


def sample_extrapolating(maps: Tensor, xy: Tensor) -> Tensor:
    """Bilinear values at places in cells, as the official code takes a point's features.

    Outside the map its nearest four cells count, with the weights that the place itself asks for: values go on in a
    straight line. Elsewhere in this package a border is repeated instead.

    Args:
        maps: ``(B, C, H, W)``.
        xy: ``(B, N, 2)`` (x, y) in cells.

    Returns:
        ``(B, N, C)``.
    """
    height, width = maps.shape[-2:]
    x, y = xy.unbind(dim=-1)
    x0, y0 = x.detach().floor(), y.detach().floor()
    cells = maps.flatten(2)

    def at(column: Tensor, row: Tensor) -> Tensor:
        # Where a place is no number, neither are its weights; the cell must exist all the same.
        row, column = row.nan_to_num().clamp(0, height - 1), column.nan_to_num().clamp(0, width - 1)
        index = row.long() * width + column.long()
        return cells.gather(2, index[:, None].expand(-1, maps.shape[1], -1)).transpose(1, 2)

    left, top = (x0 + 1 - x)[..., None], (y0 + 1 - y)[..., None]
    upper = left * at(x0, y0) + (1 - left) * at(x0 + 1, y0)
    lower = left * at(x0, y0 + 1) + (1 - left) * at(x0 + 1, y0 + 1)
    return top * upper + (1 - top) * lower
