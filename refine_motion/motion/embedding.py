"""Where an embedding finds the best match of a place, against where flow leads it: a second opinion on flow.

Forward and backward flow of one model can agree on a wrong motion; features that were trained without flow, such as
CorrFlow's (arXiv 1905.00875), do not share its habits. What they find is read off a window around where the flow leads,
as the mean place under the softmax of the correlation.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.motion.grid import pixel_grid
from refine_motion.motion.label_maps import to_pixels
from refine_motion.motion.on_demand import OnDemandCorrelation

# Of the window in cells to each side.
RADIUS = 4


def embedding_error(features_a: Tensor, features_b: Tensor, flow: Tensor, stride: int) -> Tensor:
    """How far the mean match of each place lies from where the flow leads it.

    It is 0 where nothing in the window looks any better than the rest, as on a surface without texture: the embedding
    then speaks neither for nor against the flow. Near the border of b, a window has only those places whose opposites
    are on the image too, or a flat surface would seem to match best further inside.

    Args:
        features_a: ``(B, C, h, w)`` of the source, a cell for every ``stride`` pixels, begun ones included; cell (y, x)
            is over the pixels from (y, x) times the stride.
        features_b: the same of the target.
        flow: ``(B, 2, H, W)`` from a to b in pixels.
        stride: pixels of a cell.

    Returns:
        ``(B, H, W)`` float32 in pixels, bilinear between cells, at most ``sqrt(2) * RADIUS * stride``, which it is
        where the flow of a cell leads out of b or is not a number.
    """
    features_a, features_b, flow = features_a.float(), features_b.float(), flow.float()
    height, width = flow.shape[-2:]
    rows, columns = features_a.shape[-2:]
    padded = F.pad(flow, (0, -width % stride, 0, -height % stride), mode="replicate")
    centre = pixel_grid(rows, columns, flow.device) + F.avg_pool2d(padded, stride) / stride
    # A pixel at the edge of the image lies up to half a cell beyond the centre of the last cell.
    around = F.pad(features_b, (1, 1, 1, 1), mode="replicate")
    logits = OnDemandCorrelation(features_a, around, levels=1, radius=RADIUS).lookup(centre + 1)
    reach = torch.arange(-RADIUS, RADIUS + 1, device=flow.device).view(-1, 1, 1)
    inside_x, inside_y = (_in_pairs(centre[:, [axis]] + reach, side) for axis, side in enumerate((columns, rows)))
    inside = inside_x[:, :, None] & inside_y[:, None]
    weights = logits.masked_fill(~inside.flatten(1, 2), -torch.inf).softmax(dim=1).view(inside.shape)
    # The first axis of a window is x, the second y.
    x, y = ((weights.sum(dim=other) * reach).sum(dim=1) for other in (2, 1))
    # The softmax of a window without any place is not a number.
    error = torch.hypot(x, y).nan_to_num(nan=math.hypot(RADIUS, RADIUS)) * stride
    return to_pixels(error[:, None], (rows * stride, columns * stride))[:, 0, :height, :width]


def _in_pairs(places: Tensor, side: int) -> Tensor:
    """Which places ``(B, 2R + 1, h, w)``, in cells along an axis of ``side``, lie on the image with their opposites."""
    # Not a number is neither.
    inside = (places >= -0.5) & (places <= side - 0.5)
    return inside & inside.flip(1)
