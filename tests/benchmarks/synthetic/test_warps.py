from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.trajectory import Wave
from refine_motion.benchmarks.synthetic.warps import Ripples, Swirls, Warp, random_ripples, random_swirls
from refine_motion.motion.grid import pixel_grid
from tests.benchmarks.synthetic.made import seeds

SIZE = (60, 80)
GRID = (pixel_grid(*SIZE, dtype=torch.float64) - torch.tensor([39.5, 29.5]).double().view(2, 1, 1))[:, ::2, ::2]
# Denormal numbers are flushed to zero in the whole of this process.
times = st.floats(min_value=-50, max_value=200, allow_subnormal=False)
speeds = st.floats(min_value=0.01, max_value=40)


def ripples(seed: int, speed: float) -> Ripples:
    return random_ripples(generator(seed), 30.0, speed)


def swirls(seed: int, speed: float) -> Swirls:
    return random_swirls(generator(seed), SIZE, speed)


BOTH = pytest.mark.parametrize("make", [ripples, swirls])


def slope(warp: Warp, t: float, xy: Tensor) -> Tensor:
    """``(h, w, 2, 2)`` derivative of the material point by the place, by differences."""
    step = 1e-4
    columns = []
    for axis in range(2):
        along = torch.zeros(2, 1, 1).double()
        along[axis] = step
        columns.append((warp.pull(t, xy + along) - warp.pull(t, xy - along)) / (2 * step))
    return torch.stack(columns, dim=-1).permute(1, 2, 0, 3)


@BOTH
@settings(max_examples=25, deadline=None)
@given(seed=seeds, speed=speeds, t=times)
def test_push_and_pull_undo_each_other(make, seed: int, speed: float, t: float) -> None:
    warp = make(seed, speed)
    assert (warp.pull(t, warp.push(t, GRID)) - GRID).abs().max() < 1e-6
    assert (warp.push(t, warp.pull(t, GRID)) - GRID).abs().max() < 1e-6
    # In the precision of pictures, to a small part of a pixel.
    assert (warp.push(t, warp.pull(t, GRID.float())) - GRID.float()).abs().max() < 1e-3


@BOTH
@settings(max_examples=25, deadline=None)
@given(seed=seeds, speed=speeds, t=times)
def test_no_point_is_faster_than_asked_nor_farther_than_said(make, seed: int, speed: float, t: float) -> None:
    warp = make(seed, speed)
    before, after = warp.push(t, GRID), warp.push(t + 1, GRID)
    assert (after - before).norm(dim=0).max() <= speed * (1 + 1e-6)
    assert (before - GRID).norm(dim=0).max() <= warp.reach
    assert (warp.pull(t, GRID) - GRID).norm(dim=0).max() <= warp.reach


@BOTH
def test_uses_much_of_the_speed(make) -> None:
    def fastest(seed: int) -> float:
        warp = make(seed, 1.0)
        places = [warp.push(t, GRID) for t in range(40)]
        return max((b - a).norm(dim=0).max().item() for a, b in pairwise(places))

    found = torch.tensor([fastest(seed) for seed in range(6)])
    assert found.median() > (0.3 if make is ripples else 0.15)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, speed=speeds, t=times)
def test_ripples_strain_less_than_they_may(seed: int, speed: float, t: float) -> None:
    warp = ripples(seed, speed)
    bound = (warp.amplitude.norm(dim=1) * warp.wave.norm(dim=1)).sum().item()
    assert bound < 1
    strain = torch.linalg.matrix_norm(slope(warp, t, GRID) - torch.eye(2).double(), 2)
    assert strain.max() <= bound + 1e-6


@settings(max_examples=25, deadline=None)
@given(seed=seeds, speed=speeds, t=times)
def test_swirls_keep_areas(seed: int, speed: float, t: float) -> None:
    assert (torch.linalg.det(slope(swirls(seed, speed), t, GRID)) - 1).abs().max() < 1e-5


def test_a_ripple_by_hand() -> None:
    wave = Ripples(
        torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.2]]), torch.tensor([0.1]), torch.tensor([0.0]).double()
    )
    # A wave across its own direction is a shear: each row moves as a whole.
    place = torch.tensor([4.0, 5.0]).double().view(2, 1, 1)
    assert wave.pull(3.0, place).flatten().tolist() == pytest.approx([4 + 2 * math.sin(1.3), 5])
    assert wave.push(3.0, place).flatten().tolist() == pytest.approx([4 - 2 * math.sin(1.3), 5])
    assert wave.reach == 2


def test_a_swirl_by_hand() -> None:
    swirl = Swirls(torch.tensor([[10.0, 0.0]]), (3.0,), (Wave(rate=0.2),))
    place = torch.tensor([[10.0, 13.0, 60.0], [0.0, 0.0, 0.0]]).double().view(2, 1, 3)
    turned = 0.2 * 2 * math.exp(-0.5)
    expected = [[10, 10 + 3 * math.cos(turned), 60], [0, 3 * math.sin(turned), 0]]
    assert torch.allclose(swirl.push(2.0, place)[:, 0], torch.tensor(expected).double(), atol=1e-9)


def test_without_speed_nothing_moves() -> None:
    for make in (ripples, swirls):
        warp = make(1, 0.0)
        assert (warp.push(3.0, GRID) - GRID).abs().max() < 1e-12
