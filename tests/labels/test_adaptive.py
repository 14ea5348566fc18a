from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.errors import ConfigError
from refine_motion.labels.adaptive import AdaptiveCycle
from refine_motion.labels.select import CycleRule, MinSpeed, select
from tests.labels.made import camera_and_object, kept, made_label, moving_right


def test_the_best_share_of_each_speed_is_kept() -> None:
    # Fast labels are all worse than the slow ones, yet as many of them stay.
    label = moving_right([0.5] * 5 + [8.0] * 5, ratio=torch.tensor([0.6, 0.7, 0.8, 0.9, 1.0, 2.0, 2.2, 2.4, 2.6, 2.8]))
    assert kept([AdaptiveCycle(quota=0.4, floor=0.1)], label) == [True] * 2 + [False] * 3 + [True] * 2 + [False] * 3


def test_never_looser_than_the_ceiling_and_all_of_what_is_better_than_the_floor() -> None:
    label = moving_right([0.5] * 3 + [8.0] * 3, ratio=torch.tensor([0.1, 0.2, 0.49, 2.9, 3.1, 3.5]))
    assert kept([AdaptiveCycle(quota=0.34, ceiling=3.0, floor=0.5)], label) == [True] * 4 + [False] * 2
    assert kept([AdaptiveCycle(quota=1.0, ceiling=3.0, floor=0.5)], label) == [True] * 4 + [False] * 2


def test_only_what_earlier_rules_kept_counts_towards_the_share() -> None:
    label = moving_right([2.0, 2.0, 4.0, 4.0], ratio=torch.tensor([0.6, 0.7, 0.8, 0.9]))
    assert kept([AdaptiveCycle(quota=0.5, floor=0)], label) == [True, True, False, False]
    assert kept([MinSpeed(3.0), AdaptiveCycle(quota=0.5, floor=0)], label) == [False, False, True, False]


def test_the_thresholds_of_a_video_hold_for_each_of_its_pairs() -> None:
    good = moving_right([2.0] * 4, ratio=torch.tensor([0.6, 0.7, 0.8, 0.9]))
    bad = moving_right([2.0] * 4, ratio=torch.tensor([1.6, 1.7, 1.8, 1.9]))
    ones = [torch.ones(4)] * 2
    rule = AdaptiveCycle(quota=0.5, floor=0).prepare([good, bad], ones)
    assert kept([rule], good) == [True] * 4
    assert kept([rule], bad) == [False] * 4
    # A speed that was not seen gets the paper's rule.
    fast = moving_right([15.0, 15.0], ratio=torch.tensor([0.99, 1.01]))
    assert kept([rule], fast) == [True, False]


def test_what_moves_against_the_camera_can_have_a_share_of_its_own() -> None:
    label = camera_and_object(torch.tensor([[0.0, 0.0, -40.0], [0.0, 0.0, 0.0]]), share=0.1, moves=(40.0, 0.0))
    ratio = torch.cat((torch.linspace(1.1, 2.0, 240), torch.linspace(0.0, 0.9, 2160)))
    hard = made_label(label.flow, ratio, label.size)
    by_motion = torch.tensor(kept([AdaptiveCycle(quota=0.5, floor=0.1, by="relative")], hard))
    assert by_motion[:240].sum() == 120
    assert by_motion[240:].sum() == 1080


def test_preparing_leaves_the_rule_itself_as_it_was() -> None:
    rule = AdaptiveCycle(quota=0.5, floor=0)
    label = moving_right([2.0] * 2, ratio=torch.tensor([0.6, 0.9]))
    assert rule.prepare([label], [torch.ones(2)]) is not rule
    assert rule.thresholds is None


@settings(max_examples=30, deadline=None)
@given(
    ratios=st.lists(st.floats(0, 5, allow_subnormal=False), min_size=1, max_size=100),
    quota=st.floats(0.01, 1),
    ceiling=st.floats(1, 4),
)
def test_at_least_the_share_unless_the_ceiling_forbids(ratios: list[float], quota: float, ceiling: float) -> None:
    label = moving_right([3.0] * len(ratios), ratio=torch.tensor(ratios))
    weight = select([AdaptiveCycle(quota, ceiling, floor=0.5)], label, 0) > 0
    allowed = torch.tensor(kept([CycleRule(0.002 * ceiling * 0.9999, 0.1 * ceiling * 0.9999)], label))
    assert weight.sum() >= min(round(quota * len(ratios)), int(allowed.sum()))
    assert not (weight & (torch.tensor(ratios) > 1.001 * ceiling)).any()


def test_asks_for_labels_up_to_its_ceiling() -> None:
    assert AdaptiveCycle(ceiling=2.5).looseness == 2.5


def test_no_entry_gives_no_weight() -> None:
    assert kept([AdaptiveCycle()], moving_right([])) == []


@pytest.mark.parametrize(
    "wrong",
    [{"quota": 0}, {"quota": 1.1}, {"floor": 5}, {"floor": -1}, {"by": "colour"}, {"edges": [3.0, 2.0]}],
    ids=str,
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="AdaptiveCycle"):
        AdaptiveCycle(**wrong)  # type: ignore[arg-type]
