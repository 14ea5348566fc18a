"""The motion that most of a picture shares, the camera's as a rule: one affine field fitted to flow that has outliers.

Three-point hypotheses scored robustly (RANSAC, Fischler and Bolles 1981) find the largest group that moves together;
re-weighted least squares with Tukey's biweight (Huber and Ronchetti, *Robust Statistics*) then fits it without the
rest, as in parametric motion estimation (Odobez and Bouthemy 1995).
"""

from __future__ import annotations

import torch
from torch import Tensor

_POINTS = 4000
_HYPOTHESES, _SCORED = 256, 600
# Flow of one motion agrees about as well as this, in pixels; finer differences do not tell motions apart.
_NOISE = 0.5
_STEPS = 8
# Scales are those of the third which agrees best, so that the group need not be a majority; of a Gaussian in two
# dimensions, a third is shorter than this many standard deviations of a component.
_THIRD, _THIRD_LENGTH = 1 / 3, 0.9005
_CUT = 5.0
_LEAST_SCALE = 0.05


def fit_dominant_motion(xy: Tensor, flow: Tensor, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Affine motion of the largest group of points that moves together; two fifths of outliers do not move it.

    Args:
        xy: ``(N, 2)`` positions (x, y) in pixels.
        flow: ``(N, 2)`` finite displacements in pixels.
        size: ``(H, W)`` of the picture in pixels.
        seed: of the choice of points and hypotheses; 4000 points are looked at where there are more.

    Returns:
        ``(2, 3)`` float32 ``A`` with ``flow = A [x, y, 1]``, on the CPU. Fewer than three points give their median as a
        translation, none gives zeros; points on one line give the fit with the smallest linear part.

    Raises:
        ValueError: the shapes do not belong together.
    """
    if xy.shape != flow.shape or xy.shape[1:] != (2,):
        raise ValueError(f"xy and flow must both be (N, 2), got {tuple(xy.shape)} and {tuple(flow.shape)}")
    generator = torch.Generator().manual_seed(seed)
    chosen = _spread(len(xy), _POINTS, generator)
    centre = (torch.tensor([size[1], size[0]], dtype=torch.float64) - 1) / 2
    scale = max(size) / 2
    place = (xy.cpu()[chosen].double() - centre) / scale
    target = flow.cpu()[chosen].double()
    found = _fit(torch.cat((place, torch.ones(len(place), 1, dtype=torch.float64)), dim=1), target, generator)
    linear = found[:2].T / scale
    return torch.cat((linear, (found[2] - linear @ centre)[:, None]), dim=1).float()


def affine_flow(motion: Tensor, xy: Tensor) -> Tensor:
    """Displacement ``(N, 2)`` in pixels of an affine motion ``(2, 3)`` at positions ``xy (N, 2)``."""
    return xy @ motion[:, :2].T + motion[:, 2]


def _spread(count: int, most: int, generator: torch.Generator) -> Tensor:
    """At most so many of the numbers below ``count``, one from each of equal stretches, ascending."""
    if count <= most:
        return torch.arange(count)
    places = torch.arange(most) + torch.rand(most, generator=generator, dtype=torch.float64)
    return (places * (count / most)).long()


def _fit(points: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
    """``(3, 2)`` with ``target (N, 2) = points (N, 3) @ it`` for most of them."""
    translation = torch.zeros(3, 2, dtype=torch.float64)
    if len(points) == 0:
        return translation
    translation[2] = target.quantile(0.5, dim=0)
    if len(points) < 3:
        return translation
    hypotheses = torch.cat((translation[None], _three_point_fits(points, target, generator)))
    few = _spread(len(points), _SCORED, generator)
    distance = (points[few] @ hypotheses - target[few]).square().sum(dim=2)
    # How well the best hypothesis fits its third of the points tells what agreement is, under parallax too. The score
    # then counts who agrees; by how much the others do not must not matter, or a shear between two motions would win.
    third = distance.kthvalue(1 + int(_THIRD * (len(few) - 1)), dim=1).values
    agreement = third.min().clamp(min=_NOISE**2)
    solution = hypotheses[(distance / (distance + agreement)).sum(dim=1).argmin()]
    for _ in range(_STEPS):
        error = (points @ solution - target).square().sum(dim=1).sqrt()
        limit = _CUT * max(error.quantile(_THIRD).item() / _THIRD_LENGTH, _LEAST_SCALE)
        weight = (1 - (error / limit).square()).clamp(min=0).square()[:, None]
        solution = _least_squares(points, target, weight, solution)
    return solution


def _three_point_fits(points: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
    """``(K, 3, 2)`` exact fits of random triples that span an area."""
    triples = torch.randint(len(points), (_HYPOTHESES, 3), generator=generator)
    triples = triples[torch.linalg.det(points[triples]).abs() > 1e-9]
    return torch.linalg.solve(points[triples], target[triples])


def _least_squares(points: Tensor, target: Tensor, weight: Tensor, start: Tensor) -> Tensor:
    """The change of ``start`` is what is solved for, so that what the points do not tell stays as it was."""
    weighted = (points * weight).T
    inverse = torch.linalg.pinv(weighted @ points, rtol=1e-10, hermitian=True)
    return start + inverse @ (weighted @ (target - points @ start))
