"""K-means by scikit-learn, the same with any number of threads on one kind of processor."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

# Points whose distances are in memory together.
_AT_ONCE = 8192


def kmeans(points: Tensor, count: int, seed: int = 0, starts: int = 1, iterations: int = 300) -> Tensor:
    """Centroids of clusters: Lloyd's rounds from a k-means++ start (Arthur and Vassilvitskii, SODA 2007).

    On the CPU, in double precision and in one thread: how sums are rounded depends on how they are shared out.

    Args:
        points: ``(M, D)``, with at least ``count`` different ones among them.
        count: K.
        seed: of the starts.
        starts: how many are tried; that with the smallest squared distances is taken.
        iterations: most rounds; it ends before where nothing changes.

    Returns:
        ``(K, D)`` float64 on the CPU. Each is the nearest of at least one point, see :func:`nearest`.

    Raises:
        ValueError: there are fewer different points than centroids.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    points = points.detach().cpu().double()
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # That a cluster has no point; it gets one below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(count, n_init=starts, max_iter=iterations, tol=0, random_state=seed).fit(points.numpy())
    return _none_empty(points, torch.from_numpy(found.cluster_centers_).clone())


def nearest(points: Tensor, centroids: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """The nearest centroid of each point, and how far the nearest few are.

    Not by matrix products, whose rounding depends on the number of threads and on what else is asked for.

    Args:
        points: ``(M, D)`` float64.
        centroids: ``(K, D)`` float64.
        count: of how many centroids the distances are wanted.

    Returns:
        ``(M,)`` int64, of several nearest the first; ``(M, count)`` Euclidean distances, from the least.
    """
    numbers, distances = [], []
    for part in points.split(_AT_ONCE):
        away = torch.cdist(part, centroids, compute_mode="donot_use_mm_for_euclid_dist")
        numbers.append(away.argmin(dim=1))
        distances.append(away.topk(count, dim=1, largest=False).values)
    return torch.cat(numbers), torch.cat(distances)


def _none_empty(points: Tensor, centroids: Tensor) -> Tensor:
    """A centroid that is nearest to no point takes the place of the one that is worst off."""
    while True:
        numbers, away = nearest(points, centroids)
        empty = (torch.bincount(numbers, minlength=len(centroids)) == 0).nonzero().flatten()
        if not len(empty):
            return centroids
        worst = away[:, 0].argmax()
        if not away[worst, 0] > 0:
            raise ValueError(f"{len(centroids)} centroids need as many different points")
        # That point gets closer, and no other farther: so this ends.
        centroids[empty[0]] = points[worst]
