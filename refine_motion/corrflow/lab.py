"""RGB to CIE Lab as CorrFlow's colour targets were made: by OpenCV's conversion of float pictures.

OpenCV reads a table of 33 x 33 x 33 colours by trilinear interpolation, in whole numbers. It is up to 0.4 away from the
formula (which Kornia computes), enough to change the colour class of 1 pixel in 250; so the table is made again here.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import torch
from torch import Tensor

# Steps between the colours of the table, and parts of a step that are told apart.
_STEPS, _PARTS = 32, 16
# The number that stands for the whole range of a channel: R, G, B from 0 to 1, L from 0 to 100, a and b over 256.
_WHOLE = 2**14
# Linear RGB of sRGB's primaries to XYZ (ITU-R BT.709), and the white of daylight D65.
_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.950456, 1.0, 1.088754)


def rgb_to_lab(frames: Tensor) -> Tensor:
    """CIE Lab of sRGB frames.

    Args:
        frames: ``(..., 3, H, W)`` RGB, uint8 or float in 0..255.

    Returns:
        ``(..., 3, H, W)`` float32: L in 0..100, a and b in about -110..110.
    """
    levels = (frames.movedim(-3, -1).float() / 255 * _WHOLE).round().int()
    step = _WHOLE // _STEPS
    node, part = levels // step, levels % step // (step // _PARTS)
    table = _table(frames.device)
    total = torch.zeros_like(levels)
    for corner in product((0, 1), repeat=3):
        share = torch.ones_like(levels[..., 0])
        index = torch.zeros_like(share)
        for channel, beyond in enumerate(corner):
            share = share * (part[..., channel] if beyond else _PARTS - part[..., channel])
            # Beyond the last colour nothing has a share.
            index = index * (_STEPS + 1) + (node[..., channel] + beyond).clamp(max=_STEPS)
        total += share[..., None] * table[index]
    whole = _PARTS**3
    lab = ((total + whole // 2) // whole).float() / _WHOLE
    lightness, a, b = lab.unbind(-1)
    return torch.stack((100 * lightness, 256 * a - 128, 256 * b - 128), dim=-3)


@cache
def _table(device: torch.device) -> Tensor:
    """Lab of the table's colours in whole numbers, ``(33 * 33 * 33, 3)`` int32, red slowest."""
    levels = torch.linspace(0, 1, _STEPS + 1, dtype=torch.float64)
    rgb = torch.cartesian_prod(levels, levels, levels)
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ torch.tensor(_TO_XYZ, dtype=torch.float64).T / torch.tensor(_WHITE, dtype=torch.float64)
    # CIE 15: a cube root, and a straight line near black.
    bent = torch.where(xyz > (6 / 29) ** 3, xyz ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = bent.unbind(-1)
    lab = torch.stack(((116 * y - 16) / 100, (500 * (x - y) + 128) / 256, (200 * (y - z) + 128) / 256), dim=-1)
    return (lab * _WHOLE).round().int().to(device)
