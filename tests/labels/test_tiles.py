from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.labels.tiles import plan_tiles


@settings(max_examples=60, deadline=None)
@given(height=st.integers(60, 400), width=st.integers(60, 400), max_pixels=st.integers(2500, 200_000))
def test_tiles_cover_a_frame_and_join_to_what_they_were_cut_from(height: int, width: int, max_pixels: int) -> None:
    tiles = plan_tiles((height, width), max_pixels)
    assert math.prod(tiles.side) <= max_pixels
    maps = torch.rand(2, height, width)
    cut = tiles.cut(maps)
    assert len(cut) == len(tiles.tops) * len(tiles.lefts)
    assert {tuple(tile.shape) for tile in cut} == {(2, *tiles.side)}
    torch.testing.assert_close(tiles.join(cut), maps)
    for starts, side, length in ((tiles.tops, tiles.side[0], height), (tiles.lefts, tiles.side[1], width)):
        assert starts[0] == 0
        assert starts[-1] + side == length
        # No point in three tiles of a row.
        assert all(third >= first + side for first, third in zip(starts, starts[2:], strict=False))


def test_what_fits_is_one_tile() -> None:
    tiles = plan_tiles((100, 160), 16_000)
    assert (tiles.side, tiles.tops, tiles.lefts, tiles.reach) == ((100, 160), (0,), (0,), 160)
    # The longer side is divided first: two tiles of 99 columns share 38, of which 12 on either side do not count.
    tiles = plan_tiles((100, 160), 15_999)
    assert (tiles.side, tiles.tops, tiles.lefts, tiles.reach) == ((100, 99), (0,), (0, 61), 12)


@pytest.mark.parametrize("axis", [0, 1])
def test_at_its_edge_a_tile_does_not_count_and_then_ever_more(axis: int) -> None:
    tiles = plan_tiles((100, 160) if axis else (160, 100), 15_999)
    first, second = (torch.full((1, *tiles.side), value) for value in (0.0, 1.0))
    found = tiles.join([first, second])[0].select(1 - axis, 50)
    assert (found.diff() >= 0).all()
    start, stop = 61, 99
    assert found[: start + tiles.reach].abs().max() < 1e-6
    assert (found[stop - tiles.reach :] - 1).abs().max() < 1e-6
    assert found[(start + stop) // 2] == pytest.approx(0.5, abs=0.05)
    assert found.diff().max() < 1.5 / (stop - start - 2 * tiles.reach)


def test_motion_within_reach_stays_inside_the_tile_that_counts() -> None:
    tiles = plan_tiles((300, 500), 20_000)
    assert len(tiles.tops) > 1
    assert len(tiles.lefts) > 2
    for number in range(len(tiles.tops) * len(tiles.lefts)):
        alone = [torch.full((1, *tiles.side), float(number == n)) for n in range(len(tiles.tops) * len(tiles.lefts))]
        y, x = (tiles.join(alone)[0] > 0).nonzero().T
        top, left = tiles.tops[number // len(tiles.lefts)], tiles.lefts[number % len(tiles.lefts)]
        bottom, right = top + tiles.side[0], left + tiles.side[1]
        # At the edges of the frame nothing lies beyond.
        assert top == 0 or y.min() - tiles.reach >= top
        assert left == 0 or x.min() - tiles.reach >= left
        assert bottom == 300 or y.max() + tiles.reach < bottom
        assert right == 500 or x.max() + tiles.reach < right
