"""Files that appear complete under their name, or not at all."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PARTIAL = ".partial"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file under a temporary name beside it, and rename it in one step when the block ends without an error.

    Another process, or a later run, sees the old file or the whole new one. When the block raises, the old file stays
    and the temporary one is removed. Missing parent folders are made.

    Args:
        path: the file to write or replace.

    Yields:
        Where to write: a hidden name of this process, without the suffix of ``path``, so that no search for files of
        that kind takes it for one.

    Raises:
        OSError: if a folder cannot be made, nothing was written, or the file cannot be renamed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}{_PARTIAL}")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def remove_abandoned(folder: str | Path) -> int:
    """Remove the temporary files that killed processes of this machine left below a folder.

    Those of processes that live, or that ran on another machine with the same file system, stay.

    Returns:
        How many were removed.
    """
    mine = f".{platform.node()}."
    removed = 0
    for path in Path(folder).rglob(f".*{_PARTIAL}"):
        name, _, pid = path.name.removesuffix(_PARTIAL).rpartition(".")
        if f"{name}.".endswith(mine) and pid.isdecimal() and not _is_alive(int(pid)):
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _is_alive(pid: int) -> bool:
    if os.name == "nt":
        # There, signal 0 is not a question but Ctrl-C.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
