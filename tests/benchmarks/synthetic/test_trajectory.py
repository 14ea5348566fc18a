from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.trajectory import (
    LARGEST_SCALE,
    LARGEST_STRETCH,
    MOTION_CLASSES,
    Trajectory,
    Wave,
    random_trajectory,
)
from tests.benchmarks.synthetic.made import seeds

motions = st.sampled_from([None, *MOTION_CLASSES])
flexes = st.sampled_from([0.0, 0.35])
clips = st.integers(min_value=2, max_value=60)


def circle(radius: float) -> torch.Tensor:
    angle = torch.linspace(0, 2 * math.pi, 33).double()
    return torch.stack((radius * angle.cos(), radius * angle.sin(), torch.ones_like(angle)))


def test_matrix_by_hand() -> None:
    found = Trajectory(Wave(1.0, 2.0), Wave(5.0), Wave(0.0, math.pi / 4), Wave(math.log(2.0))).matrix(2)
    # Twice as large, a quarter turn clockwise on the screen, at (5, 5).
    expected = torch.tensor([[0.0, -2.0, 5.0], [2.0, 0.0, 5.0], [0.0, 0.0, 1.0]]).double()
    assert torch.allclose(found, expected, atol=1e-12)


def test_stretch_keeps_the_area_and_shear_slants() -> None:
    found = Trajectory(stretch=Wave(math.log(1.2)), shear=Wave(0.1)).matrix(0)
    assert found[:2, :2].tolist() == [pytest.approx([1.2, 0.1]), pytest.approx([0, 1 / 1.2])]


@settings(max_examples=100, deadline=None)
@given(seeds, st.floats(5, 100), st.floats(0.1, 30), clips, motions, flexes)
def test_no_point_is_faster_than_asked(
    seed: int, radius: float, speed: float, frames: int, motion: str | None, flex: float
) -> None:
    path = random_trajectory(generator(seed), (3.0, -4.0), radius, speed, 70.0, frames, motion, flex)
    # At its largest the thing reaches as far as the radius.
    points = circle(radius / LARGEST_SCALE)
    places = [path.matrix(t) @ points for t in range(frames)]
    for before, after in pairwise(places):
        assert (after - before).norm(dim=0).max() <= speed * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(seeds, st.floats(0.1, 60), clips, motions, flexes)
def test_size_form_and_place_stay_within_bounds(
    seed: int, speed: float, frames: int, motion: str | None, flex: float
) -> None:
    room = 40.0
    path = random_trajectory(generator(seed), (0.0, 0.0), 20.0, speed, room, frames, motion, flex)
    for t in range(frames):
        scale, matrix = math.exp(path.log_scale(t)), path.matrix(t)
        assert 1 / LARGEST_SCALE - 1e-9 <= scale <= LARGEST_SCALE + 1e-9
        small, large = torch.linalg.svdvals(matrix[:2, :2] / scale).tolist()[::-1]
        assert 1 / LARGEST_STRETCH <= small <= large <= LARGEST_STRETCH
        # Half of the steady part to each side of the middle, and the swing.
        assert matrix[:2, 2].abs().max() <= 1.5 * room + 1e-9


@settings(max_examples=30, deadline=None)
@given(seeds, clips)
def test_without_speed_nothing_moves(seed: int, frames: int) -> None:
    path = random_trajectory(generator(seed), (1.0, 2.0), 20.0, 0.0, 40.0, frames, "left", 0.35)
    assert torch.allclose(path.matrix(0), path.matrix(frames), atol=1e-12)
