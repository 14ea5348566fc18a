"""A function in a fresh interpreter of its own, so that its peak memory and its failure are its own."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Skipped(Exception):
    """This machine cannot take the measurement; the message says why."""


class ChildError(Exception):
    """The function raised, or its process died."""


def in_child(function: Callable[..., Any], **arguments: Any) -> Any:
    """Call a function of a module in a new process.

    Args:
        function: importable by its module and name.
        **arguments: of the function, as JSON types.

    Returns:
        What the function returned, by way of JSON.

    Raises:
        Skipped: the function raised it.
        ChildError: the function raised anything else, or the process died; the message is its last line.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "tests.bench.child", function.__module__, function.__name__, str(answer)]
        done = subprocess.run(
            command, input=json.dumps(arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode != 0:
            lines = done.stdout.strip().splitlines()
            raise ChildError(lines[-1] if lines else f"the process ended with status {done.returncode}")
        result = json.loads(answer.read_text())
    if "skipped" in result:
        raise Skipped(result["skipped"])
    return result["value"]


def main() -> None:
    """The other side of :func:`in_child`."""
    module, name, answer = sys.argv[1:]
    function = getattr(importlib.import_module(module), name)
    try:
        result = {"value": function(**json.load(sys.stdin))}
    except Exception as error:
        # By name: run as a program, this module is loaded twice and has two classes of that name.
        if type(error).__name__ != Skipped.__name__:
            raise
        result = {"skipped": str(error)}
    Path(answer).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
