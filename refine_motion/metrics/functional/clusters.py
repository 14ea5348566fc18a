"""How well clusters agree with classes; pure functions."""

from __future__ import annotations

import torch
from torch import Tensor


def cluster_table(clusters: Tensor, classes: Tensor, size: tuple[int, int]) -> Tensor:
    """How often each cluster and each class come together.

    Args:
        clusters: ``(M,)`` int64 in ``0..K - 1``.
        classes: ``(M,)`` int64 in ``0..C - 1``.
        size: ``(K, C)``.

    Returns:
        ``(K, C)`` int64.

    Raises:
        ValueError: the lengths differ, or a number is beyond its bounds.

    >>> cluster_table(torch.tensor([0, 0, 1]), torch.tensor([1, 1, 0]), (2, 2))
    tensor([[0, 2],
            [1, 0]])
    """
    if clusters.shape != classes.shape or clusters.ndim != 1:
        raise ValueError(f"a cluster and a class each: got {tuple(clusters.shape)} and {tuple(classes.shape)}")
    for name, numbers, count in zip(("clusters", "classes"), (clusters, classes), size, strict=True):
        if ((numbers < 0) | (numbers >= count)).any():
            raise ValueError(f"{name} must be in 0..{count - 1}, got {int(numbers.min())}..{int(numbers.max())}")
    return torch.bincount(clusters * size[1] + classes, minlength=size[0] * size[1]).view(size)


def purity(table: Tensor) -> Tensor:
    """Share of the members whose class is the most frequent one of their cluster.

    With as many clusters as members it is 1, so compare it at equal numbers of clusters only.

    Args:
        table: ``(K, C)`` as of :func:`cluster_table`.

    Returns:
        Scalar float64 in 0..1; not a number where there is no member.

    >>> purity(torch.tensor([[3, 1], [0, 4]])).item()
    0.875
    """
    return table.amax(dim=1).sum().double() / table.sum()
