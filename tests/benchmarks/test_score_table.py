from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from refine_motion.benchmarks.score_table import ScoreRow, ScoreTable
from refine_motion.benchmarks.tracks.benchmark import Column


def row(name: str, share: float, error: float) -> ScoreRow:
    return ScoreRow(name, {"share": share, "error": error}, {"share": 0.25, "error": 9.0})


def table(*rows: ScoreRow) -> ScoreTable:
    columns = Column("share", "S", 100), Column("error", "E", lower_is_better=True)
    return ScoreTable("Made [up]", "thing", columns, rows, row("mean", 0.5, 3.0), {"broken things": 2}, ["A note."])


def test_files(tmp_path: Path) -> None:
    made = table(row("a|b", 0.123456, math.nan), row("c", 1.0, 2.0))
    made.to_csv(tmp_path / "new/table.csv")
    with (tmp_path / "new/table.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert [line["name"] for line in cells] == ["a|b", "c", "mean"]
    assert cells[0] == {"name": "a|b", "share": "0.123456", "error": "", "share_still": "0.25", "error_still": "9.0"}
    made.to_json(tmp_path / "new/table.json")
    found = json.loads((tmp_path / "new/table.json").read_text())
    assert found["rows"]["a|b"]["error"] is None
    assert found["mean"]["share"] == 0.5
    assert found["skipped"] == {"broken things": 2}
    made.to_markdown(tmp_path / "new/table.md")
    assert (tmp_path / "new/table.md").read_text().splitlines() == [
        "**Made [up]**",
        "",
        "| thing | S | still | E |",
        "| --- | ---: | ---: | ---: |",
        "| a\\|b | 12.3 | 25.0 | – |",
        "| c | 100.0 | 25.0 | 2.0 |",
        "| **mean** | **50.0** | **25.0** | **3.0** |",
        "",
        "- A note.",
        "- still: what was given in the first frame, kept where it was.",
        "- Skipped: 2 broken things.",
    ]


def test_screen(capsys: pytest.CaptureFixture[str]) -> None:
    table(row("a", 0.123456, 2.0)).print()
    text = capsys.readouterr().out
    assert "Made [up]" in text
    assert text.split("\n")[3].split() == ["a", "12.3", "25.0", "2.0"]
    assert "Skipped: 2 broken things." in text


def test_many_rows_are_only_in_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    table(*(row(f"row{number}", 0.5, 1.0) for number in range(101))).print()
    text = capsys.readouterr().out
    assert "row7" not in text
    assert "mean" in text
    assert "The 101 rows are not shown; the table as CSV has them." in text
