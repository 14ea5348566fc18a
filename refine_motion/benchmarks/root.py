"""The folder of a benchmark that the user gives."""

from __future__ import annotations

from pathlib import Path

from refine_motion.errors import BenchmarkError


def existing_root(root: str | None, name: str) -> Path:
    """The folder, which exists.

    Args:
        root: as the user gave it.
        name: of the benchmark.

    Raises:
        BenchmarkError: it is not given or not there.
    """
    if root is None:
        raise BenchmarkError(f"no folder given: pass that of {name} as --data.root")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise BenchmarkError(f"{folder}: no such folder; give that of {name} as --data.root")
    return folder
