"""The harness: processes of their own, what is kept and what is measured again, the table. No measurement runs here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.bench import machine, runner, trivial
from tests.bench.__main__ import main
from tests.bench.child import ChildError, Skipped, in_child
from tests.bench.meter import interleaved
from tests.bench.results import row
from tests.bench.runner import Measurement, run

GOOD = {"good": Measurement(trivial.good, 1)}


def stored(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def calls(folder: Path) -> int:
    return (folder / "calls").stat().st_size


def test_result_is_stored_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(GOOD, tmp_path, "cpu") == 0
    assert "good: about 1 s" in capsys.readouterr().out
    found = stored(tmp_path)["measurements"]["good"]
    assert found["rows"] == [row("calls", 1, "calls", 4.0, "four of them", True, 0.1)]
    assert found["rows"][0]["ratio"] == 0.25
    assert run(GOOD, tmp_path, "cpu") == 0
    assert "good: kept" in capsys.readouterr().out
    assert calls(tmp_path) == 1


def test_only_measures_again_and_keeps_the_rest(tmp_path: Path) -> None:
    both = {"first": GOOD["good"], "second": GOOD["good"]}
    run(both, tmp_path, "cpu")
    run(both, tmp_path, "cpu", only=["second"])
    rows = {name: found["rows"][0]["this"] for name, found in stored(tmp_path)["measurements"].items()}
    assert rows == {"first": 1, "second": 3}


def test_other_code_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(GOOD, tmp_path, "cpu")
    monkeypatch.setattr(runner, "code", lambda: "another")
    run(GOOD, tmp_path, "cpu")
    assert calls(tmp_path) == 2


def test_results_of_another_machine_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"first": GOOD["good"], "second": GOOD["good"]}
    run(both, tmp_path, "cpu", only=["first"])
    monkeypatch.setattr(runner, "machine", lambda device: {"cpu": "another"})
    run(both, tmp_path, "cpu", only=["second"])
    assert list(stored(tmp_path)["measurements"]) == ["second"]


def test_failure_ends_nothing_else_and_is_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three = {"bad": Measurement(trivial.bad, 1), "impossible": Measurement(trivial.impossible, 1), **GOOD}
    assert run(three, tmp_path, "cpu") == 1
    table = (tmp_path / "results.md").read_text()
    assert "**Failed:** ValueError: it does not work" in table
    assert "Skipped: no such device." in table
    assert "| calls | 1 calls | 4 calls | 0.25 (wanted: at least 0.1) | four of them |" in table
    capsys.readouterr()
    assert run(three, tmp_path, "cpu") == 1
    printed = capsys.readouterr().out
    assert "bad: FAILED (ValueError: it does not work)" in printed
    assert "impossible: kept" in printed
    assert "good: kept" in printed


def test_table_names_machine_and_code(tmp_path: Path) -> None:
    run(GOOD, tmp_path, "cpu")
    table = (tmp_path / "results.md").read_text()
    facts = machine.machine("cpu")
    assert f"cpu {facts['cpu']}, cores {facts['cores']}" in table
    assert re.search(rf"\(20\d\d-\d\d-\d\d \d\d:\d\d UTC, \d+ s, code {machine.code()}\)", table)


def test_child_raises_what_happened() -> None:
    with pytest.raises(ChildError, match="it does not work"):
        in_child(trivial.bad, device="cpu", out="")
    with pytest.raises(Skipped, match="no such device"):
        in_child(trivial.impossible, device="cpu", out="")


@pytest.mark.parametrize(("more", "ratio"), [(True, 2.0), (False, 0.5)])
def test_ratio_above_one_is_in_favour(more: bool, ratio: float) -> None:
    assert row("", 6.0, "", 3.0, more_is_better=more)["ratio"] == ratio


def test_peak_is_that_of_the_call() -> None:
    # In a process of its own, as all measurements are: in this one, what earlier tests left may go back to the system
    # just then, and what the call takes does not show.
    held = in_child(trivial.peak_after_a_larger_one)
    assert 2**25 * 0.9 < held < 2**25 * 1.5


def test_functions_take_turns() -> None:
    order: list[str] = []
    times = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, repeats=2, device="cpu")
    assert order == ["a", "b"] * 3
    assert set(times) == {"a", "b"}


def test_refuses_without_material(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("REFINE_MOTION_SHARED", raising=False)
    assert main([]) == 2
    assert "set REFINE_MOTION_SHARED" in capsys.readouterr().err


def test_measures_without_material_what_needs_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REFINE_MOTION_SHARED", raising=False)
    free = Measurement(trivial.good, 1, material=False)
    monkeypatch.setattr("tests.bench.__main__.MEASUREMENTS", {"free": free, "bound": GOOD["good"]})
    assert main(["--only", "free", "bound", "--out", str(tmp_path)]) == 2
    assert main(["--only", "free", "--device", "cpu", "--out", str(tmp_path)]) == 0
    assert calls(tmp_path) == 1
