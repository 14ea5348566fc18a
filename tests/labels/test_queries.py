from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.errors import ConfigError
from refine_motion.labels.queries import KINDS, dense_queries, seed_queries, unique_places

# Some beyond the frame.
COORDINATE = st.floats(-3, 22, allow_subnormal=False)


def noise(frames: int = 3, height: int = 40, width: int = 60) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (frames, 3, height, width), dtype=torch.uint8, generator=generator)


def whole_inside_and_each_once(places: torch.Tensor, size: tuple[int, int]) -> bool:
    x, y = places.unbind(dim=1)
    inside = (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
    return bool(inside.all()) and torch.equal(places, places.round()) and len(places.unique(dim=0)) == len(places)


@pytest.mark.parametrize("kinds", [("grid",), ("corners",), ("moving",), KINDS])
def test_seeds_are_whole_pixels_inside_each_once_and_the_same_again(kinds: tuple[str, ...]) -> None:
    found = seed_queries(noise(), kinds, 48)
    assert found.dtype == torch.float32
    assert whole_inside_and_each_once(found, (40, 60))
    assert 24 <= len(found) <= 60
    assert torch.equal(found, seed_queries(noise(), kinds, 48))
    # In the order of the picture.
    index = found[:, 1] * 60 + found[:, 0]
    assert (index.diff() > 0).all()


def test_each_kind_gets_its_part() -> None:
    grid = seed_queries(noise(), ("grid",), 16)
    both = seed_queries(noise(), ("grid", "corners"), 32)
    assert {tuple(place) for place in grid.tolist()} < {tuple(place) for place in both.tolist()}
    assert len(both) > 1.5 * len(grid)


def test_a_plain_picture_has_a_grid_alone() -> None:
    plain = torch.full((2, 3, 40, 60), 90, dtype=torch.uint8)
    assert seed_queries(plain, ("corners", "moving"), 30).shape == (0, 2)
    assert torch.equal(seed_queries(plain, KINDS, 30), seed_queries(plain, ("grid",), 10))


@pytest.mark.parametrize("kinds", [(), ("grid", "edges")])
def test_unknown_kinds_are_refused(kinds: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="grid, corners, moving"):
        seed_queries(noise(), kinds, 8)


@settings(max_examples=40, deadline=None)
@given(
    side=st.integers(1, 12),
    count=st.integers(1, 60),
    points=st.lists(st.tuples(COORDINATE, COORDINATE), min_size=1, max_size=5),
    taken=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 14)), max_size=30),
    seed=st.integers(0, 9),
)
def test_dense_places_lie_in_the_squares_and_are_new(
    side: int, count: int, points: list[tuple[float, float]], taken: list[tuple[int, int]], seed: int
) -> None:
    around, used = torch.tensor(points), torch.tensor(taken).float().view(-1, 2)
    found = dense_queries(around, side, count, (15, 20), used, seed)
    assert whole_inside_and_each_once(found, (15, 20))
    low, high = -((side - 1) // 2), side // 2
    wanted = {
        (x, y)
        for px, py in around.round().tolist()
        for x in range(int(px) + low, int(px) + high + 1)
        for y in range(int(py) + low, int(py) + high + 1)
        if 0 <= x < 20 and 0 <= y < 15
    } - set(taken)
    places = {(int(x), int(y)) for x, y in found.tolist()}
    assert places <= wanted
    assert len(places) == min(count, len(wanted))
    assert torch.equal(found, dense_queries(around, side, count, (15, 20), used, seed))


def test_the_draw_hangs_on_the_seed() -> None:
    around, none = torch.tensor([[30.0, 20.0]]), torch.zeros(0, 2)
    first, second = (dense_queries(around, 20, 40, (40, 60), none, seed) for seed in (1, 2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("points", "count"), [(0, 5), (3, 0)])
def test_nothing_asked_for_or_nothing_to_be_around(points: int, count: int) -> None:
    assert dense_queries(torch.zeros(points, 2), 4, count, (9, 9), torch.zeros(0, 2), 0).shape == (0, 2)


def test_unique_places_by_hand() -> None:
    places = torch.tensor([[3.4, 1.0], [2.6, 1.0], [0.0, 0.0], [4.6, 0.0], [-0.6, 0.0], [1.0, 1.6]])
    assert unique_places(places, (2, 5)).tolist() == [[0, 0], [3, 1]]


def test_large_frames_keep_neighbours_apart() -> None:
    # Beyond 2^24, not every whole number is a float32.
    places = torch.tensor([[7000.0, 4000.0], [7001.0, 4000.0], [7002.0, 4000.0]])
    assert torch.equal(unique_places(places, (4320, 7680)), places)
    left = dense_queries(places[[1]], 3, 9, (4320, 7680), places[[0]], 0)
    assert len(left) == 8
    assert [7001.0, 4000.0] in left.tolist()
