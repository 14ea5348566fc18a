"""How far a track can be trusted, by the errors of the cycles that it was verified with."""

from __future__ import annotations

import torch
from torch import Tensor

# Accumulated error at which the confidence has fallen to 1/e, in pixels.
_SCALE = 4.0


def confidence(error: Tensor, verified: Tensor, frames: Tensor) -> Tensor:
    r"""Confidence of points, each at some frame.

    .. math:: c = \exp(-e / 4) \cdot v / n

    A heuristic of this package: a point of which every step came back to where it started has 1.

    Args:
        error: e, accumulated cycle error of the steps since the query, the root of the sum of their squares (steps err
            independently), in pixels.
        verified: v, frames since the query that were verified: for PIPs, those up to the first step that was not; for
            linked flow, those that a verified way led to, also after others.
        frames: n, frames since the query.

    Returns:
        In 0..1, in the shape of the arguments; 1 at the query.

    >>> confidence(torch.tensor([0.0, 4.0]), torch.tensor([5, 5]), torch.tensor([10, 5]))
    tensor([0.5000, 0.3679])
    """
    share = torch.where(frames > 0, verified / frames.clamp(min=1), 1.0)
    return torch.exp(-error / _SCALE) * share
