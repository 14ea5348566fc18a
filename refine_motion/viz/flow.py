"""Flow and its error as colours."""

from __future__ import annotations

import math

import matplotlib
import torch
from torch import Tensor

ERROR_COLOURS = "inferno"
# Of the wheel's six stretches, red to yellow, to green, to cyan, to blue, to magenta, to red: number of hues, the
# channel that changes, and whether it rises or falls.
_STRETCHES = ((15, 1, 1), (6, 0, -1), (4, 2, 1), (11, 1, -1), (13, 0, 1), (6, 2, -1))


def flow_to_rgb(flow: Tensor, max_speed: float | None = None, valid: Tensor | None = None) -> Tensor:
    """Flow in Middlebury's colour code: the hue says the direction, the saturation the speed, white is no motion.

    Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011, with the colour wheel of its
    ``flow-code``; motion to the right is red, to the left cyan, down yellow, up violet. Speeds above ``max_speed`` keep
    their hue and are darkened.

    Args:
        flow: ``(2, H, W)`` pixels, channel 0 = x to the right, 1 = y down.
        max_speed: speed in pixels with full saturation; the largest known one when not given. Give it where pictures
            are to be compared.
        valid: ``(H, W)`` bool; unknown pixels, and flow that is not finite, become black.

    Returns:
        ``(3, H, W)`` uint8 RGB, on the device of ``flow``.

    Raises:
        ValueError: the shape is not that of one flow map.

    >>> flow_to_rgb(torch.tensor([[[0.0, 2.0]], [[0.0, 0.0]]]))[:, 0].T.tolist()
    [[255, 255, 255], [255, 0, 0]]
    """
    if flow.ndim != 3 or flow.shape[0] != 2:
        raise ValueError(f"flow has shape (2, H, W), not {tuple(flow.shape)}")
    known = flow.isfinite().all(dim=0)
    if valid is not None:
        known = known & valid
    x, y = torch.where(known, flow.float(), 0)
    speed = torch.hypot(x, y)
    if max_speed is None:
        max_speed = float(speed.max())
    # A still picture is white and not 0 / 0.
    speed = speed / max(max_speed, torch.finfo(speed.dtype).tiny)
    wheel = _colour_wheel().to(flow.device)
    position = (torch.atan2(-y, -x) / math.pi + 1) / 2 * (len(wheel) - 1)
    low = position.floor().long()
    part = (position - low).unsqueeze(-1)
    hue = (1 - part) * wheel[low] + part * wheel[(low + 1) % len(wheel)]
    saturation = speed.unsqueeze(-1)
    colour = torch.where(saturation <= 1, 1 - saturation * (1 - hue), 0.75 * hue)
    rgb = torch.where(known.unsqueeze(-1), (255 * colour).floor(), 0)
    return rgb.to(torch.uint8).permute(2, 0, 1).contiguous()


def error_to_rgb(error: Tensor, max_error: float, valid: Tensor | None = None) -> Tensor:
    """An error map in colours from black (0) over violet and orange to light yellow (``max_error`` and more).

    Args:
        error: ``(H, W)`` pixels, 0 or more.
        max_error: error of the brightest colour; give the same one where pictures are to be compared.
        valid: ``(H, W)`` bool; unknown pixels, and errors that are not finite, become grey.

    Returns:
        ``(3, H, W)`` uint8 RGB, on the device of ``error``.

    >>> error_to_rgb(torch.tensor([[0.0, 5.0, 9.0]]), max_error=5)[:, 0].T.tolist()
    [[0, 0, 3], [252, 254, 164], [252, 254, 164]]
    """
    known = error.isfinite()
    if valid is not None:
        known = known & valid
    table = torch.from_numpy(matplotlib.colormaps[ERROR_COLOURS](range(256), bytes=True)[:, :3].copy())
    steps = (torch.where(known, error, 0) / max_error).clamp(0, 1).mul(255).round().long()
    rgb = torch.where(known.unsqueeze(-1), table.to(error.device)[steps], 128)
    return rgb.to(torch.uint8).permute(2, 0, 1).contiguous()


def overlay_flow(frame: Tensor, flow: Tensor, kept: Tensor, max_speed: float | None = None) -> Tensor:
    """Flow in colours where it is kept, over the darkened grey frame elsewhere: what pseudo-labels cover.

    Args:
        frame: ``(3, H, W)`` uint8 RGB.
        flow: ``(2, H, W)`` pixels.
        kept: ``(H, W)`` bool.
        max_speed: see :func:`flow_to_rgb`; the largest kept speed when not given.

    Returns:
        ``(3, H, W)`` uint8 RGB.
    """
    grey = (frame.float().mean(dim=0, keepdim=True) * 0.35).to(torch.uint8).expand_as(frame)
    return torch.where(kept, flow_to_rgb(flow, max_speed, kept), grey)


def flow_key(size: int) -> Tensor:
    """The colour code itself, a disc with full saturation at its rim, white outside; ``(3, size, size)`` uint8."""
    y, x = torch.meshgrid(*2 * [torch.linspace(-1, 1, size)], indexing="ij")
    disc = flow_to_rgb(torch.stack((x, y)), max_speed=1.0)
    return torch.where(torch.hypot(x, y) <= 1, disc, 255).to(torch.uint8)


def _colour_wheel() -> Tensor:
    """The 55 hues of Middlebury's code, ``(55, 3)`` in 0..1: one channel at a time rises or falls in integer steps."""
    colour = [255, 0, 0]
    wheel = []
    for length, channel, sign in _STRETCHES:
        for step in range(length):
            value = 255 * step // length
            colour[channel] = value if sign > 0 else 255 - value
            wheel.append(tuple(colour))
        colour[channel] = 255 if sign > 0 else 0
    return torch.tensor(wheel) / 255
