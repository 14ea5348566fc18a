from __future__ import annotations

import pytest

from refine_motion.demo.plan import DemoPlan
from refine_motion.errors import ConfigError


def test_more_time_gives_more_steps() -> None:
    assert 0 < DemoPlan("fog", minutes=2).steps < DemoPlan("fog", minutes=4).steps < DemoPlan("fog", minutes=8).steps


def test_nothing_learnt_from_is_held_out_whatever_the_seeds() -> None:
    learnt = {seed for number in range(50) for seed in DemoPlan("fog", number).learnt_seeds}
    held_out = {seed for number in range(50) for seed in DemoPlan("fog", number).held_out_seeds}
    assert not learnt & held_out
    assert len(learnt) == 50 * DemoPlan("fog").clips
    assert len(held_out) == 50 * DemoPlan("fog").held_out


@pytest.mark.parametrize("minutes", [0.0, 1.9, float("nan")])
def test_too_little_time_is_refused(minutes: float) -> None:
    with pytest.raises(ConfigError, match="minutes"):
        DemoPlan("fog", minutes=minutes)
