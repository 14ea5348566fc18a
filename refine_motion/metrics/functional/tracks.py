"""Scores of the tracks of one video, from which the track metrics are made; pure functions.

Shapes: places ``(T, N, 2)`` in pixels, masks and distances ``(T, N)``. A score of nothing is not a number, never 0.

======================  ================================================================================
metric                  definition
======================  ================================================================================
AJ, delta, OA           TAP-Vid (Doersch et al., NeurIPS 2022, arXiv 2211.03726): see :func:`tap_vid`
d_avg, survival, MedTE  PIPs++ (Zheng et al., ICCV 2023, arXiv 2307.15055): :func:`within_thresholds`,
                        :func:`survival`, :func:`median_trajectory_error`
ATE                     PIPs (Harley et al., ECCV 2022, arXiv 2204.04153): :func:`average_trajectory_error`
PCK                     as in ajabri/videowalk ``eval_pck.py``: :func:`correct_keypoints`
PCK-T                   BADJA (Biggs et al., ACCV 2018, arXiv 1811.05804): :func:`correct_transfers`
======================  ================================================================================
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

QueryMode = Literal["first", "strided"]
THRESHOLDS = (1, 2, 4, 8, 16)
# Of its size, the limit within which a joint counts as found: of the root of the animal's area (BADJA), and of the
# person's box (JHMDB).
_BADJA_SHARE, _BOX_SHARE = 0.2, 0.6


def queries(visible: Tensor, mode: QueryMode, stride: int = 5) -> tuple[Tensor, Tensor]:
    """From which frame each point is followed.

    Args:
        visible: ``(T, N)`` bool.
        mode: ``first``: each point once, from the first frame in which it is seen; one that never is has no query.
            ``strided``: in every frame 0, stride, 2 stride ..., each point that is seen there.
        stride: frames from one query frame to the next.

    Returns:
        Frames ``(M,)`` and numbers of the points ``(M,)``, in TAP-Vid's order.

    >>> queries(torch.tensor([[False, True], [True, True]]), "first")
    (tensor([1, 0]), tensor([0, 1]))
    """
    if mode == "first":
        points = torch.nonzero(visible.any(dim=0))[:, 0]
        return visible[:, points].int().argmax(dim=0), points
    frames, points = torch.nonzero(visible[::stride]).unbind(dim=1)
    return stride * frames, points


def counted(frames: Tensor, count: int, mode: QueryMode) -> Tensor:
    """Which frames of each query are scored: those after it (``first``), or all others (``strided``).

    Args:
        frames: ``(N,)`` frame of each query.
        count: T.
        mode: see :func:`queries`.

    Returns:
        ``(T, N)`` bool.
    """
    time = torch.arange(count, device=frames.device)[:, None]
    return time > frames.round() if mode == "first" else time != frames.round()


def distance(pred: Tensor, target: Tensor) -> Tensor:
    """``(T, N)`` distance in pixels of places ``(T, N, 2)``; infinite where an estimate is not a number.

    Raises:
        ValueError: the shapes differ or are not ``(T, N, 2)``.
    """
    if pred.shape != target.shape or pred.ndim != 3 or pred.shape[-1] != 2:
        raise ValueError(f"tracks must be (T, N, 2), both alike; got {tuple(pred.shape)} and {tuple(target.shape)}")
    return torch.where(pred.isnan().any(dim=-1), torch.inf, (pred - target).norm(dim=-1))


def tap_vid(
    pred: Tensor, pred_visible: Tensor, target: Tensor, visible: Tensor, counted: Tensor, per_track: bool = False
) -> dict[str, Tensor]:
    r"""Scores of TAP-Vid, with e the distance, v and v' true and estimated visibility, over counted frames E.

    .. math::

        \delta_k = \frac{\sum E v [e < k]}{\sum E v} \qquad
        J_k = \frac{\sum E v v' [e < k]}{\sum E v + \sum E v' (\neg v \lor e \ge k)} \qquad
        OA = \frac{\sum E [v = v']}{\sum E}

    A point that is seen in truth and estimate but too far off counts twice against :math:`J_k`, as officially.
    TAP-Vid scores at 256 x 256 pixels; that is up to the caller.

    Args:
        pred: ``(T, N, 2)``.
        pred_visible: ``(T, N)`` bool.
        target: ``(T, N, 2)``.
        visible: ``(T, N)`` bool.
        counted: ``(T, N)`` bool, as of :func:`counted`.
        per_track: a value for each track instead of one for all.

    Returns:
        float64 scalars, or ``(N,)``, in 0..1: ``oa``, ``delta_1`` to ``delta_16``, ``delta_avg``, ``jaccard_1`` to
        ``jaccard_16``, ``aj``; all but ``oa`` are no numbers where no counted point is seen, so that all are means over
        the same videos (officially the Jaccard is 0 there, unless nothing is said to be seen).

    Raises:
        ValueError: see :func:`distance`.
    """
    distance(pred, target)
    squares = (pred - target).square().sum(dim=-1)

    def total(mask: Tensor) -> Tensor:
        return mask.sum(dim=0).double() if per_track else mask.sum().double()

    seen = counted & visible
    found = {"oa": total(counted & (visible == pred_visible)) / total(counted)}
    for k in THRESHOLDS:
        # Not a number is not near.
        near = squares < k**2
        hits = total(seen & near & pred_visible)
        misses = total(counted & pred_visible & (~visible | ~near))
        found[f"delta_{k}"] = total(seen & near) / total(seen)
        found[f"jaccard_{k}"] = torch.where(total(seen) > 0, hits / (total(seen) + misses), torch.nan)
    found["delta_avg"] = torch.stack([found[f"delta_{k}"] for k in THRESHOLDS]).mean(dim=0)
    found["aj"] = torch.stack([found[f"jaccard_{k}"] for k in THRESHOLDS]).mean(dim=0)
    return found


def within_thresholds(distances: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """Share of valid points nearer than 1, 2, 4, 8 and 16 px, and their mean; the first frame does not count (PIPs++).

    Args:
        distances: ``(T, N)``; PIPs++ divides places by (W / 256, H / 256) first.
        valid: ``(T, N)`` bool: where the truth is known.

    Returns:
        float64 scalars in 0..1: ``d_1`` to ``d_16``, ``d_avg``.
    """
    later = valid.clone()
    later[0] = False
    found = {f"d_{k}": (later & (distances < k)).sum().double() / later.sum() for k in THRESHOLDS}
    found["d_avg"] = torch.stack(list(found.values())).mean()
    return found


def survival(distances: Tensor, valid: Tensor, threshold: float, query_frames: Tensor | None = None) -> Tensor:
    """Share of all frames of tracks that come before each is first farther off than a threshold, to be told with it.

    PIPs++ and CoTracker follow every point from the first frame. Of a point that is given later only the frames from
    its query on count: before it there was nothing to lose.

    Args:
        distances: ``(T, N)``.
        valid: ``(T, N)`` bool; a frame without truth fails nobody.
        threshold: in pixels: 16 in PIPs++, 50 in CoTracker; a distance of just that survives.
        query_frames: ``(N,)`` frame of each query; the first when ``None``.

    Returns:
        float64 scalar in 0..1.

    >>> survival(torch.tensor([[0.0], [3.0], [20.0], [1.0]]), torch.ones(4, 1, dtype=torch.bool), 16)
    tensor(0.5000, dtype=torch.float64)
    """
    if query_frames is None:
        query_frames = torch.zeros(distances.shape[1], device=distances.device)
    followed = torch.arange(len(distances), device=distances.device)[:, None] >= query_frames.round()
    fine = ~(followed & valid & (distances > threshold))
    return (fine.double().cumprod(dim=0) * followed).sum() / followed.sum()


def median_trajectory_error(distances: Tensor, valid: Tensor) -> tuple[Tensor, int]:
    """Mean over the tracks of each one's median distance over its valid frames (PIPs++).

    Args:
        distances: ``(T, N)``.
        valid: ``(T, N)`` bool.

    Returns:
        float64 scalar in pixels, and how many tracks have no valid frame and take no part.
    """
    known = valid.any(dim=0)
    ordered = torch.where(valid, distances.double(), torch.nan)
    # Of an even number, the mean of both middles; nanmedian takes the lower.
    medians = ((ordered.nanmedian(dim=0).values - (-ordered).nanmedian(dim=0).values) / 2)[known]
    return medians.mean() if len(medians) else torch.tensor(torch.nan, dtype=torch.float64), int((~known).sum())


def average_trajectory_error(distances: Tensor, valid: Tensor) -> Tensor:
    """Mean distance over valid points of all frames, in pixels (PIPs).

    Args:
        distances: ``(T, N)``.
        valid: ``(T, N)`` bool.

    Returns:
        float64 scalar.
    """
    return torch.where(valid, distances.double(), 0.0).sum() / valid.sum()


def correct_keypoints(pred: Tensor, target: Tensor, alphas: Tensor) -> tuple[Tensor, Tensor]:
    """Joints that are found in the frames after the first, by JHMDB's rule as ajabri/videowalk scores it.

    A joint is found within alpha times 0.6 times the diagonal of the box around the true places of all joints of that
    frame for which there is an estimate.

    Args:
        pred: ``(T, J, 2)`` in pixels; a negative x says that there is no estimate.
        target: ``(T, J, 2)``.
        alphas: ``(A,)``.

    Returns:
        Counts ``(A, J)`` of those found and ``(J,)`` of those with an estimate, int64.

    Raises:
        ValueError: see :func:`distance`.
    """
    distances, estimated = distance(pred, target), pred[..., 0] >= 0
    inside = estimated[..., None]
    low = torch.where(inside, target, torch.inf).amin(dim=1)
    high = torch.where(inside, target, -torch.inf).amax(dim=1)
    size = _BOX_SHARE * (high - low).norm(dim=-1)
    later = estimated.clone()
    later[0] = False
    near = distances / size[:, None] <= alphas[:, None, None]
    return (later & near).sum(dim=1), later.sum(dim=0)


def correct_transfers(distances: Tensor, visible: Tensor, areas: Tensor) -> tuple[Tensor, Tensor]:
    """Joints that are found after the first frame, by BADJA's rule: nearer than 0.2 of the root of the animal's area.

    Args:
        distances: ``(T, N)`` in pixels, at 320 x 512 in the published figures.
        visible: ``(T, N)`` bool.
        areas: ``(T,)`` pixels of the animal in each frame, its own.

    Returns:
        Counts of those found and of all visible ones.
    """
    later = visible.clone()
    later[0] = False
    near = distances < _BADJA_SHARE * areas.to(distances).sqrt()[:, None]
    return (later & near).sum(), later.sum()
