"""Pseudo-labels of cells as a plain table, with where they come from beside it.

``labels.csv`` has a row for each cell: ``video`` (content key), ``path`` (for people), ``start``, ``stride``, ``label``
and ``confidence``. ``labels.json`` tells what made them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_motion.errors import ConfigError, LabelError
from refine_motion.files import replacing
from refine_motion.motionfit.granularity import Cell, Granularity

SCHEMA = "1"
_COLUMNS = ["video", "path", "start", "stride", "label", "confidence"]


@dataclass(frozen=True)
class Row:
    """The label of a cell.

    Attributes:
        cell: which.
        path: of the video when it was labelled.
        label: number of the class.
        confidence: 0..1, see :class:`refine_motion.motionfit.pseudo_labels.PseudoLabels`.
    """

    cell: Cell
    path: str
    label: int
    confidence: float


@dataclass(frozen=True)
class LabelTable:
    """All labels of some videos.

    Attributes:
        rows: of the cells.
        classes: names by label; of clusters they are numbers.
        granularity: of the cells.
        fps: of the timeline that they are counted on; ``None`` for all frames.
        provenance: what made them, as JSON can hold it: teacher, flow, settings.
        digest: 16 hex digits over the rows.
    """

    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    granularity: Granularity
    fps: float | None
    provenance: dict[str, Any]
    digest: str = ""


def write_labels(folder: str | Path, table: LabelTable) -> Path:
    """Write the table; the file of labels last, so that it is there only where all else is.

    Args:
        folder: made where it does not exist.
        table: the labels; its digest is made here.

    Returns:
        The file of labels.
    """
    folder = Path(folder)
    text = _text(table.rows)
    facts = {
        "schema": SCHEMA,
        "classes": list(table.classes),
        "granularity": {"length": table.granularity.length, "strides": list(table.granularity.strides)},
        "fps": table.fps,
        "labels": _digest(text),
        "provenance": table.provenance,
    }
    with replacing(folder / "labels.json") as partial:
        partial.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    with replacing(folder / "labels.csv") as partial:
        # Names of files need not be UTF-8, and may have any character.
        partial.write_bytes(text.encode("utf-8", "surrogateescape"))
    return folder / "labels.csv"


def read_labels(folder: str | Path) -> LabelTable:
    """Read what :func:`write_labels` has written.

    Args:
        folder: with both files.

    Raises:
        LabelError: a file is missing or damaged, or the two are not of one another.
    """
    folder = Path(folder)
    advice = "make the labels with `refine-motion label --config configs/motionfit/pseudo_labels.yaml`"
    try:
        text = (folder / "labels.csv").read_bytes().decode("utf-8", "surrogateescape")
        facts = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        if facts["schema"] != SCHEMA:
            raise LabelError(f"{folder}: labels of format {facts['schema']}, and {SCHEMA} is known here; {advice}")
        header, *lines = csv.reader(io.StringIO(text, newline=""))
        if header != _COLUMNS:
            raise ValueError(f"columns are {','.join(header)}")
        rows = tuple(
            Row(Cell(video, int(start), int(stride)), path, int(label), float(confidence))
            for video, path, start, stride, label, confidence in lines
        )
        granularity = Granularity(int(facts["granularity"]["length"]), tuple(facts["granularity"]["strides"]))
        table = LabelTable(
            rows, tuple(facts["classes"]), granularity, facts["fps"], facts["provenance"], str(facts["labels"])
        )
    except OSError as error:
        raise LabelError(f"{error.filename}: cannot be read ({error.strerror}); {advice}") from error
    except (ValueError, LookupError, TypeError, ConfigError, csv.Error) as error:
        raise LabelError(f"{folder}: labels.csv or labels.json is damaged ({error}); {advice}") from error
    if _digest(text) != table.digest:
        raise LabelError(
            f"{folder}: labels.csv is not the one that labels.json tells of; {advice}, or restore the file"
        )
    if any(not 0 <= row.label < len(table.classes) for row in rows):
        raise LabelError(f"{folder}: labels.csv has a label beyond the {len(table.classes)} classes; {advice}")
    return table


def _text(rows: Sequence[Row]) -> str:
    out = io.StringIO(newline="")
    # With its own end of lines, as names with either half of it in them are quoted by that alone.
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for row in rows:
        # Every digit that float32 has.
        writer.writerow([row.cell.video, row.path, row.cell.start, row.cell.stride, row.label, f"{row.confidence:.9g}"])
    return out.getvalue()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
