from __future__ import annotations

import math
from pathlib import Path
from random import Random
from typing import Any

import pytest

from refine_motion.errors import ConfigError
from refine_motion.sweeps.file import read_sweep
from refine_motion.sweeps.parameters import Choice, Range, parse_parameter
from tests.sweeps.conftest import WriteSweep


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"value": None}, Choice((None,))),
        ({"values": [1, "a"]}, Choice((1, "a"))),
        ({"values": [1], "distribution": "categorical"}, Choice((1,))),
        ({"min": 1, "max": 3}, Range(1, 3, whole=True)),
        ({"min": 1, "max": 3, "distribution": "uniform"}, Range(1, 3)),
        ({"min": 1.0, "max": 3}, Range(1.0, 3)),
        ({"min": 1, "max": 3, "distribution": "log_uniform_values"}, Range(1, 3, log=True)),
    ],
)
def test_forms_of_a_parameter(given: dict[str, Any], expected: Choice | Range) -> None:
    assert parse_parameter("x", given) == expected


@pytest.mark.parametrize(
    "given",
    [
        3,
        {},
        {"values": []},
        {"values": 3},
        {"min": 1},
        {"min": 3, "max": 1},
        {"min": "1e-4", "max": 1},
        {"min": 0, "max": 1, "distribution": "log_uniform_values"},
        {"min": 0.5, "max": 1, "distribution": "int_uniform"},
        {"mu": 0, "sigma": 1, "distribution": "normal"},
        {"min": 0, "max": 1, "q": 0.1, "distribution": "q_uniform"},
        {"parameters": {"y": {"value": 1}}},
    ],
)
def test_other_forms_are_refused_by_name(given: object) -> None:
    with pytest.raises(ConfigError, match=r"^parameter some\.x: [^\n]+$"):
        parse_parameter("some.x", given)


def test_draws_stay_in_range() -> None:
    random = Random(0)
    drawn = [Range(0.0005, 0.008, log=True).draw(random) for _ in range(500)]
    assert 0.0005 <= min(drawn) < 0.0006 < 0.007 < max(drawn) <= 0.008
    assert sum(value < math.sqrt(0.0005 * 0.008) for value in drawn) == pytest.approx(250, abs=50)
    assert {Range(1, 3, whole=True).draw(random) for _ in range(50)} == {1, 2, 3}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"method": "hill_climbing"}, "bayes"),
        ({"metric": None}, "metric"),
        ({"metric": {"name": "a", "goal": "up"}}, "goal"),
        ({"parameters": {}}, "parameters"),
        ({"parameters": {"x": {"min": 0, "max": 1}}}, "grid"),
        ({"early_terminate": {"type": "hyperband"}}, "early_terminate"),
        ({"command": "python x.py"}, "command"),
        ({"run_cap": 0}, "run_cap"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(changed: dict[str, Any], told: str, write_sweep: WriteSweep) -> None:
    path = write_sweep(**changed)
    with pytest.raises(ConfigError, match=told) as refused:
        read_sweep(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_files_are_data_and_not_code(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(f"method: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']")
    with pytest.raises(ConfigError, match="not YAML"):
        read_sweep(path)
    assert not (tmp_path / "made").exists()
    with pytest.raises(ConfigError, match="absent"):
        read_sweep(tmp_path / "absent.yaml")


def test_comments_do_not_make_another_sweep(write_sweep: WriteSweep) -> None:
    path = write_sweep()
    first = read_sweep(path).digest
    path.write_text("# more\n" + path.read_text())
    assert read_sweep(path).digest == first
    assert read_sweep(write_sweep(run_cap=3)).digest != first
