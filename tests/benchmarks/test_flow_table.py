from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from refine_motion.benchmarks.flow_table import FlowRow, FlowTable


def row(name: str, epe: float, against: float | None = None, fast: float = math.nan) -> FlowRow:
    change = None if against is None else 100 * (epe / against - 1)
    return FlowRow(name, 2, 100, 0, epe, 0.5, 0.75, 1.0, 3.25, epe, math.nan, fast, 2 * epe, against, change)


def table(compared: bool = True) -> FlowTable:
    rows = [row("cave", 1.0, 2.0 if compared else None, fast=7.0), row("alley", 3.0, 2.5 if compared else None)]
    return FlowTable(rows, row("pooled", 2.0, 2.25 if compared else None, fast=7.0), iters=12)


def printed(result: FlowTable) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(result.to_rich())
    return console.export_text()


class TestMean:
    def test_relative_changes_are_averaged_not_the_change_of_averages(self):
        assert table().mean.change_percent == pytest.approx((-50 + 20) / 2)
        assert table().mean.epe == 2
        assert table().mean.pairs == 4

    def test_over_the_sequences_that_have_the_score(self):
        assert table().mean.epe_s40 == 7
        assert math.isnan(table().mean.epe_s10_40)
        assert table(compared=False).mean.change_percent is None


class TestOutput:
    def test_dict_is_strict_json(self):
        values = json.loads(json.dumps(table().to_dict(), allow_nan=False))
        assert values["iters"] == 12
        assert list(values["sequences"]) == ["cave", "alley"]
        assert values["sequences"]["cave"]["epe"] == 1.0
        assert values["sequences"]["alley"]["epe_s40"] is None
        assert values["mean"]["change_percent"] == pytest.approx(-15)
        assert values["pooled"]["pairs"] == 2

    def test_csv(self, tmp_path: Path):
        table().to_csv(tmp_path / "new/table.csv")
        with (tmp_path / "new/table.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [r["name"] for r in rows] == ["cave", "alley", "mean", "pooled"]
        assert float(rows[0]["epe"]) == 1.0
        assert float(rows[1]["change_percent"]) == pytest.approx(20)
        assert rows[1]["epe_s40"] == ""

    def test_printed(self):
        text = printed(table())
        for word in ("12 iterations", "cave", "alley", "mean", "pooled", "-50.00 %", "+20.00 %", "-15.00 %", "75.0"):
            assert word in text
        assert "nan" not in text

    def test_printed_without_comparison(self):
        text = printed(table(compared=False))
        assert "before" not in text
        assert "change" not in text

    def test_pairs_without_truth_are_told(self):
        result = table()
        assert "not scored" not in printed(result)
        result = replace(result, pooled=replace(result.pooled, pairs_without_truth=3))
        assert "3 pairs have no pixel of known flow" in printed(result)
