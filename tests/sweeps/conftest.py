"""A sweep over a program that takes milliseconds and writes what ``fit`` would write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

PROGRAM = """
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--workdir", type=pathlib.Path)
parser.add_argument("--x", type=float)
parser.add_argument("--fail", type=float)
given = parser.parse_args()
with open(given.workdir.parent / "calls.txt", "a") as calls:
    calls.write(f"{given.workdir.name} {given.x} {os.environ['WANDB_MODE']}\\n")
print("started")
if given.fail == given.x:
    raise SystemExit("\\x1b[31mrefine-motion: x is not liked")
result = {"held_out": {"val/score": (given.x - 2) ** 2, "val/teacher_score": 7.5}, "labels": {"kept_share": 0.5}}
(given.workdir / "result.json").write_text(json.dumps(result))
"""
WriteSweep = Callable[..., Path]


@pytest.fixture
def write_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteSweep:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def write(**changed: Any) -> Path:
        content: dict[str, Any] = {
            "program": str(program),
            "method": "grid",
            "metric": {"name": "val/score", "goal": "minimize"},
            "parameters": {"x": {"values": [0, 1, 2]}},
        }
        content |= changed
        path = tmp_path / "made.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
        return path

    return write
