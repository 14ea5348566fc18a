from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.refine.order import HeldOutOrder, PairRequest, WindowShuffle

WINDOWS = [0, 0, 0, 1, 1, 1, 2, 2]


def order(windows: list[int] = WINDOWS, batch: int = 2, epoch: int = 0, **options: object) -> WindowShuffle:
    sampler = WindowShuffle(windows, windows, batch, seed=1, **options)  # type: ignore[arg-type]
    sampler.set_epoch(epoch)
    return sampler


def test_every_pair_comes_once_an_epoch_and_windows_stay_together() -> None:
    orders = []
    for epoch in range(4):
        requests = list(order(epoch=epoch))
        assert all(r.epoch == epoch and not r.replayed for r in requests)
        assert sorted(r.number for r in requests) == list(range(8))
        visited = [WINDOWS[r.number] for r in requests]
        assert len([1 for a, b in itertools.pairwise(visited) if a != b]) == 2
        orders.append(tuple(r.number for r in requests))
    assert len(set(orders)) > 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 4), st.sampled_from([0.0, 0.2, 0.5]))
def test_processes_divide_each_step_of_one_order(count: int, batch: int, processes: int, share: float) -> None:
    windows = [n // 3 for n in range(count)]
    options = {"replay": range(4, 40), "replay_share": share}
    whole = list(order(windows, batch * processes, **options))
    parts = [list(order(windows, batch, processes=processes, rank=rank, **options)) for rank in range(processes)]
    assert (
        len({len(part) for part in parts})
        == 1
        == len({len(part) == len(order(windows, batch, processes=processes, rank=0, **options)) for part in parts})
    )
    steps = [
        [request for part in parts for request in part[start : start + batch]]
        for start in range(0, len(parts[0]), batch)
    ]
    together = [request for step in steps for request in step]
    # The last round is filled up from the start of the order.
    assert together == (whole * processes)[: len(together)]
    assert len(together) - len(whole) < processes
    assert len(steps) == -(-len(whole) // (batch * processes))


def test_more_processes_than_samples_all_get_some() -> None:
    shares = [list(order(processes=20, rank=rank)) for rank in range(20)]
    assert {len(share) for share in shares} == {1}
    assert {share[0].number for share in shares} == set(range(8))


@pytest.mark.parametrize("done", [0, 1, 3])
def test_an_interrupted_epoch_goes_on_where_it_stood(done: int) -> None:
    assert list(order(begin=lambda: (2, done))) == list(order(epoch=2))[2 * done :]


def test_replayed_examples_have_their_share_and_leave_the_held_ones_alone() -> None:
    windows = [n // 3 for n in range(90)]
    requests = list(order(windows, replay=range(5, 25), replay_share=0.25))
    replayed = [r for r in requests if r.replayed]
    assert len(requests) == 120
    assert len(replayed) == 30
    assert {r.number for r in replayed} <= set(range(5, 25))
    assert len({r.number for r in replayed}) > 15
    # Spread evenly: three labelled pairs, then one example.
    assert [r.replayed for r in requests[:8]] == [False, False, False, True] * 2
    later = [r.number for r in order(windows, epoch=1, replay=range(5, 25), replay_share=0.25) if r.replayed]
    assert later != [r.number for r in replayed]
    assert PairRequest(0, 3) in requests


def test_replayed_examples_are_the_same_over_any_number_of_processes() -> None:
    windows = list(range(11))
    options = {"replay": range(100), "replay_share": 0.3, "epoch": 3}
    expected = {r.number for r in order(windows, **options) if r.replayed}
    parts = [order(windows, processes=2, rank=rank, **options) for rank in range(2)]
    assert {r.number for part in parts for r in part if r.replayed} == expected


@given(st.integers(1, 20), st.integers(1, 6))
def test_held_out_samples_count_once_and_processes_take_equally_many(count: int, processes: int) -> None:
    parts = [list(HeldOutOrder(range(count), processes, rank)) for rank in range(processes)]  # type: ignore[arg-type]
    assert len({len(part) for part in parts}) == 1
    numbers = [n for part in parts for n in part]
    assert sorted(n for n in numbers if n >= 0) == list(range(count))
    assert all(0 <= -1 - n < count for n in numbers if n < 0)
