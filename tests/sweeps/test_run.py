from __future__ import annotations

import json
from pathlib import Path

import pytest

from refine_motion.cli.main import main
from tests.sweeps.conftest import WriteSweep


def calls(out: Path) -> list[str]:
    return (out / "calls.txt").read_text().splitlines()


def test_trials_have_their_own_folders_and_the_best_is_named(
    write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["sweep", str(write_sweep()), "--out", str(out)]) == 0
    assert calls(out) == ["trial_000 0.0 offline", "trial_001 1.0 offline", "trial_002 2.0 offline"]
    assert (out / "trial_001" / "log.txt").read_text() == "started\n"
    assert (out / "sweep.png").stat().st_size > 1000
    told = capsys.readouterr().out
    assert "without ground truth" in " ".join(told.split())
    assert f"best: {out / 'trial_002'} with --x=2" in told
    assert "50.0%" in told
    assert "not refined: 7.5000" in told


def test_a_killed_sweep_goes_on_and_tries_what_failed_again(
    write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file = tmp_path / "out", str(write_sweep())
    assert main(["sweep", file, "--out", str(out), "--", "--fail", "1"]) == 0
    assert "x is not liked" in " ".join(capsys.readouterr().out.split())
    journal = out / "trials.json"
    kept = json.loads(journal.read_text())
    assert kept["trials"][1]["error"] == "x is not liked"
    # As after a kill during the last trial.
    journal.write_text(json.dumps({**kept, "trials": kept["trials"][:2]}))
    assert main(["sweep", file, "--out", str(out), "--", "--fail", "1"]) == 0
    assert [call.split()[0] for call in calls(out)[3:]] == ["trial_001", "trial_002"]
    for other in (["--", "--fail", "0"], ["--seed", "1", "--", "--fail", "1"]):
        assert main(["sweep", file, "--out", str(out), *other]) == 2
        assert "--out" in capsys.readouterr().err
    journal.write_text("{")
    assert main(["sweep", file, "--out", str(out), "--", "--fail", "1"]) == 2
    assert "trials.json" in capsys.readouterr().err


def test_crashes_are_told_by_the_last_line_of_the_log(write_sweep: WriteSweep, tmp_path: Path) -> None:
    crash = "print('wandb: bye', flush=True); raise RuntimeError('out of luck')"
    for number, (code, told) in enumerate([
        (crash, "RuntimeError: out of luck"),
        ("import os; os.kill(os.getpid(), 9)", "ended with status -9"),
        ("print('done')", "it wrote no result.json"),
    ]):  # fmt: skip
        out = tmp_path / str(number)
        command = ["${interpreter}", "-c", code, "${args}"]
        assert main(["sweep", str(write_sweep(command=command)), "--trials", "1", "--out", str(out)]) == 2
        assert json.loads((out / "trials.json").read_text())["trials"][0]["error"] == told


def test_no_trial_came_to_an_end(write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(write_sweep(metric={"name": "val/other"}, parameters={"x": {"value": 1}}))
    assert main(["sweep", file, "--out", str(tmp_path / "out")]) == 2
    assert "val/other" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("word", ["--x=3", "--workdir"])
def test_extra_words_leave_what_is_swept_alone(
    word: str, write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", str(write_sweep()), "--out", str(tmp_path / "out"), "--", word]) == 2
    assert word.split("=")[0] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
