"""One track out of several looks at the same points: the place on which most of them agree, and where they do.

To take each track from the look that is doubted least, by its cycle error and by how its patches look, was tried and is
worse than the model's plain look alone: a model that lingers returns to where it began, and patches of a flat surface
look alike anywhere. What is wrong of one look, however, is seldom wrong of another in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from refine_motion.labels.track_looks import Ways
from refine_motion.labels.track_rules import PAPER_SIZE, pixels_at

# Looks so many pixels of the paper's frames from the agreed place count 1/e. Half or twice of it changes delta_avg by
# less than a tenth of a point.
_APART = 1.5
_ITERATIONS = 3
# A place is known where looks count so much on average: all of them 1.4 px away, or two of five right there.
_LEAST_SUPPORT = 0.4


@dataclass(frozen=True)
class Consensus:
    """What several looks say together.

    Attributes:
        ways: the agreed ways; seen where most looks see the point, and nowhere where too few agree on its place.
        spread: ``(S, N)`` root of the mean squared distance of the looks from the agreed places, in pixels.
    """

    ways: Ways
    spread: Tensor


def agree(ways: Sequence[Ways], size: tuple[int, int], placing: Sequence[bool] | None = None) -> Consensus:
    """Join looks at the same points; one alone is returned as it is.

    Places are modes of the looks: from their median, three steps of mean shift under an exponential kernel.

    Args:
        ways: of each look. Places that are not finite have no say.
        size: ``(H, W)`` of the frames.
        placing: of each look, whether places are modes of it too; the others say only whether a place is supported and
            seen. None is all of them.
    """
    if len(ways) == 1:
        return Consensus(ways[0], torch.zeros_like(ways[0].cycle))
    scale = pixels_at(_APART, PAPER_SIZE, size)
    chosen = list(ways) if placing is None else [way for way, places in zip(ways, placing, strict=True) if places]
    places = _mode(torch.stack([way.places for way in chosen]), scale)
    back = _mode(torch.stack([_gone_back(way) for way in chosen]), scale)
    back = torch.where(back.isfinite(), back, places)
    seen, seen_back = (_most([getattr(way, name) for way in ways]) for name in ("seen", "seen_back"))
    distance = _distance(torch.stack([way.places for way in ways]), places)
    supported = torch.exp(-distance / scale).mean(dim=0) >= _LEAST_SUPPORT
    # Where a point begins is given.
    supported[0] = True
    seen, seen_back = seen & supported, seen_back & supported
    ends = torch.where(seen & seen_back, torch.arange(len(places))[:, None], 0).amax(dim=0)
    return Consensus(Ways(places, seen, back, seen_back, ends), distance.square().mean(dim=0).sqrt())


def _gone_back(way: Ways) -> Tensor:
    """Its way back; not a number beyond where that began, or what came back elsewhere would count half."""
    beyond = torch.arange(len(way.back))[:, None] > way.ends
    return way.back.masked_fill(beyond[..., None], torch.nan)


def _mode(looks: Tensor, scale: float) -> Tensor:
    """Mode ``(S, N, 2)`` of places ``(V, S, N, 2)``; not a number where none is one."""
    valid = looks.isfinite().all(dim=-1, keepdim=True)
    mode = looks.where(valid, torch.nan).nanquantile(0.5, dim=0)
    for _ in range(_ITERATIONS):
        weights = torch.softmax(-_distance(looks, mode) / scale, dim=0)
        mode = (weights[..., None] * looks.where(valid, 0.0)).sum(dim=0)
    return mode


def _distance(looks: Tensor, places: Tensor) -> Tensor:
    return (looks - places).norm(dim=-1).nan_to_num(nan=torch.inf)


def _most(votes: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(votes)).float().mean(dim=0) > 0.5
