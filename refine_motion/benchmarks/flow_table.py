"""The result of an evaluation on optical-flow benchmarks: a row per sequence, their mean, and the pooled values."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from refine_motion.files import replacing
from refine_motion.metrics.functional.bootstrap import ChangeIntervals


@dataclass(frozen=True)
class FlowRow:
    """Scores of one sequence, or of several together. A score is nan where no pixel falls into its region.

    Attributes:
        name: the sequence, or ``mean`` or ``pooled``.
        pairs: number of frame pairs.
        pixels: number of pixels with known truth.
        pairs_without_truth: pairs in which no pixel is known; they take no part in any score.
        epe: end-point error in pixels.
        px1_acc: share of pixels with an error below 1 px, 0 to 1.
        px3_acc: the same for 3 px.
        px5_acc: the same for 5 px.
        fl_all: per cent of pixels with an error above 3 px and 5 % of the true speed.
        epe_s0_10: end-point error where the true speed is in [0, 10) px per frame.
        epe_s10_40: the same for [10, 40).
        epe_s40: the same for 40 and more.
        epe_boundary: end-point error at most 5 px from a motion boundary.
        wauc: weighted area under the curve of accuracies, 0 to 100, a mean over images.
        epe_image: mean over images of the end-point error of each (the EPE of KITTI's protocol).
        epe_matched: end-point error of the pixels that are visible in the second frame; nan where no map says.
        epe_unmatched: the same of those that are not.
        epe_against: end-point error of the model compared against; ``None`` when there was none.
        change_percent: ``100 (epe / epe_against - 1)``: negative where the model is better; ``None`` likewise.
    """

    name: str
    pairs: int
    pixels: int
    pairs_without_truth: int
    epe: float
    px1_acc: float
    px3_acc: float
    px5_acc: float
    fl_all: float
    epe_s0_10: float
    epe_s10_40: float
    epe_s40: float
    epe_boundary: float
    wauc: float
    epe_image: float
    epe_matched: float
    epe_unmatched: float
    epe_against: float | None = None
    change_percent: float | None = None

    def scores(self) -> dict[str, float]:
        """What is defined, without the name."""
        return {key: value for key, value in _plain(self).items() if value is not None}


_WIDTH = 80
_MOST_ROWS = 60
_COUNTS = ("pairs", "pixels", "pairs_without_truth")


@dataclass(frozen=True)
class FlowTable:
    """Scores of a flow model on frame pairs with true flow.

    Attributes:
        rows: one per sequence.
        pooled: over the pixels of all pairs, large and long sequences weighing more; its change is that of the pooled
            end-point errors.
        iters: iterations of the model.
        intervals: how sure the change is; ``None`` where there was no model to compare with, or too little data.
    """

    rows: list[FlowRow]
    pooled: FlowRow
    iters: int
    intervals: ChangeIntervals | None = None

    @property
    def mean(self) -> FlowRow:
        """Unweighted mean over the sequences that have the score; counts are added.

        Its ``change_percent`` is the mean of the relative changes, the figure of arXiv 2401.00850, and not the change
        of the mean errors.
        """
        values: dict[str, float | None] = {}
        for field in fields(FlowRow):
            column = [getattr(row, field.name) for row in self.rows]
            if field.name in _COUNTS:
                values[field.name] = sum(column)
            elif field.name != "name":
                present = [value for value in column if value is not None and not math.isnan(value)]
                empty = None if None in column else math.nan
                values[field.name] = sum(present) / len(present) if present else empty
        return FlowRow(name="mean", **values)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, object]:
        """Plain values that JSON can hold: scores that are not defined become ``None``."""
        return {
            "iters": self.iters,
            "sequences": {row.name: _plain(row) for row in self.rows},
            "mean": _plain(self.mean),
            "pooled": _plain(self.pooled),
            "change_interval_95": None if self.intervals is None else self.intervals.to_dict(),
        }

    def to_json(self, path: str | Path) -> None:
        """Write :meth:`to_dict`. Folders are made."""
        with replacing(path) as aside:
            aside.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")

    def to_csv(self, path: str | Path) -> None:
        """Write the rows, the mean and the pooled values; undefined scores are empty cells. Folders are made."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(FlowRow)])
            writer.writeheader()
            for row in (*self.rows, self.mean, self.pooled):
                writer.writerow({"name": row.name, **_plain(row)})

    def print(self) -> None:
        """Print the table to standard output, with every number whole.

        A terminal narrower than 80 columns breaks the lines itself; to a file or pipe they are as long as it takes to
        keep each sequence on one line.
        """
        console, table = Console(), self.to_rich()
        width = max(console.width, _WIDTH)
        if not console.is_terminal:
            width = max(width, Measurement.get(console, console.options.update(max_width=1000), table).maximum)
        Console(width=width).print(table)

    def to_rich(self) -> Table:
        """A table that shows every number at 80 columns; long names of sequences are folded there.

        Of more than 60 sequences (KITTI has one for each pair) it shows only the mean and the pooled values.
        """
        compared = self.pooled.epe_against is not None
        table = Table(
            title=f"Optical flow, {self.iters} iterations",
            caption=self._caption(compared),
            caption_justify="left",
            box=SIMPLE_HEAD,
            show_edge=False,
            padding=0,
        )
        table.add_column("sequence", overflow="fold")
        columns = [column for column in _COLUMNS if compared or column.source not in ("epe_against", "change_percent")]
        for column in columns:
            table.add_column(column.heading, justify="right", no_wrap=True)
        for row in self.rows if len(self.rows) <= _MOST_ROWS else []:
            table.add_row(escape(row.name), *(column.cell(row) for column in columns))
        table.add_section()
        for row in (self.mean, self.pooled):
            table.add_row(row.name, *(column.cell(row) for column in columns), style="bold")
        return table

    def _caption(self, compared: bool) -> str:
        lines = [
            "n: frame pairs. EPE: end-point error in px; slow, mid, fast: where the true motion is below 10, "
            "10 to 40, from 40 px; edge: near its boundaries. <1, <3, <5: % of pixels with an error below that, in px. "
            "Fl: Fl-all in %."
        ]
        if compared:
            lines.append("change: of EPE relative to before; its mean is over sequences, unweighted.")
        if self.intervals is not None:
            ends = {name: "{:+.2f}% to {:+.2f}%".format(*getattr(self.intervals, name)) for name in ("mean", "pooled")}
            lines.append(
                f"95% interval of the change: mean {ends['mean']}, pooled {ends['pooled']} "
                f"({self.intervals.units} {self.intervals.unit} resampled)."
            )
        lines.append(self._more())
        if len(self.rows) > _MOST_ROWS:
            lines.append(f"The rows of the {len(self.rows)} sequences are not shown; the table as CSV has them.")
        if self.pooled.pairs_without_truth:
            lines.append(f"{self.pooled.pairs_without_truth} pairs have no pixel of known flow and were not scored.")
        return "\n".join(lines)

    def _more(self) -> str:
        """What has no column."""
        all_pairs = self.pooled
        parts = [f"EPE as a mean over images {_pixels(all_pairs.epe_image)}", f"WAUC {_percent(all_pairs.wauc)}"]
        if not (math.isnan(all_pairs.epe_matched) and math.isnan(all_pairs.epe_unmatched)):
            parts.append(f"EPE of matched pixels {_pixels(all_pairs.epe_matched)}")
            parts.append(f"of unmatched ones {_pixels(all_pairs.epe_unmatched)}")
        return f"All pairs: {', '.join(parts)}."


@dataclass(frozen=True)
class _Column:
    heading: str
    source: str
    form: Callable[[float], str]

    def cell(self, row: FlowRow) -> str:
        value = getattr(row, self.source)
        return "–" if value is None or math.isnan(value) else self.form(value)


def _plain(row: FlowRow) -> dict[str, float | None]:
    values = asdict(row)
    del values["name"]
    return {key: None if value is None or math.isnan(value) else value for key, value in values.items()}


def _pixels(value: float) -> str:
    return f"{value:.3f}" if value < 9.9995 else f"{value:.2f}" if value < 99.995 else f"{value:.1f}"


def _percent(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else "100"


def _share(value: float) -> str:
    return _percent(100 * value)


def _change(value: float) -> str:
    # Judged after rounding, so that no colour is given to -0.00.
    colour = "green" if round(value, 2) < 0 else "red" if round(value, 2) > 0 else "default"
    text = f"{value:+.2f}" if abs(value) < 9.995 else f"{value:+.1f}"
    return f"[{colour}]{text}%[/{colour}]"


# Short on purpose: twelve columns and a name have to fit 80 characters.
_COLUMNS = (
    _Column("n", "pairs", str),
    _Column("EPE", "epe", _pixels),
    _Column("before", "epe_against", _pixels),
    _Column("change", "change_percent", _change),
    _Column("<1", "px1_acc", _share),
    _Column("<3", "px3_acc", _share),
    _Column("<5", "px5_acc", _share),
    _Column("Fl", "fl_all", _percent),
    _Column("slow", "epe_s0_10", _pixels),
    _Column("mid", "epe_s10_40", _pixels),
    _Column("fast", "epe_s40", _pixels),
    _Column("edge", "epe_boundary", _pixels),
)
