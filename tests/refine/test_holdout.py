from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.labels.windows import PairWindow, plan_windows
from refine_motion.refine.holdout import LEAST_WINDOWS, PARTS, Blocks, hold_out
from refine_motion.video.info import VideoInfo


def windows(count: int) -> list[PairWindow]:
    frames = 1 + 3 * count
    times = tuple(i / 10 for i in range(frames))
    planned = plan_windows([VideoInfo(Path("a"), "a", frames, 96, 72, 10.0, times, (0,), (), "decord", ())], 4, [1])
    assert len(planned) == count
    return planned


@pytest.mark.parametrize(("count", "share", "held"), [(8, 0.1, 2), (40, 0.1, 4), (40, 0.01, 2), (10, 0.5, 5)])
def test_windows_are_held_out_in_two_halves(count: int, share: float, held: int) -> None:
    planned = windows(count)
    found = hold_out(planned, share, 0)
    assert found.blocks is None
    assert len(found.windows) == held
    assert len(found.training) == count - held
    assert sorted(map(id, [*found.training, *found.windows])) == sorted(map(id, planned))
    choose, decide = (found.part(part) for part in PARTS)
    assert len(choose) - len(decide) in (0, 1)
    assert decide
    assert sorted(map(id, [*choose, *decide])) == sorted(map(id, found.windows))


def test_held_out_windows_are_spread_over_the_material() -> None:
    planned = windows(40)
    numbers = [[planned.index(window) for window in half] for half in hold_out(planned, 0.1, 0).halves]
    assert numbers == [[5, 25], [15, 35]]


@pytest.mark.parametrize("count", [1, LEAST_WINDOWS - 1])
def test_few_windows_are_all_trained_on_and_judged_in_blocks(count: int) -> None:
    planned = windows(count)
    found = hold_out(planned, 0.1, 3)
    assert found.training == found.windows == found.part("choose") == found.part("decide") == planned
    assert found.blocks == Blocks(0.2, 3)


def test_nothing_is_held_out_when_nothing_is_asked_for() -> None:
    for count in (2, 20):
        found = hold_out(windows(count), 0, 0)
        assert len(found.training) == count
        assert found.windows == []
        assert found.blocks is None


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(24, 800),
    width=st.integers(24, 1000),
    share=st.floats(0.02, 0.5, allow_subnormal=False),
    seed=st.integers(0, 2**62),
)
def test_blocks_are_disjoint_from_training_and_from_one_another(
    height: int, width: int, share: float, seed: int
) -> None:
    blocks, size = Blocks(share, seed), (height, width)
    training = blocks.training(size)
    choose, decide = (blocks.judged(size, [part]) for part in PARTS)
    assert training.shape == choose.shape == size
    assert choose.any()
    assert decide.any()
    assert not (choose & decide).any()
    assert not ((choose | decide) & training).any()
    assert torch.equal(choose | decide, blocks.judged(size))
    assert torch.equal(training, Blocks(share, seed).training(size))
    assert 0.5 * share < (~training).float().mean() < max(1.6 * share, 0.35)


@pytest.mark.parametrize("seed", range(5))
def test_a_fifth_of_a_frame_is_one_block_in_each_row_and_column(seed: int) -> None:
    held = ~Blocks(0.2, seed).training((480, 850))
    cells = held.view(5, 96, 5, 170).float().mean(dim=(1, 3))
    assert cells.unique().tolist() == [0, 1]
    assert (cells.sum(dim=0) == 1).all()
    assert (cells.sum(dim=1) == 1).all()
    assert not torch.equal(held, ~Blocks(0.2, seed + 1).training((480, 850)))


def test_judged_pixels_keep_a_distance_from_trained_ones() -> None:
    blocks = Blocks(0.2, 0)
    near_training = torch.nn.functional.max_pool2d(blocks.training((480, 850)).float()[None], 17, 1, 8)[0] > 0
    assert not (blocks.judged((480, 850)) & near_training).any()
    inside = (~blocks.training((480, 850))).sum()
    assert blocks.judged((480, 850)).sum() > 0.7 * inside


@pytest.mark.parametrize(("side", "cells"), [(60, 3), (200, 3), (256, 4), (320, 5), (1080, 5)])
def test_blocks_have_64_pixels_or_a_fifth_of_the_side(side: int, cells: int) -> None:
    held = ~Blocks(0.5, 0).training((side, side))
    assert (held[:, 0].diff().nonzero().numel() + 1) == cells
