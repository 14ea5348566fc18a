from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from refine_motion.demo.job import AUGMENT, CEILING, DATA, FILTERS, TRAINING
from refine_motion.demo.plan import DemoPlan
from refine_motion.errors import ConfigError


def test_more_time_gives_more_steps() -> None:
    assert 0 < DemoPlan("fog", minutes=3.5).steps < DemoPlan("fog", minutes=6).steps < DemoPlan("fog", minutes=8).steps


def test_nothing_learnt_from_is_held_out_whatever_the_seeds() -> None:
    learnt = {seed for number in range(50) for seed in DemoPlan("fog", number).learnt_seeds}
    held_out = {seed for number in range(50) for seed in DemoPlan("fog", number).held_out_seeds}
    assert not learnt & held_out
    assert len(learnt) == 50 * DemoPlan("fog").clips
    assert len(held_out) == 50 * DemoPlan("fog").held_out


@pytest.mark.parametrize("minutes", [0.0, 3.4, float("nan")])
def test_too_little_time_is_refused(minutes: float) -> None:
    with pytest.raises(ConfigError, match="minutes"):
        DemoPlan("fog", minutes=minutes)


def test_the_recipe_is_that_of_the_preset() -> None:
    preset = yaml.safe_load((Path(__file__).parents[2] / "configs" / "refine" / "flow.yaml").read_text())
    plan, model, data = DemoPlan("fog"), preset["model"], preset["data"]
    assert list(plan.label_views) == preset["label"]["views"]
    assert (plan.label_iters, plan.iters) == (preset["label"]["iters"], model["iters"])
    assert preset["label"]["ceiling"] == CEILING
    assert {name: model[name] for name in TRAINING} == TRAINING
    assert {**{name: data[name] for name in DATA}, "crop": tuple(data["crop"])} == DATA
    assert {name: getattr(AUGMENT, name) for name in model["augment"]} == model["augment"]
    for name, rule in data["filters"].items():
        assert type(FILTERS[name]).__name__ == rule["class_path"]
        assert rule.get("init_args", {}).items() <= vars(FILTERS[name]).items()
    assert list(FILTERS) == list(data["filters"])
