"""Time and peak memory."""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import torch


def seconds_of(function: Callable[[], Any], device: str) -> float:
    """Wall-clock time of one call, with all that it left to the device."""
    _synchronise(device)
    start = time.perf_counter()
    function()
    _synchronise(device)
    return time.perf_counter() - start


def interleaved(functions: Mapping[str, Callable[[], Any]], repeats: int, device: str) -> dict[str, float]:
    """Median time of each function in seconds; they take turns, so that the machine's drift falls on all of them.

    Args:
        functions: by name; each is called once more beforehand, to warm up.
        repeats: timed calls of each.
        device: ``cpu`` or ``cuda``.
    """
    for function in functions.values():
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            times[name].append(seconds_of(function, device))
    return {name: median(values) for name, values in times.items()}


def peak_of(function: Callable[[], Any], device: str) -> int:
    """Bytes that a call held at its peak beyond what was held before; on a CPU this is resident memory."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return torch.cuda.max_memory_allocated() - before
    _forget_peak()
    before = peak_rss()
    function()
    return peak_rss() - before


def _forget_peak() -> None:
    """Let the peak be what is held now; where the system does not allow it, loading a model may hide a small one."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_rss() -> int:
    """Largest resident memory of this process so far, in bytes (since :func:`peak_of` was last called)."""
    try:
        # getrusage would count what the parent held when it forked.
        found = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
