"""``python -m tests.ablation``, what ``make ablation`` runs: one table of recipes, each part of the best one by itself.

Every row is refined on every column's videos, without labels, and judged by truth that it never saw. What is finished
is kept below the folder of results; another run goes on from there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from refine_motion.benchmarks.synthetic.domains import TARGETS
from refine_motion.cli.refine_cli import run
from refine_motion.files import replacing
from refine_motion.models.load import load_model
from tests.ablation.columns import Column, columns
from tests.ablation.ranking import rank_correlation, worth_and_errors
from tests.ablation.rows import ROWS, Row
from tests.ablation.table import table
from tests.bench.material import shared

ROOT = Path(__file__).parents[2]
QUICK_DOMAINS, QUICK_STEPS, FULL_STEPS = ["thermal", "particles"], 30, 480


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0; a wrong call exits with 2."""
    parser = argparse.ArgumentParser(prog="python -m tests.ablation", description=__doc__)
    parser.add_argument("--full", action="store_true", help=f"{FULL_STEPS} steps and all domains; takes many hours")
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=[row.name for row in ROWS], default=None)
    parser.add_argument("--out", type=Path, default=None, help="folder of the results (default: runs/ablation)")
    chosen = parser.parse_args(arguments)
    material = shared() or parser.error("set REFINE_MOTION_SHARED to the folder of real material")
    torch.set_flush_denormal(True)
    out = (chosen.out or Path("runs") / ("ablation_full" if chosen.full else "ablation")).resolve()
    material = material.resolve()
    os.chdir(ROOT)  # The rows name configurations from here.
    weights = material / "data" / "weights" / "raft-small.pth"
    found = columns(material, out / "clips", list(TARGETS) if chosen.full else QUICK_DOMAINS)
    steps = FULL_STEPS if chosen.full else QUICK_STEPS
    console = Console(width=150)
    begun = time.monotonic()
    for column in found:
        _once(out / "start" / f"{column.name}.json", lambda column=column: column.measure(load_model(None, weights)))
    # Seeds last, so that an interrupted run has every row.
    for seed in range(max(row.seeds for row in ROWS)):
        for row in ROWS:
            if seed >= row.seeds or (chosen.only and row.name not in chosen.only):
                continue
            for column in found:
                place = out / _folder(row.name) / f"seed {seed}" / _folder(column.name)
                _once(
                    place / "figures.json",
                    lambda row=row, column=column, place=place, seed=seed: _refined(
                        row, column, place, weights, out / "labels", steps, seed
                    ),
                )
                console.print(f"{time.monotonic() - begun:6.0f} s  {row.name}, {column.name}, seed {seed}")
    text = table(out, [row.name for row in ROWS], _folder)
    (out / "table.md").write_text(text)
    console.print(text, markup=False)
    return 0


def _refined(
    row: Row, column: Column, place: Path, weights: Path, labels: Path, steps: int, seed: int
) -> dict[str, Any]:
    begun = time.monotonic()
    place.mkdir(parents=True, exist_ok=True)
    options = [
        *[part for file in row.configs for part in ("--config", file)],
        *row.options,
        *column.options,
        f"--data.videos={column.videos}",
        f"--model.weights={weights}",
        f"--workdir={place}",
        f"--data.labels={labels}",
        f"--trainer.max_steps={steps}",
        f"--trainer.val_check_interval={steps}",
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
        f"--seed_everything={seed}",
    ]
    with (place / "log.txt").open("w") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        run(["fit", *options])
    result = json.loads((place / "result.json").read_text())
    figures = column.measure(load_model(None, place / "refined.safetensors"))
    notes = {"outcome": result["outcome"]["decision"], "seconds": time.monotonic() - begun}
    if result["candidates"] and column.name.startswith("domain"):
        notes["ranking"] = rank_correlation(
            worth_and_errors(place, weights, lambda model: next(iter(column.measure(model).values())))
        )
    return figures | notes


def _once(path: Path, measure: Any) -> None:
    if path.exists():
        return
    figures = measure()
    with replacing(path) as partial:
        partial.write_text(json.dumps(figures, indent=1))


def _folder(name: str) -> str:
    return name.replace(" ", "_").replace(",", "").replace(":", "").replace("+", "and")


if __name__ == "__main__":
    sys.exit(main())
