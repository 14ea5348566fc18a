from __future__ import annotations

import json
import sys

import pytest

from refine_motion.errors import ConfigError
from refine_motion.sweeps.command import trial_command
from refine_motion.sweeps.file import read_sweep
from tests.sweeps.conftest import WriteSweep


def test_words_are_those_of_the_agent(write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch) -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    values = {"a.b": 0.1, "c": True, "d": False, "e": None, "f": [1, 2]}
    agents = create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    monkeypatch.setenv("PLACE", "here")
    for macro in ("args", "args_no_hyphens", "args_no_boolean_flags", "args_json"):
        command = ["${env}", "${interpreter}", "--at=${envvar:PLACE}/${oc.env:X,y}", f"${{{macro}}}"]
        words = trial_command(read_sweep(write_sweep(command=command)), values)
        assert words == ["/usr/bin/env", sys.executable, "--at=here/${oc.env:X,y}", *agents[macro]]
    assert json.loads(words[-1]) == values


def test_refine_motion_is_this_installation(write_sweep: WriteSweep) -> None:
    words = trial_command(read_sweep(write_sweep(command=["${env}", "refine-motion", "fit", "${args}"])), {"x": 1})
    assert words == ["/usr/bin/env", sys.executable, "-m", "refine_motion", "fit", "--x=1"]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["${env}", "${args_json_file}"], "args_json_file"),
        (["${program}", "${args}"], "program"),
        (["python", "x.py"], "args"),
        (["${args}", "${envvar:NOT_SET_HERE}"], "NOT_SET_HERE"),
    ],
)
def test_what_cannot_be_filled_in_is_refused(command: list[str], told: str, write_sweep: WriteSweep) -> None:
    sweep = read_sweep(write_sweep(command=command, program=None))
    with pytest.raises(ConfigError, match=told):
        trial_command(sweep, {"x": 1})
