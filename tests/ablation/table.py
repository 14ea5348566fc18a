"""The results as one table: per cent that errors have changed from the start."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any


def table(out: Path, rows: Sequence[str], folder: Callable[[str], str]) -> str:
    """A table in Markdown of what has been measured so far.

    Args:
        out: folder of the results.
        rows: their names, in order.
        folder: of a row's name.

    Returns:
        Of the start errors in pixels; of the others change in per cent, with the standard deviation over seeds where
        there are several.
    """
    start: dict[str, float] = {}
    for file in sorted((out / "start").glob("*.json")):
        start.update(json.loads(file.read_text()))
    lines = [
        "| refined with | " + " | ".join(start) + " | mean | kept | seconds |",
        "|---" * (len(start) + 4) + "|",
        "| start | " + " | ".join(f"{value:.3f} px" for value in start.values()) + " | | | |",
    ]
    for row in rows:
        runs = [_figures(path) for path in sorted((out / folder(row)).glob("seed*"))]
        runs = [run for run in runs if run]
        if not runs:
            continue
        cells, of_all = [], []
        for heading, before in start.items():
            changes = [100 * (run[heading] / before - 1) for run in runs if heading in run]
            cells.append(_cell(changes))
            # Forgetting is another matter.
            of_all += [mean(changes)] if changes and heading != "source" else []
        kept = sum(run["outcome"].count("kept") for run in runs)
        seconds = mean(run["seconds"] for run in runs)
        lines.append(f"| {row} | " + " | ".join(cells) + f" | {mean(of_all):+.1f} % | {kept or ''} | {seconds:.0f} |")
    lines += ["", *_rankings(out)]
    return "\n".join(lines) + "\n"


def _rankings(out: Path) -> list[str]:
    """How well the score without truth ranks the candidates, on every made domain that was tried."""
    found: dict[str, list[float]] = {}
    for file in sorted(out.glob("*/seed*/*/figures.json")):
        content = json.loads(file.read_text())
        if "ranking" in content:
            found.setdefault(file.parent.name, []).append(content["ranking"])
    told = ", ".join(f"{name} {mean(values):+.2f}" for name, values in found.items())
    return [f"Spearman correlation of the estimated gain with the true error over candidates: {told}."] if told else []


def _cell(changes: Sequence[float]) -> str:
    if not changes:
        return ""
    shown = f"{mean(changes):+.1f} %"
    return shown if len(changes) == 1 else f"{shown} (± {stdev(changes):.1f})"


def _figures(seed: Path) -> dict[str, Any]:
    """Those of all columns of one seed."""
    found: dict[str, Any] = {"outcome": [], "seconds": 0.0}
    for file in sorted(seed.glob("*/figures.json")):
        content = json.loads(file.read_text())
        found["outcome"].append(content.pop("outcome"))
        found["seconds"] += content.pop("seconds")
        content.pop("ranking", None)
        found.update(content)
    return found if found["outcome"] else {}
