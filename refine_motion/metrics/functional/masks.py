"""How well masks of objects agree, as DAVIS scores them; pure functions.

Region similarity J and contour accuracy F (Perazzi et al., CVPR 2016), and their statistics over the frames of a
sequence (Pont-Tuset et al., 2017, arXiv 1704.00675), equal to davisvideochallenge/davis2017-evaluation in its
semi-supervised mode. There is one exception: its decay is wrong for more than 256 scored frames, because its frame
numbers do not fit into their 8 bits; see :func:`statistics`.

Masks are ``(..., H, W)``: bool where they are of one object, numbers of objects (0 is the background, 255 void) where
they are called ids. Scores are float64, which Apple's GPUs have not: give masks on the CPU there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

VOID = 255
# Tolerance of a contour as a share of the frame's diagonal, and what an object must exceed to be recalled.
_TOLERANCE, _RECALLED = 0.008, 0.5
_BINS = 4


class Statistics(NamedTuple):
    """A score over the frames of a sequence, 0..1; the decay is in -1..1, and lower is better.

    Attributes:
        mean: over all frames.
        recall: share of the frames with a score above 0.5.
        decay: mean of the first quarter less that of the last.
    """

    mean: Tensor
    recall: Tensor
    decay: Tensor


def object_count(first: Tensor) -> int:
    """How many objects a sequence has: the largest number in its first mask ``(H, W)`` of ids; 0 where it is empty.

    >>> object_count(torch.tensor([[0, 3], [255, 1]]))
    3
    """
    return int(torch.where(first == VOID, 0, first).max())


def split_objects(ids: Tensor, count: int) -> Tensor:
    """Each object by itself; those that are not there are empty, and void is background.

    Args:
        ids: ``(..., H, W)``, integers.
        count: K, below 255.

    Returns:
        ``(..., K, H, W)`` bool: the objects 1 to K.
    """
    return ids[..., None, :, :] == torch.arange(1, count + 1, device=ids.device)[:, None, None]


def region_similarity(pred: Tensor, target: Tensor) -> Tensor:
    """J, the intersection over the union; 1 where both are empty.

    Args:
        pred: ``(..., H, W)`` bool.
        target: ``(..., H, W)`` bool, broadcast against ``pred``.

    Returns:
        ``(...)`` float64 in 0..1.

    Raises:
        ValueError: the sizes differ.

    >>> region_similarity(torch.tensor([[True, True]]), torch.tensor([[True, False]])).item()
    0.5
    """
    _check(pred, target)
    both, either = _area(pred & target), _area(pred | target)
    return torch.where(either > 0, both / either, 1.0)


def contour_accuracy(pred: Tensor, target: Tensor) -> Tensor:
    r"""F, the harmonic mean of precision and recall of the contour.

    A pixel of one contour is right when the other passes within ``ceil(0.008 * diagonal)`` pixels of it: 8 at 854 x
    480. Where both contours are empty F is 1, where one is, 0. Masks that fill the frame have no contour.

    Args:
        pred: ``(..., H, W)`` bool.
        target: ``(..., H, W)`` bool, broadcast against ``pred``.

    Returns:
        ``(...)`` float64 in 0..1.

    Raises:
        ValueError: the sizes differ.
    """
    _check(pred, target)
    reach = math.ceil(_TOLERANCE * math.hypot(*target.shape[-2:]))
    found, wanted = contour(pred), contour(target)
    length, wanted_length = _area(found), _area(wanted)
    precision = torch.where(length > 0, _area(found & dilate(wanted, reach)) / length, 1.0)
    recall = torch.where(wanted_length > 0, _area(wanted & dilate(found, reach)) / wanted_length, 1.0)
    # Without a contour on one side alone, nothing is near anything, so one of both is 0 and F is.
    both = precision + recall
    return torch.where(both > 0, 2 * precision * recall / both, 0.0)


def contour(masks: Tensor) -> Tensor:
    """Pixels that differ from their neighbour to the right, below, or both; the frame's edge makes no contour.

    Args:
        masks: ``(..., H, W)`` bool.

    Returns:
        ``(..., H, W)`` bool.
    """
    right = torch.cat((masks[..., 1:], masks[..., -1:]), dim=-1)
    below, diagonal = (torch.cat((each[..., 1:, :], each[..., -1:, :]), dim=-2) for each in (masks, right))
    return (masks != right) | (masks != below) | (masks != diagonal)


def dilate(masks: Tensor, radius: int) -> Tensor:
    """Pixels within a distance of a mask: ``x^2 + y^2 <= radius^2``, which is scikit-image's ``disk``.

    Args:
        masks: ``(..., H, W)`` bool.
        radius: in pixels, at least 0.

    Returns:
        ``(..., H, W)`` bool.

    >>> dilate(torch.tensor([[False, False, False], [True, False, False]]), 1).int()
    tensor([[1, 0, 0],
            [1, 1, 0]], dtype=torch.int32)
    """
    height, width = masks.shape[-2:]
    grown = torch.zeros_like(masks)
    # A disk is a run of pixels in each of its rows, and whether a run meets the mask is told by two running sums.
    sums = torch.nn.functional.pad(masks.int(), (radius + 1, radius)).cumsum(dim=-1, dtype=torch.int32)
    for row in range(min(radius + 1, height)):
        reach = math.isqrt(radius**2 - row**2)
        near = sums[..., radius + reach + 1 :][..., :width] > sums[..., radius - reach :][..., :width]
        grown[..., row:, :] |= near[..., : height - row, :]
        grown[..., : height - row, :] |= near[..., row:, :]
    return grown


def frame_scores(pred: Tensor, target: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """J and F of each object in one frame.

    Args:
        pred: ``(..., H, W)`` ids.
        target: ``(H, W)`` ids; void, and what is above ``count``, is background.
        count: K, as of :func:`object_count`.

    Returns:
        Two of ``(..., K)`` float64 in 0..1.

    Raises:
        ValueError: the sizes differ, or ``pred`` has a number above ``count``.
    """
    if int(pred.max()) > count:
        raise ValueError(f"a prediction has object {int(pred.max())}, but there are {count}")
    found, wanted = split_objects(pred, count), split_objects(target, count)
    return region_similarity(found, wanted), contour_accuracy(found, wanted)


def statistics(values: Tensor) -> Statistics:
    """Mean, recall and decay.

    The quarters of the decay end at frames ``round(1 + i (S - 1) / 4)``, i = 0..4, halves upwards, counted from 1, and
    hold both their ends, so that they overlap by a frame. The official code keeps these numbers in 8 bits, which are
    too few beyond 256 frames: there its decay is of other frames than it says, and this one is what it says.

    Args:
        values: ``(..., S)`` of the scored frames, in order; one at least.

    Returns:
        ``(...)`` each.

    Raises:
        ValueError: there is no frame.
    """
    count = values.shape[-1]
    if not count:
        raise ValueError("no frame is scored; a sequence needs 3, of which the first and the last do not count")
    ends = [(i * (count - 1) + _BINS // 2) // _BINS for i in range(_BINS + 1)]
    early, late = values[..., : ends[1] + 1], values[..., ends[-2] :]
    return Statistics(
        values.mean(dim=-1), (values > _RECALLED).to(values).mean(dim=-1), early.mean(dim=-1) - late.mean(dim=-1)
    )


def summary(regions: Tensor, contours: Tensor) -> dict[str, Tensor]:
    """The seven scores that DAVIS prints.

    Args:
        regions: ``(..., S)`` J of the scored frames.
        contours: ``(..., S)`` F of them.

    Returns:
        ``(...)`` each: ``jf``, the mean of both means; ``j_mean``, ``j_recall``, ``j_decay``; ``f_mean``, ``f_recall``,
        ``f_decay``.

    Raises:
        ValueError: see :func:`statistics`.
    """
    j, f = statistics(regions), statistics(contours)
    parts = {f"{letter}_{name}": each for letter, of in (("j", j), ("f", f)) for name, each in of._asdict().items()}
    return {"jf": (j.mean + f.mean) / 2, **parts}


def _area(masks: Tensor) -> Tensor:
    return masks.sum(dim=(-2, -1)).double()


def _check(pred: Tensor, target: Tensor) -> None:
    if pred.shape[-2:] != target.shape[-2:] or target.ndim < 2:
        raise ValueError(f"masks must be (..., H, W) of one size; got {tuple(pred.shape)} and {tuple(target.shape)}")
