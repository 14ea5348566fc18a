from __future__ import annotations

import math

import pytest
import torch

from refine_motion.propagation.point_maps import maps_to_points, points_to_maps


def test_the_published_bell() -> None:
    """ajabri/videowalk: a value of 1 on the rounded cell, and cells from 2 before it to 1 after it."""
    maps = points_to_maps(torch.tensor([[21.0, 13.0]]), (10, 12), 4, exact=False)
    assert maps.shape == (2, 10, 12)
    rows, columns = torch.nonzero(maps[1]).unbind(dim=1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 4, 3, 6)
    assert maps[1, 3, 5] == 1
    assert maps[1, 3, 6] == maps[1, 2, 5] == pytest.approx(math.exp(-2))
    assert torch.equal(maps[0] == 0, maps[1] > 0)
    assert set(maps[0].unique().tolist()) == {0, 1}


def test_the_exact_bell_is_where_the_point_is() -> None:
    # The middle of cell (5, 3) is at 4 * 5 + 1.5, 4 * 3 + 1.5.
    maps = points_to_maps(torch.tensor([[21.5, 13.5], [23.5, 15.5]]), (10, 12), 4)
    assert maps[1, 3, 5] == 1
    # The corner of four cells is as far from each of them.
    assert maps[2, 3:5, 5:7].flatten().tolist() == pytest.approx([math.exp(-1)] * 4)
    rows, columns = torch.nonzero(maps[2]).unbind(dim=1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 5, 4, 7)


def test_there_and_back() -> None:
    xy = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0)) * 200 + 20
    found = maps_to_points(points_to_maps(xy, (60, 70), 4)[1:], 4)
    assert (found - xy).abs().max() < 0.75
    assert (found - xy).mean(dim=0).abs().max() < 0.03
    # The published rule rounds to cells and prefers their upper left.
    published = maps_to_points(points_to_maps(xy, (60, 70), 4, exact=False)[1:], 4, exact=False)
    assert (published - xy).mean(dim=0).max() < -0.3


@pytest.mark.parametrize("exact", [True, False])
def test_points_outside(exact: bool) -> None:
    xy = torch.tensor([[-30.0, 5.0], [5.0, 400.0], [5.0, 5.0]])
    maps = points_to_maps(xy, (6, 6), 4, exact)
    assert maps[1:3].sum() == 0
    found = maps_to_points(maps[1:], 4, exact)
    assert found[:2].isnan().all()
    assert found[2].isfinite().all()
    # Just outside, a part of the bell is inside.
    assert points_to_maps(torch.tensor([[-3.0, 9.0]]), (6, 6), 4, exact)[1].sum() > 0
