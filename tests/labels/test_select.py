from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.errors import ConfigError
from refine_motion.labels.select import (
    ColourRule,
    CycleRule,
    LabelFilter,
    LabelRule,
    MinSpeed,
    SoftWeight,
    SpeedStratifiedCap,
    SpreadRule,
    cycle_ratio,
    paper_filters,
    select,
    weights_in_turn,
)
from refine_motion.motion.cycle import flow_evidence
from refine_motion.types import Evidence
from tests.labels.made import kept, made_label, moving_right


def test_cycle_rule_by_hand() -> None:
    label = moving_right([0.0, 0.0, 100.0, 100.0], cycle_error=torch.tensor([0.1, 0.11, 0.5, 0.51]))
    assert kept([CycleRule()], label) == [True, False, True, False]
    assert all(kept([CycleRule(alpha=0.01, beta=0.5)], label))


def test_cycle_ratio_is_one_at_the_threshold() -> None:
    label = moving_right([0.0, 10.0, 100.0], ratio=torch.tensor([0.5, 1.0, 3.0]))
    torch.testing.assert_close(cycle_ratio(label.evidence), torch.tensor([0.5, 1.0, 3.0]))


def test_colour_rule_is_strict_and_minimum_speed_is_not() -> None:
    label = moving_right([5.0, 4.9], colour_error=torch.tensor([1.274, 1.275]))
    assert kept([ColourRule()], label) == [True, False]
    assert kept([MinSpeed(5.0)], label) == [True, False]


def test_views_may_disagree_by_more_where_motion_is_fast() -> None:
    label = moving_right([0.0, 0.0, 100.0, 100.0], spread=torch.tensor([0.5, 0.51, 2.5, 2.51]))
    assert kept([SpreadRule(alpha=0.02, beta=0.5)], label) == [True, False, True, False]


def test_soft_weight_by_hand_and_times_what_there_was() -> None:
    label = moving_right([1.0, 1.0, 1.0], ratio=torch.tensor([0.0, 1.0, 2.0]))
    weight = select([CycleRule(), SoftWeight(tau=0.5)], label, 0)
    torch.testing.assert_close(weight, torch.tensor([1.0, math.exp(-4), 0.0]))
    twice = select([SoftWeight(tau=2.0), SoftWeight(tau=2.0)], label, 0)
    torch.testing.assert_close(twice, torch.tensor([1.0, math.exp(-0.5), math.exp(-2)]))


def test_paper_filters_equal_the_corrected_reference_mask(reference: Path) -> None:
    z = np.load(reference / "cycle_flow.npz")
    f, b = (torch.from_numpy(z[k])[None] for k in ("flow_fw", "flow_bw"))
    # Zero outside means mid grey to the reference, whose images are x / 255 - 0.5.
    a, c = (torch.from_numpy(z[k]).permute(2, 0, 1)[None].float() - 127.5 for k in ("image0", "image1"))
    found, _ = flow_evidence(f, b, a, c)
    flat = vars(found.map(torch.flatten))
    label = made_label(f[0].flatten(1).T, size=(64, 96), **flat)
    mask = (select(list(paper_filters().values()), label, 0) > 0).view(64, 96)
    unsure = (np.abs(z["diff_fw"] - z["threshold"]) < 1e-5) | (np.abs(z["color_diff_corrected"] - 0.005) < 1e-6)
    assert np.array_equal(mask.numpy()[~unsure], z["keep_both_corrected"][~unsure])


@settings(max_examples=30, deadline=None)
@given(
    speeds=st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1, max_size=200),
    per_bin=st.integers(1, 20),
    seed=st.integers(0, 5),
)
def test_cap_holds_in_every_bin_and_wastes_nothing(speeds: list[float], per_bin: int, seed: int) -> None:
    label = moving_right(speeds)
    keep = torch.tensor(kept([SpeedStratifiedCap(per_bin, [1.0, 10.0])], label, seed))
    speed = label.evidence.speed
    for low, high in ((0, 1), (1, 10), (10, 1e9)):
        inside = (speed >= low) & (speed < high)
        assert keep[inside].sum() == min(per_bin, inside.sum())
    assert keep.tolist() == kept([SpeedStratifiedCap(per_bin, [1.0, 10.0])], label, seed)


def test_filters_see_only_what_those_before_them_kept() -> None:
    label = moving_right([1.0, 2.0, 3.0, 4.0])
    assert kept([MinSpeed(3.0), SpeedStratifiedCap(2, [])], label) == [False, False, True, True]


def test_filters_take_evidence_of_any_shape() -> None:
    speed = torch.tensor([[1.0, 6.0], [7.0, 2.0]])
    evidence = Evidence(**dict.fromkeys(Evidence.__dataclass_fields__, speed))
    generator = torch.Generator()
    for rule in (CycleRule(), ColourRule(), SpeedStratifiedCap(1)):
        assert rule.keep(evidence, generator).shape == (2, 2)
    assert MinSpeed(5.0).keep(evidence, generator).tolist() == [[False, True], [True, False]]


class Halve(LabelRule):
    def __call__(self, label: object, weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return 0.5 * weight


class Everything(LabelFilter):
    def keep(self, evidence: Evidence, generator: torch.Generator) -> torch.Tensor:
        return torch.ones_like(evidence.speed, dtype=torch.bool)


def test_no_rule_gives_one_and_a_filter_leaves_the_weights_of_what_it_keeps() -> None:
    label = moving_right([1.0, 9.0])
    assert select([], label, 0).tolist() == [1.0, 1.0]
    assert select([Halve(), MinSpeed(5.0), Halve()], label, 0).tolist() == [0.0, 0.25]
    assert select([Halve(), Everything()], label, 0).dtype == torch.float32
    assert [w.tolist() for w in weights_in_turn([Halve(), MinSpeed(5.0)], label, 0)] == [[1, 1], [0.5, 0.5], [0, 0.5]]


def test_labels_without_an_entry_have_no_weight() -> None:
    empty = moving_right([])
    rules = [CycleRule(), ColourRule(), MinSpeed(1), SpeedStratifiedCap(3), SoftWeight()]
    assert select(rules, empty, 0).shape == (0,)


def test_looseness_is_that_of_the_looser_part() -> None:
    assert CycleRule(0.004, 0.1).looseness == pytest.approx(2)
    assert CycleRule(0.002, 0.3).looseness == pytest.approx(3)
    assert ColourRule().looseness == SoftWeight().looseness == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: CycleRule(alpha=-1),
        lambda: ColourRule(0),
        lambda: SpreadRule(beta=-1),
        lambda: MinSpeed(-1),
        lambda: SoftWeight(0),
        lambda: SpeedStratifiedCap(0),
        lambda: SpeedStratifiedCap(1, [2, 1]),
    ],
)
def test_impossible_settings_are_refused(make: object) -> None:
    with pytest.raises(ConfigError):
        make()  # type: ignore[operator]
