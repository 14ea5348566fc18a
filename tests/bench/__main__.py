"""``python -m tests.bench``, what ``make bench`` runs: measure, and write ``runs/bench/results.{json,md}``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from tests.bench.catalogue import MEASUREMENTS
from tests.bench.material import shared
from tests.bench.runner import run


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 where every measurement gave a result or was skipped, 1 where one failed, 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=MEASUREMENTS, help="measure these, again if done")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder of the results")
    chosen = parser.parse_args(arguments)
    if shared() is None and any(MEASUREMENTS[name].material for name in chosen.only or MEASUREMENTS):
        print("bench: set REFINE_MOTION_SHARED to the folder of real material", file=sys.stderr)
        return 2
    device = chosen.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return run(MEASUREMENTS, chosen.out, device, chosen.only)


if __name__ == "__main__":
    sys.exit(main())
