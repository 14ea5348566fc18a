"""The result of an evaluation of tracks: a row for each video, their mean, and how sure a difference is."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from refine_motion.benchmarks.tracks.benchmark import Column
from refine_motion.files import replacing
from refine_motion.metrics.functional.bootstrap import DifferenceInterval, paired_difference

Scores = Mapping[str, float]
_MOST_ROWS = 60
_WIDTH = 80
# Below so many recordings an interval is told to be rough.
_FEW_UNITS = 10
# Suffixes of the columns of the CSV file: the model, the one compared with, and no motion at all.
_WHOSE = {"scores": "", "against": "_before", "still": "_still"}


@dataclass(frozen=True)
class TrackRow:
    """Scores of one video by name; one is not a number where there is nothing to score.

    Attributes:
        name: the video, or ``mean``.
        unit: the recording that it is of.
        frames: how many.
        queries: points that were followed.
        scores: of the model.
        against: of the model compared with; ``None`` when there was none.
        still: of points that stay where they were given.
    """

    name: str
    unit: str
    frames: int
    queries: int
    scores: Scores
    against: Scores | None
    still: Scores

    def kinds(self) -> dict[str, Scores]:
        """The scores there are, by attribute."""
        values = {kind: getattr(self, kind) for kind in _WHOSE}
        return {kind: scores for kind, scores in values.items() if scores is not None}

    def is_lost(self, score: str) -> bool:
        """Whether it is infinite for one of them, as of places that are no numbers."""
        return any(math.isinf(scores[score]) for scores in self.kinds().values())

    def has(self, score: str) -> bool:
        """Whether it is a number for all of them, so that their means are over the same videos."""
        return not any(math.isnan(scores[score]) for scores in self.kinds().values())


@dataclass(frozen=True)
class TrackTable:
    """Scores of a track model on a benchmark.

    Attributes:
        title: benchmark and protocol.
        columns: the scores that are printed.
        rows: one for each video.
        skipped: what was left out, by reason.
        notes: what a reader has to know.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[TrackRow]
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def mean(self) -> TrackRow:
        """Plain mean over the videos that have the score of every model; frames and queries are added."""
        kinds = {kind: self._mean(kind) for kind in self.rows[0].kinds()}
        frames, queries = sum(row.frames for row in self.rows), sum(row.queries for row in self.rows)
        return TrackRow("mean", "", frames, queries, kinds["scores"], kinds.get("against"), kinds["still"])

    def _mean(self, kind: str) -> dict[str, float]:
        means = {}
        for name in self.rows[0].kinds()[kind]:
            known = [row.kinds()[kind][name] for row in self.rows if row.has(name)]
            means[name] = sum(known) / len(known) if known else math.nan
        return means

    @property
    def intervals(self) -> dict[str, DifferenceInterval]:
        """Of each printed score the mean difference to the other model, with its 95 % interval, where it is defined."""
        found = {}
        for column in self.columns if self.rows[0].against is not None else ():
            new = [row.scores[column.score] for row in self.rows]
            old = [row.against[column.score] for row in self.rows if row.against is not None]
            interval = paired_difference(new, old, [row.unit for row in self.rows])
            if interval is not None:
                found[column.score] = interval
        return found

    def to_dict(self) -> dict[str, object]:
        """Plain values that JSON can hold: what is not defined, or not finite, becomes ``None``."""
        return {
            "title": self.title,
            "videos": {row.name: _plain(row) for row in self.rows},
            "mean": _plain(self.mean),
            "difference_interval_95": {name: _finite(asdict(found)) for name, found in self.intervals.items()},
            "skipped": dict(self.skipped),
            "notes": list(self.notes),
        }

    def to_json(self, path: str | Path) -> None:
        """Write :meth:`to_dict`. Folders are made."""
        with replacing(path) as aside:
            aside.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")

    def to_csv(self, path: str | Path) -> None:
        """Write all scores of the rows and the mean; undefined ones are empty cells. Folders are made."""
        rows = [*self.rows, self.mean]
        with replacing(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
            cells = [{"name": row.name, "frames": row.frames, "queries": row.queries, **_flat(row)} for row in rows]
            writer = csv.DictWriter(file, list(cells[0]))
            writer.writeheader()
            writer.writerows(cells)

    def print(self) -> None:
        """Print the table and what has to be known of it to standard output, with every number whole.

        To a file or pipe its lines are as long as it takes to keep each video on one.
        """
        console, table = Console(), self.to_rich()
        width = max(console.width, _WIDTH)
        if not console.is_terminal:
            width = max(width, Measurement.get(console, console.options.update(max_width=1000), table).maximum)
        console = Console(width=width)
        console.print(table)
        # Below the table, not in its caption, which is no wider than the columns.
        for line in self.remarks():
            console.print(line, markup=False, highlight=False, style="dim")

    def to_rich(self) -> Table:
        """The printed scores of every video, each beside that of the other model and of standing still.

        Of more than 60 videos it shows only the mean.
        """
        table = Table(
            title=escape(self.title),
            box=SIMPLE_HEAD,
            show_edge=False,
            padding=(0, 1, 0, 0),
        )
        table.add_column("video", overflow="fold")
        table.add_column("points", justify="right", no_wrap=True)
        headings = {"scores": "{}", "against": "before", "still": "still"}
        kinds = list(self.rows[0].kinds())
        for column in self.columns:
            for kind in kinds:
                table.add_column(headings[kind].format(column.heading), justify="right", no_wrap=True)
        for row in self.rows if len(self.rows) <= _MOST_ROWS else []:
            table.add_row(escape(row.name), str(row.queries), *self._cells(row))
        table.add_section()
        table.add_row("mean", str(self.mean.queries), *self._cells(self.mean), style="bold")
        return table

    def _cells(self, row: TrackRow) -> list[str]:
        return [
            _shown(column.factor * scores[column.score]) for column in self.columns for scores in row.kinds().values()
        ]

    def remarks(self) -> list[str]:
        """What the scores mean, how sure a difference is, and what was skipped, one line each."""
        lines = [*self.notes, "still: points that stay where they were given."]
        intervals = self.intervals
        lines += [_sentence(each, intervals[each.score]) for each in self.columns if each.score in intervals]
        for column in self.columns:
            without = sum(not row.has(column.score) for row in self.rows)
            if without:
                whose = " of every model" if self.rows[0].against is not None else ""
                lines.append(
                    f"{without} of {len(self.rows)} videos have no {column.heading}{whose} and are not in its mean."
                )
            lost = sum(row.is_lost(column.score) for row in self.rows)
            if lost:
                lines.append(
                    f"{column.heading} is infinite on {lost} of {len(self.rows)} videos, where a model says places "
                    "that are no numbers: its difference has no interval."
                )
        lines += [f"Skipped: {count} {reason}." for reason, count in self.skipped.items()]
        if len(self.rows) > _MOST_ROWS:
            lines.append(f"The rows of the {len(self.rows)} videos are not shown; the table as CSV has them.")
        return lines


def _sentence(column: Column, interval: DifferenceInterval) -> str:
    ends = [column.factor * value for value in (interval.mean, interval.low, interval.high)]
    better = {True: "; lower is better", False: "; higher is better", None: ""}[column.lower_is_better]
    few = "; of so few it is rough, and rather too narrow" if interval.units < _FEW_UNITS else ""
    return (
        f"{column.heading} against before: {ends[0]:+.2f}, 95% interval {ends[1]:+.2f} to {ends[2]:+.2f} "
        f"({interval.units} recordings resampled{few}{better})."
    )


def _flat(row: TrackRow) -> dict[str, float | None]:
    return {
        f"{name}{_WHOSE[kind]}": None if math.isnan(value) else value
        for kind, scores in row.kinds().items()
        for name, value in scores.items()
    }


def _plain(row: TrackRow) -> dict[str, object]:
    return {"frames": row.frames, "queries": row.queries, **_finite(_flat(row))}


def _finite(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}


def _shown(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}" if abs(value) < 99.995 else f"{value:.1f}"
