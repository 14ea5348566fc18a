from __future__ import annotations

import sys
from typing import Any

import pytest

from refine_motion.errors import ConfigError
from refine_motion.sweeps.file import read_sweep
from refine_motion.sweeps.suggest import count_trials, suggest
from refine_motion.sweeps.trial import Trial
from tests.sweeps.conftest import WriteSweep

MIXED = {"x": {"min": 0.0, "max": 4.0}, "n": {"min": 1, "max": 9}, "kind": {"values": ["a", [1, 2]]}}


def test_a_grid_has_every_point_once(write_sweep: WriteSweep) -> None:
    parameters = {"x": {"values": [1, 2, 3]}, "y": {"value": "c"}, "z": {"values": [True, False]}}
    sweep = read_sweep(write_sweep(parameters=parameters))
    assert count_trials(sweep, None) == 6
    assert count_trials(sweep, 4) == 4
    points = [suggest(sweep, number, 0, []) for number in range(6)]
    assert {(p["x"], p["y"], p["z"]) for p in points} == {(x, "c", z) for x in (1, 2, 3) for z in (True, False)}


def test_random_depends_on_seed_and_number_alone(write_sweep: WriteSweep) -> None:
    sweep = read_sweep(write_sweep(method="random", parameters=MIXED))
    with pytest.raises(ConfigError, match="--trials"):
        count_trials(sweep, None)
    assert count_trials(read_sweep(write_sweep(method="random", run_cap=7)), 9) == 7
    assert suggest(sweep, 3, 0, []) == suggest(sweep, 3, 0, [])
    assert len({str(suggest(sweep, number, seed, [])) for number in range(5) for seed in range(2)}) == 10


def test_bayes_goes_where_the_metric_is_good(write_sweep: WriteSweep) -> None:
    pytest.importorskip("optuna")
    sweep = read_sweep(write_sweep(method="bayes", parameters=MIXED))
    trials: list[Trial] = []

    def value(point: dict[str, Any]) -> float:
        return (point["x"] - 3) ** 2 + (point["kind"] == "a")

    for number in range(25):
        point = suggest(sweep, number, 0, trials)
        assert point["kind"] in ("a", [1, 2])
        assert 1 <= point["n"] <= 9
        trials.append(Trial(number, point, 0.0, value(point)))
    first, last = trials[:5], trials[-8:]
    assert sum(t.value or 0 for t in last) / 8 < sum(t.value or 0 for t in first) / 5
    assert suggest(sweep, 25, 0, trials) == suggest(sweep, 25, 0, trials)


def test_bayes_without_optuna_says_what_to_install(write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"refine-motion\[sweeps\]"):
        suggest(read_sweep(write_sweep(method="bayes")), 0, 0, [])
