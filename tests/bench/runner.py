"""Runs measurements in turn, each in a process of its own, and stores each result as soon as it is there."""

from __future__ import annotations

import inspect
import shlex
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.bench.child import ChildError, Skipped, in_child
from tests.bench.machine import code, machine
from tests.bench.results import Row, load, store


@dataclass(frozen=True)
class Measurement:
    """One thing to measure.

    Attributes:
        function: takes ``device``, ``cpu`` or ``cuda``, and ``out``, the folder of the results, as a string.
        seconds: that it takes on two CPU cores.
        material: whether it needs the folder of real material.
    """

    function: Callable[..., list[Row]]
    seconds: int
    material: bool = True


def run(measurements: Mapping[str, Measurement], folder: Path, device: str, only: Collection[str] | None = None) -> int:
    """Measure what has no result yet of this machine and this code, or just what is named, that in any case.

    Args:
        measurements: all there are, by name.
        folder: of the results; those of another machine in it are dropped.
        device: ``cpu`` or ``cuda``.
        only: names.

    Returns:
        1 where a measurement failed, else 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    here, version = machine(device), code()
    earlier = load(folder / "results.json")
    done = earlier["measurements"] if earlier.get("machine") == here else {}
    failed = False
    for name, measurement in measurements.items():
        if name not in only if only else _is_current(done.get(name), version):
            if not only:
                print(f"{name}: kept, measured {done[name]['date']} with this code", flush=True)
            continue
        print(f"{name}: about {measurement.seconds} s on two CPU cores", flush=True)
        result = _measure(measurement, device, folder)
        print(f"{name}: {_summary(result)} after {result['seconds']:.0f} s", flush=True)
        failed |= "failed" in result
        about = inspect.cleandoc(sys.modules[measurement.function.__module__].__doc__ or "")
        done[name] = {**result, "code": version, "about": about}
        command = shlex.join(["python", "-m", "tests.bench", *sys.argv[1:]])
        ordered = {known: done[known] for known in measurements if known in done}
        store(folder, {"machine": here, "command": command, "measurements": ordered})
    print(f"results: {folder / 'results.md'}", flush=True)
    return int(failed)


def _is_current(result: dict[str, Any] | None, version: str) -> bool:
    return result is not None and result["code"] == version and "failed" not in result


def _measure(measurement: Measurement, device: str, folder: Path) -> dict[str, Any]:
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    start = time.monotonic()
    result: dict[str, Any]
    try:
        result = {"rows": in_child(measurement.function, device=device, out=str(folder.absolute()))}
    except Skipped as reason:
        result = {"skipped": str(reason)}
    except ChildError as error:
        result = {"failed": str(error)}
    return {"date": date, "seconds": time.monotonic() - start, **result}


def _summary(result: dict[str, Any]) -> str:
    if "rows" in result:
        return f"{len(result['rows'])} rows"
    return f"FAILED ({result['failed']})" if "failed" in result else f"skipped ({result['skipped']})"
