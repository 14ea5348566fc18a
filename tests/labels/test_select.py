from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.errors import ConfigError
from refine_motion.labels.select import ColourRule, CycleRule, MinSpeed, SpeedStratifiedCap, paper_filters, select
from refine_motion.motion.cycle import flow_evidence
from refine_motion.types import Evidence


def evidence(**given: list[float]) -> Evidence:
    count = len(next(iter(given.values())))
    names = ("cycle_error", "speed", "backward_speed", "colour_error", "gradient")
    return Evidence(**{name: torch.tensor(given.get(name, [0.0] * count)) for name in names})


def test_cycle_rule_by_hand() -> None:
    e = evidence(
        cycle_error=[0.1, 0.11, 0.5, 0.51], speed=[0.0, 0.0, 100.0, 100.0], backward_speed=[0, 0, 100.0, 100.0]
    )
    assert select([CycleRule()], e, 0).tolist() == [True, False, True, False]
    assert select([CycleRule(alpha=0.01, beta=0.5)], e, 0).all()


def test_colour_rule_is_strict_and_minimum_speed_is_not() -> None:
    e = evidence(colour_error=[1.274, 1.275], speed=[5.0, 4.9])
    assert select([ColourRule()], e, 0).tolist() == [True, False]
    assert select([MinSpeed(5.0)], e, 0).tolist() == [True, False]


def test_paper_filters_equal_the_corrected_reference_mask(reference: Path) -> None:
    z = np.load(reference / "cycle_flow.npz")
    f, b = (torch.from_numpy(z[k])[None] for k in ("flow_fw", "flow_bw"))
    # Zero outside means mid grey to the reference, whose images are x / 255 - 0.5.
    a, c = (torch.from_numpy(z[k]).permute(2, 0, 1)[None].float() - 127.5 for k in ("image0", "image1"))
    found, _ = flow_evidence(f, b, a, c)
    flat = Evidence(*(getattr(found, n).flatten() for n in found.__dataclass_fields__))
    kept = select(list(paper_filters().values()), flat, 0).view(64, 96)
    unsure = (np.abs(z["diff_fw"] - z["threshold"]) < 1e-5) | (np.abs(z["color_diff_corrected"] - 0.005) < 1e-6)
    assert np.array_equal(kept.numpy()[~unsure], z["keep_both_corrected"][~unsure])


@settings(max_examples=30, deadline=None)
@given(
    speeds=st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1, max_size=200),
    per_bin=st.integers(1, 20),
    seed=st.integers(0, 5),
)
def test_cap_holds_in_every_bin_and_wastes_nothing(speeds: list[float], per_bin: int, seed: int) -> None:
    e = evidence(speed=speeds)
    keep = select([SpeedStratifiedCap(per_bin, [1.0, 10.0])], e, seed)
    for low, high in ((0, 1), (1, 10), (10, 1e9)):
        inside = (e.speed >= low) & (e.speed < high)
        assert keep[inside].sum() == min(per_bin, inside.sum())
    assert torch.equal(keep, select([SpeedStratifiedCap(per_bin, [1.0, 10.0])], e, seed))


def test_filters_see_only_what_those_before_them_kept() -> None:
    e = evidence(speed=[1.0, 2.0, 3.0, 4.0])
    assert select([MinSpeed(3.0), SpeedStratifiedCap(2, [])], e, 0).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    "make",
    [
        lambda: CycleRule(alpha=-1),
        lambda: ColourRule(0),
        lambda: MinSpeed(-1),
        lambda: SpeedStratifiedCap(0),
        lambda: SpeedStratifiedCap(1, [2, 1]),
    ],
)
def test_impossible_settings_are_refused(make: object) -> None:
    with pytest.raises(ConfigError):
        make()  # type: ignore[operator]
