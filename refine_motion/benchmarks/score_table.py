"""The result of an evaluation of predictions: a row for each object or joint, and the benchmark's own mean."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from refine_motion.benchmarks.tracks.benchmark import Column
from refine_motion.files import replacing

_MOST_ROWS = 100
_WIDTH = 80


@dataclass(frozen=True)
class ScoreRow:
    """Scores by name; one is not a number where there is nothing to score.

    Attributes:
        name: of what is scored, or ``mean``.
        scores: of the predictions.
        still: of what was given in the first frame, kept where it was.
    """

    name: str
    scores: Mapping[str, float]
    still: Mapping[str, float]


@dataclass(frozen=True)
class ScoreTable:
    """Scores of predictions on a benchmark.

    Attributes:
        title: benchmark and protocol.
        unit: what a row is.
        columns: the scores that are printed; standing still is printed beside the first.
        rows: one for each unit.
        mean: by the rule of the benchmark.
        skipped: what was left out, by reason.
        notes: what a reader has to know.
    """

    title: str
    unit: str
    columns: Sequence[Column]
    rows: Sequence[ScoreRow]
    mean: ScoreRow
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values that JSON can hold: scores that are not defined become ``None``."""
        return {
            "title": self.title,
            "rows": {row.name: _flat(row) for row in self.rows},
            "mean": _flat(self.mean),
            "skipped": dict(self.skipped),
            "notes": list(self.notes),
        }

    def to_json(self, path: str | Path) -> None:
        """Write :meth:`to_dict`. Folders are made."""
        with replacing(path) as aside:
            aside.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")

    def to_csv(self, path: str | Path) -> None:
        """Write all scores of the rows and the mean, unrounded; undefined ones are empty cells. Folders are made."""
        cells = [{"name": row.name, **_flat(row)} for row in (*self.rows, self.mean)]
        with replacing(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(cells[0]))
            writer.writeheader()
            writer.writerows(cells)

    def to_markdown(self, path: str | Path) -> None:
        """Write the printed scores and the remarks. Folders are made."""
        headings = [self.unit, *self._headings()]
        lines = [f"**{self.title}**", "", _line(headings), _line(["---", *["---:"] * (len(headings) - 1)])]
        lines += [_line([row.name, *self._cells(row)]) for row in self.rows]
        lines += [_line([f"**{cell}**" for cell in (self.mean.name, *self._cells(self.mean))]), ""]
        lines += [f"- {remark}" for remark in self.remarks()]
        with replacing(path) as aside:
            aside.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def print(self) -> None:
        """Print the table and what has to be known of it to standard output, with every number whole.

        To a file or pipe its lines are as long as it takes to keep each row on one.
        """
        console, table = Console(), self.to_rich()
        width = max(console.width, _WIDTH)
        if not console.is_terminal:
            width = max(width, Measurement.get(console, console.options.update(max_width=1000), table).maximum)
        console = Console(width=width)
        console.print(table)
        hidden = len(self.rows) > _MOST_ROWS
        more = [f"The {len(self.rows)} rows are not shown; the table as CSV has them."] if hidden else []
        for line in [*self.remarks(), *more]:
            console.print(line, markup=False, highlight=False, style="dim")

    def to_rich(self) -> Table:
        """The printed scores. Of more than 100 rows it shows only the mean."""
        table = Table(title=escape(self.title), box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
        table.add_column(self.unit, overflow="fold")
        for heading in self._headings():
            table.add_column(heading, justify="right", no_wrap=True)
        for row in self.rows if len(self.rows) <= _MOST_ROWS else []:
            table.add_row(escape(row.name), *self._cells(row))
        table.add_section()
        table.add_row(self.mean.name, *self._cells(self.mean), style="bold")
        return table

    def remarks(self) -> list[str]:
        """What the scores mean and what was skipped, one line each."""
        lines = [*self.notes, "still: what was given in the first frame, kept where it was."]
        lines += [f"Skipped: {count} {reason}." for reason, count in self.skipped.items()]
        return lines

    def _headings(self) -> list[str]:
        first, *others = (column.heading for column in self.columns)
        return [first, "still", *others]

    def _cells(self, row: ScoreRow) -> list[str]:
        first, *others = ((column.factor, column.score) for column in self.columns)
        values = [first[0] * row.scores[first[1]], first[0] * row.still[first[1]]]
        values += [factor * row.scores[score] for factor, score in others]
        return ["–" if math.isnan(value) else f"{value:.1f}" for value in values]


def _flat(row: ScoreRow) -> dict[str, float | None]:
    values = {**row.scores, **{f"{name}_still": value for name, value in row.still.items()}}
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _line(cells: Sequence[str]) -> str:
    # A bar in a name would end its cell.
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
