from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.errors import ConfigError
from refine_motion.labels.balance import Balance, MotionBalance, gains
from refine_motion.labels.clusters import motion_cluster
from refine_motion.labels.select import CycleRule, MinSpeed, select
from tests.labels.made import camera_and_object, made_label, moving_right

PAN = torch.tensor([[0.01, 0.0, -40.0], [0.0, 0.01, 3.0]])


def test_gains_by_hand() -> None:
    totals, wanted = torch.tensor([90.0, 10.0, 0.0]), torch.tensor([0.5, 0.5, 0.5])
    torch.testing.assert_close(gains(totals, wanted, 20.0), torch.tensor([50 / 90, 5.0, 1.0]))
    # What the cap holds back goes to the others: 10 becomes 20, and 80 are left for 90.
    torch.testing.assert_close(gains(totals, wanted, 2.0), torch.tensor([80 / 90, 2.0, 1.0]))
    room = torch.tensor(180.0)
    torch.testing.assert_close(gains(totals, wanted, 4.0, room), torch.tensor([140 / 90, 4.0, 1.0]))


@settings(max_examples=60, deadline=None)
@given(
    totals=st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1, max_size=8),
    seed=st.integers(0, 100),
    most=st.floats(1.1, 30),
)
def test_gains_keep_the_sum_and_the_cap(totals: list[float], seed: int, most: float) -> None:
    there = torch.tensor(totals, dtype=torch.float64)
    wanted = torch.rand(len(totals), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.01
    factor = gains(there, wanted, most)
    torch.testing.assert_close((factor * there).sum(), there.sum())
    assert (factor[there > 0] <= most * (1 + 1e-9)).all()
    free = (there > 0) & (factor < most * (1 - 1e-9))
    if free.sum() > 1:
        ratio = (factor * there / wanted)[free]
        torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))


def test_half_of_the_weight_lies_on_what_moves_against_the_camera() -> None:
    label = camera_and_object(PAN, share=0.05, moves=(20.0, 0.0))
    weight = select([MotionBalance()], label, 0)
    assert weight.dtype == torch.float32
    assert weight[:120].sum().item() == pytest.approx(1200, rel=1e-5)
    assert weight[120:].sum().item() == pytest.approx(1200, rel=1e-5)
    assert weight[:120].unique().numel() == weight[120:].unique().numel() == 1
    # By speed in the image the object is the slower one, so that balancing speeds would not have helped it.
    assert label.evidence.speed[:120].max() < label.evidence.speed[120:].min()


def test_directions_share_alike_whatever_their_size() -> None:
    flow = torch.zeros(1000, 2)
    flow[:80, 0], flow[80:100, 1] = 10.0, -10.0
    weight = select([MotionBalance(share=0.4)], made_label(flow), 0)
    assert weight[:80].sum().item() == pytest.approx(200, rel=1e-5)
    assert weight[80:100].sum().item() == pytest.approx(200, rel=1e-5)
    assert weight.mean().item() == pytest.approx(1)


def test_what_a_small_direction_cannot_take_goes_to_the_others_that_move() -> None:
    flow = torch.zeros(1000, 2)
    flow[:100, 0], flow[100:102, 1] = 10.0, -10.0
    weight = select([MotionBalance(most=20)], made_label(flow), 0)
    assert weight[100:102].tolist() == pytest.approx([20, 20])
    assert weight[:100].sum().item() == pytest.approx(460, rel=1e-5)
    assert weight[102:].sum().item() == pytest.approx(500, rel=1e-5)


def test_no_label_grows_beyond_the_cap() -> None:
    flow = torch.zeros(1000, 2)
    flow[:2, 0] = 10.0
    weight = select([MotionBalance(most=20)], made_label(flow), 0)
    assert weight[:2].tolist() == pytest.approx([20, 20])
    assert weight.mean().item() == pytest.approx(1)


def test_where_hardly_anything_moves_nothing_changes() -> None:
    flow = torch.zeros(5000, 2)
    flow[:4, 0] = 10.0
    assert (select([MotionBalance()], made_label(flow), 0) == 1).all()
    flow[4, 0] = 10.0
    assert (select([MotionBalance()], made_label(flow), 0) != 1).all()
    assert (select([MotionBalance(least=0)], made_label(torch.zeros(9, 2)), 0) == 1).all()


def test_what_moves_but_was_dropped_does_not_count() -> None:
    flow = torch.zeros(5000, 2)
    flow[:20, 0] = 10.0
    label = made_label(flow, ratio=torch.tensor([2.0] * 16 + [0.0] * 4984))
    assert set(select([CycleRule(), MotionBalance()], label, 0).tolist()) == {0.0, 1.0}


def test_dropped_labels_stay_dropped_and_do_not_count() -> None:
    flow = torch.zeros(1000, 2)
    flow[:, 0] = 1.0
    flow[:50, 0], flow[50:100, 0] = 10.0, 0.1
    weight = select([MinSpeed(0.5), MotionBalance()], made_label(flow), 0)
    assert (weight[50:100] == 0).all()
    assert weight[:50].sum().item() == pytest.approx(475, rel=1e-5)
    assert weight.sum().item() == pytest.approx(950, rel=1e-5)


def test_where_most_moves_otherwise_the_directions_are_balanced_too() -> None:
    flow = torch.zeros(1000, 2)
    flow[400:700, 0], flow[700:, 1] = 10.0, 10.0
    flow[690:700] = -10.0
    weight = select([MotionBalance()], made_label(flow, size=(25, 40)), 0)
    assert weight[:400].sum().item() == pytest.approx(500, rel=1e-5)
    for part in (weight[400:690], weight[690:700], weight[700:]):
        assert part.sum().item() == pytest.approx(500 / 3, rel=1e-5)


def test_bins_are_evened_out_by_the_power() -> None:
    label = moving_right([0.5] * 16 + [7.0] * 4)
    even = select([Balance("speed", power=1.0)], label, 0)
    assert (even[0].item(), even[-1].item()) == pytest.approx((10 / 16, 10 / 4))
    # Weights in proportion to the square roots of the numbers: 2 to 1 instead of 4 to 1.
    half = select([Balance("speed", power=0.5)], label, 0)
    assert half[:16].sum().item() == pytest.approx(20 * 2 / 3, rel=1e-5)
    assert half.sum().item() == pytest.approx(20, rel=1e-5)


@pytest.mark.parametrize("by", ["speed", "relative", "gradient", "boundary"])
def test_each_kind_of_evidence_can_be_balanced(by: str) -> None:
    two = torch.tensor([0.0] * 9 + [1.0])
    flow = torch.stack((6.0 + (7.0 if by in ("speed", "relative") else 0.0) * two, torch.zeros(10)), dim=1)
    label = made_label(flow, size=(2, 5), gradient=20 * two, **({"boundary": two} if by == "boundary" else {}))
    weight = select([Balance(by, power=1.0)], label, 0)  # type: ignore[arg-type]
    assert weight.tolist() == pytest.approx([5 / 9] * 9 + [5.0])
    if by != "boundary":
        assert (select([Balance(by, power=1.0, edges=[1e6])], label, 0) == 1).all()  # type: ignore[arg-type]


def test_no_entry_gives_no_weight() -> None:
    assert select([MotionBalance(), Balance()], moving_right([]), 0).shape == (0,)


def test_clusters_and_balance_agree_on_what_moves() -> None:
    label = camera_and_object(PAN, share=0.1, moves=(0.0, 15.0))
    weight = select([MotionBalance(pixels=1.0)], label, 0)
    assert torch.equal(weight > 1, motion_cluster(label, pixels=1.0) > 0)


@pytest.mark.parametrize(("at", "moves"), [(None, True), ((20, 50), True), ((19, 50), False)])
def test_pixels_may_be_those_of_a_size(at: Any, moves: bool) -> None:
    flow = torch.zeros(1000, 2)
    # 3 px of 20x50 are 3 px here, and of 19x50 3.08.
    flow[:100, 0] = 3.05
    weight = select([MotionBalance(at=at)], made_label(flow, size=(25, 40)), 0)
    assert (weight[0] > 1).item() == moves


@pytest.mark.parametrize(
    "make",
    [
        lambda: MotionBalance(share=0),
        lambda: MotionBalance(share=1),
        lambda: MotionBalance(most=1),
        lambda: MotionBalance(pixels=-1),
        lambda: MotionBalance(least=-0.1),
        lambda: MotionBalance(at=(0, 5)),
        lambda: Balance("colour"),  # type: ignore[arg-type]
        lambda: Balance(power=0),
        lambda: Balance(most=0.5),
        lambda: Balance(edges=[2, 1]),
    ],
)
def test_impossible_settings_are_refused(make: object) -> None:
    with pytest.raises(ConfigError, match="Balance"):
        make()  # type: ignore[operator]
