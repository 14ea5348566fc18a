"""The result of an evaluation on optical-flow benchmarks: a row per sequence, their mean, and the pooled values."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table


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
    epe_against: float | None = None
    change_percent: float | None = None


_COUNTS = ("pairs", "pixels", "pairs_without_truth")


@dataclass(frozen=True)
class FlowTable:
    """Scores of a flow model on frame pairs with true flow.

    Attributes:
        rows: one per sequence.
        pooled: over the pixels of all pairs, large and long sequences weighing more; its change is that of the pooled
            end-point errors.
        iters: iterations of the model.
    """

    rows: list[FlowRow]
    pooled: FlowRow
    iters: int

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
        }

    def to_csv(self, path: str | Path) -> None:
        """Write the rows, the mean and the pooled values; undefined scores are empty cells. Folders are made."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(FlowRow)])
            writer.writeheader()
            for row in (*self.rows, self.mean, self.pooled):
                writer.writerow({"name": row.name, **_plain(row)})

    def to_rich(self) -> Table:
        """A table for the terminal."""
        compared = self.pooled.epe_against is not None
        table = Table(
            title=f"Optical flow, {self.iters} iterations",
            caption=self._caption(compared),
            caption_justify="left",
            box=SIMPLE_HEAD,
            pad_edge=False,
        )
        table.add_column("sequence", no_wrap=True)
        columns = [column for column in _COLUMNS if compared or column.source not in ("epe_against", "change_percent")]
        for column in columns:
            table.add_column(column.heading, justify="right", no_wrap=True)
        for row in self.rows:
            table.add_row(row.name, *(column.cell(row) for column in columns))
        table.add_section()
        for row in (self.mean, self.pooled):
            table.add_row(row.name, *(column.cell(row) for column in columns), style="bold")
        return table

    def _caption(self, compared: bool) -> str:
        lines = [
            "EPE in px, also by true speed s in px per frame and near motion boundaries (edge); "
            "share of pixels with an error below 1, 3, 5 px, and Fl-all, in %."
        ]
        if compared:
            lines.append("change: EPE relative to 'before'; its mean is over sequences, unweighted.")
        if self.pooled.pairs_without_truth:
            lines.append(f"{self.pooled.pairs_without_truth} pairs have no pixel of known flow and were not scored.")
        return "\n".join(lines)


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
    return f"{value:.3f}"


def _change(value: float) -> str:
    # Judged after rounding, so that no colour is given to -0.00.
    colour = "green" if round(value, 2) < 0 else "red" if round(value, 2) > 0 else "default"
    return f"[{colour}]{value:+.2f} %[/{colour}]"


_COLUMNS = (
    _Column("pairs", "pairs", str),
    _Column("EPE", "epe", _pixels),
    _Column("before", "epe_against", _pixels),
    _Column("change", "change_percent", _change),
    _Column("<1px", "px1_acc", lambda value: f"{100 * value:.1f}"),
    _Column("<3px", "px3_acc", lambda value: f"{100 * value:.1f}"),
    _Column("<5px", "px5_acc", lambda value: f"{100 * value:.1f}"),
    _Column("Fl-all", "fl_all", lambda value: f"{value:.2f}"),
    _Column("s0-10", "epe_s0_10", _pixels),
    _Column("s10-40", "epe_s10_40", _pixels),
    _Column("s40+", "epe_s40", _pixels),
    _Column("edge", "epe_boundary", _pixels),
)
