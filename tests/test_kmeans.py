from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refine_motion import kmeans as room
from refine_motion.kmeans import kmeans, nearest


def uneven(seed: int, count: int = 30, dimensions: int = 2) -> Tensor:
    """Points on all scales: with these, Lloyd's rounds leave clusters without points now and then."""
    generator = torch.Generator().manual_seed(seed)
    scale = 10 ** (11 * torch.rand(count, 1, generator=generator, dtype=torch.float64) - 8)
    return scale * torch.randn(count, dimensions, generator=generator, dtype=torch.float64)


def test_centroids_are_the_means_of_their_points() -> None:
    points = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    centroids = kmeans(points, 7)
    numbers, _ = nearest(points.double(), centroids)
    means = torch.stack([points.double()[numbers == number].mean(dim=0) for number in range(7)])
    torch.testing.assert_close(centroids, means, rtol=0, atol=1e-9)


def test_one_centroid_is_the_mean() -> None:
    points = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(kmeans(points, 1), points.mean(dim=0, keepdim=True))


def test_more_starts_are_no_worse() -> None:
    points = torch.randn(300, 2, generator=torch.Generator().manual_seed(0)).double()
    costs = [nearest(points, kmeans(points, 12, starts=n))[1].square().sum() for n in (1, 20)]
    assert costs[1] <= costs[0]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(20, 30))
def test_no_cluster_is_empty(seed: int, count: int) -> None:
    points = uneven(seed)
    numbers, _ = nearest(points, kmeans(points, count, seed))
    assert numbers.unique().tolist() == list(range(count))


def test_an_empty_cluster_takes_the_point_that_is_worst_off() -> None:
    points = torch.tensor([[0.0], [1.0], [10.0]], dtype=torch.float64)
    centroids = torch.tensor([[0.5], [99.0], [98.0]], dtype=torch.float64)
    # First 10, of which nothing was near, then 0, which is as far from the first centroid as 1.
    assert room._none_empty(points, centroids).flatten().tolist() == [0.5, 10, 0]


def test_fewer_different_points_than_centroids() -> None:
    with pytest.raises(ValueError, match="3 centroids need as many different points"):
        kmeans(torch.tensor([[0.0], [1.0], [1.0], [0.0]]), 3)


@given(st.integers(0, 1000))
def test_the_nearest_few(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # On a grid, where many are equally near.
    points, centroids = (torch.randint(0, 3, (n, 2), generator=generator).double() for n in (20, 5))
    away = (points[:, None] - centroids).square().sum(dim=-1).sqrt()
    numbers, three = nearest(points, centroids, 3)
    assert torch.equal(numbers, torch.tensor([row.tolist().index(row.min()) for row in away]))
    torch.testing.assert_close(three, away.sort(dim=1).values[:, :3])


def test_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    whole = nearest(points, points[:4], 2)
    monkeypatch.setattr(room, "_AT_ONCE", 7)
    assert all(torch.equal(a, b) for a, b in zip(nearest(points, points[:4], 2), whole, strict=True))
