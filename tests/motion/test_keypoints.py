from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.motion.keypoints import corners, grid, moving_corners, spread


def squares(*boxes: tuple[int, int, int, int, int], size: tuple[int, int] = (48, 64)) -> torch.Tensor:
    """A grey picture ``(3, H, W)`` with rectangles ``left, top, right, bottom`` (within) of some brightness."""
    image = torch.full((3, *size), 100, dtype=torch.uint8)
    for left, top, right, bottom, value in boxes:
        image[:, top : bottom + 1, left : right + 1] = value
    return image


def nearest(found: torch.Tensor, wanted: list[list[int]]) -> torch.Tensor:
    """Distance of each wanted place from what was found, and of each found from what was wanted."""
    distance = torch.cdist(found, torch.tensor(wanted).float())
    return torch.cat((distance.amin(dim=0), distance.amin(dim=1)))


@given(height=st.integers(1, 60), width=st.integers(1, 60), count=st.integers(1, 100))
def test_grid_is_even_and_half_a_step_from_the_edges(height: int, width: int, count: int) -> None:
    found = grid((height, width), count)
    x, y = found[:, 0].unique(), found[:, 1].unique()
    assert len(found) == len(x) * len(y) == len(found.unique(dim=0))
    for places, side in ((x, width), (y, height)):
        step = side / len(places)
        torch.testing.assert_close(places, torch.arange(len(places)) * step + step / 2 - 0.5)
        assert places.min() >= 0
        assert places.max() <= side - 1


def test_grid_by_hand() -> None:
    assert grid((2, 4), 2).tolist() == [[0.5, 0.5], [2.5, 0.5]]
    assert len(grid((256, 448), 64)) == 66  # 6 rows of 11.


def test_corners_of_a_square_are_found_and_its_edges_are_not() -> None:
    image = squares((20, 12, 43, 31, 220))
    found = corners(image, 4)
    assert len(found) == 4
    assert nearest(found, [[20, 12], [43, 12], [20, 31], [43, 31]]).max() < 2


def test_the_strongest_come_first_and_are_not_close_together() -> None:
    image = squares((8, 8, 15, 15, 130), (40, 24, 55, 39, 255))
    found = corners(image, 8)
    assert nearest(found[:4], [[40, 24], [55, 24], [40, 39], [55, 39]]).max() < 2
    assert nearest(found, [[x, y] for x in (8, 15, 40, 55) for y in ((8, 15) if x < 20 else (24, 39))]).max() < 2
    assert corners(image, 4).shape == (4, 2)
    assert torch.pdist(found).min() > 5


def test_places_come_closer_only_as_far_as_they_must() -> None:
    # Dots, the brightest first, of which the second is 5 px from the first and the fourth 10 from the third.
    dots = [(10, 10, 255), (15, 10, 245), (40, 10, 235), (50, 10, 225), (30, 35, 200)]
    image = squares(*((x, y, x, y, value) for x, y, value in dots))
    assert nearest(corners(image, 3), [[10, 10], [40, 10], [30, 35]]).max() < 2
    # Three are 14 px apart, four 7, five 3.
    assert nearest(corners(image, 4), [[10, 10], [40, 10], [50, 10], [30, 35]]).max() < 2
    assert nearest(corners(image, 5), [[x, y] for x, y, _ in dots]).max() < 2


def test_a_plain_picture_has_no_corner() -> None:
    for value in (0, 77, 255):
        assert corners(torch.full((3, 40, 50), value, dtype=torch.uint8), 10).shape == (0, 2)


def test_as_many_as_there_are_where_there_is_texture() -> None:
    noise = torch.randint(0, 256, (3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = corners(noise, 40)
    assert len(found) == 40
    x, y = found.unbind(dim=1)
    assert ((x >= 0) & (x < 64) & (y >= 0) & (y < 48) & (found == found.round()).all(dim=1)).all()
    # Half of an even spread apart, or half of that and so on until there are enough.
    assert torch.pdist(found).min() >= 0.125 * (48 * 64 / 40) ** 0.5
    assert torch.equal(found, corners(noise, 40))


def test_corners_that_move_come_before_stronger_ones_that_rest() -> None:
    resting = (40, 24, 55, 39, 255)
    frames = torch.stack([squares((8 + t, 8, 17 + t, 17, 130), resting) for t in range(4)])
    found = moving_corners(frames, 4)
    assert nearest(found, [[8, 8], [17, 8], [8, 17], [17, 17]]).max() < 2
    assert nearest(corners(frames[0], 4), [[40, 24], [55, 24], [40, 39], [55, 39]]).max() < 2


def test_where_nothing_moves_no_corner_does() -> None:
    still = squares((20, 12, 43, 31, 220)).expand(3, -1, -1, -1)
    assert moving_corners(still, 10).shape == (0, 2)


@settings(deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=30),
    apart=st.floats(1, 8, allow_subnormal=False),
    count=st.integers(1, 10),
)
def test_spread_takes_the_best_that_are_apart(places: list[tuple[int, int]], apart: float, count: int) -> None:
    points = torch.tensor(places).float()
    chosen: list[torch.Tensor] = []
    for point in points:
        if len(chosen) < count and all((point - other).norm() >= apart - 1e-6 for other in chosen):
            chosen.append(point)
    assert torch.equal(spread(points, apart, count), torch.stack(chosen))


def test_spread_of_nothing() -> None:
    assert spread(torch.zeros(0, 2), 3.0, 5).shape == (0, 2)
