"""A progress bar for evaluations that take their time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from operator import length_hint
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_QUIET_SECONDS = 2.0
_T = TypeVar("_T")


def with_progress(items: Iterable[_T], description: str) -> Iterator[_T]:
    """The items, with a bar on the error stream, when that is a terminal, once they have taken more than 2 seconds.

    Args:
        items: any number; how many there are may be known only at the end, where files are opened one after the other.
        description: beside the bar.
    """
    start = time.monotonic()
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(description, total=length_hint(items) or None)
    started = False
    try:
        for item in items:
            if not started and console.is_terminal and time.monotonic() - start > _QUIET_SECONDS:
                bar.start()
                started = True
            yield item
            bar.advance(task)
    finally:
        if started:
            bar.stop()
