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
from refine_motion.metrics.functional.bootstrap import ChangeIntervals


def row(name: str, epe: float, against: float | None = None, fast: float = math.nan) -> FlowRow:
    change = None if against is None else 100 * (epe / against - 1)
    scores = (0.5, 0.75, 1.0, 3.25, epe, math.nan, fast, 2 * epe, 81.5, 1.5 * epe, math.nan, math.nan)
    return FlowRow(name, 2, 100, 0, epe, *scores, against, change)


def table(compared: bool = True) -> FlowTable:
    rows = [row("cave", 1.0, 2.0 if compared else None, fast=7.0), row("alley", 3.0, 2.5 if compared else None)]
    return FlowTable(rows, row("pooled", 2.0, 2.25 if compared else None, fast=7.0), iters=12)


def printed(result: FlowTable, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
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

    def test_json_file_with_the_intervals(self, tmp_path: Path):
        intervals = ChangeIntervals(pooled=(-12.5, -3.0), mean=(-20.0, 1.5), unit="scenes", units=23)
        replace(table(), intervals=intervals).to_json(tmp_path / "new/table.json")
        values = json.loads((tmp_path / "new/table.json").read_text())
        assert values["change_interval_95"] == {
            "pooled": [-12.5, -3.0],
            "mean": [-20.0, 1.5],
            "unit": "scenes",
            "units": 23,
        }
        assert table().to_dict()["change_interval_95"] is None

    def test_printed_intervals(self):
        intervals = ChangeIntervals(pooled=(-12.5, -3.0), mean=(-20.0, 1.5), unit="scenes", units=23)
        text = " ".join(printed(replace(table(), intervals=intervals)).split())
        assert "95% interval of the change: mean -20.00% to +1.50%, pooled -12.50% to -3.00% (23 scenes" in text
        assert "interval" not in printed(table())

    def test_printed_values_without_a_column(self):
        text = " ".join(printed(table()).split())
        assert "EPE as a mean over images 3.000, WAUC 81.5." in text
        result = replace(table(), pooled=replace(table().pooled, epe_matched=1.25, epe_unmatched=7.5))
        assert "EPE of matched pixels 1.250, of unmatched ones 7.500" in " ".join(printed(result).split())

    def test_many_sequences_are_left_to_the_files(self):
        rows = [row(f"{number:06d}", 1.0) for number in range(61)]
        text = printed(FlowTable(rows, row("pooled", 1.0), iters=24))
        assert "000007" not in text
        assert "The rows of the 61 sequences are not shown" in " ".join(text.split())
        assert "000007" in printed(FlowTable(rows[:60], row("pooled", 1.0), iters=24))

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
        for word in ("12 iterations", "cave", "alley", "mean", "pooled", "-50.0%", "+20.0%", "-15.0%", "75.0"):
            assert word in text
        assert "nan" not in text

    def test_printed_without_comparison(self):
        text = printed(table(compared=False)).split("n:")[0]
        assert "before" not in text
        assert "change" not in text

    def test_every_number_is_whole_at_80_columns(self):
        large = replace(row("final/mountain_1", 123.456, 60.0), pairs=1041, fl_all=98.76, epe_s0_10=12.345)
        large = replace(large, change_percent=-12.34, px1_acc=0.5432, epe_s10_40=45.678, epe_boundary=234.56)
        lines = printed(FlowTable([large], replace(large, name="pooled"), iters=12), width=80).splitlines()
        assert max(map(len, lines)) <= 80
        (pooled,) = (line for line in lines if line.startswith("pooled"))
        numbers = ["1041", "123.5", "60.00", "-12.3%", "54.3", "75.0", "100", "98.8", "12.35", "45.68", "–", "234.6"]
        assert pooled.split()[1:] == numbers
        assert "".join(line.split()[0] for line in lines[3:5]) == "final/mountain_1"

    def test_numbers_never_round_to_one_digit_more(self):
        edge = replace(row("a", 9.99951, 9.99949), change_percent=-9.996, px1_acc=0.09996, fl_all=99.96)
        cells = printed(FlowTable([edge], edge, iters=12)).splitlines()[3].split()
        assert cells[2:6] == ["10.00", "9.999", "-10.0%", "10.0"]
        assert cells[8] == "100"

    def test_print_keeps_names_whole_in_a_pipe(self, capsys: pytest.CaptureFixture[str], monkeypatch):
        monkeypatch.setenv("COLUMNS", "40")
        name = "a_sequence_with_a_name_of_sixty_characters_" + "x" * 17
        FlowTable([row(name, 1.0, 2.0)], row("pooled", 1.0, 2.0), iters=12).print()
        assert name in capsys.readouterr().out
        monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes every stream for a terminal
        FlowTable([row(name, 1.0, 2.0)], row("pooled", 1.0, 2.0), iters=12).print()
        text = capsys.readouterr().out
        assert name not in text
        assert "75.0" in text

    def test_pairs_without_truth_are_told(self):
        result = table()
        assert "not scored" not in printed(result)
        result = replace(result, pooled=replace(result.pooled, pairs_without_truth=3))
        assert "3 pairs have no pixel of known flow" in printed(result)
