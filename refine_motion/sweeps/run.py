"""Runs the trials of a sweep one after the other, each as a process of its own."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from refine_motion.errors import ConfigError
from refine_motion.refine.run import RESULT
from refine_motion.sweeps.command import trial_command
from refine_motion.sweeps.file import Sweep
from refine_motion.sweeps.suggest import suggest
from refine_motion.sweeps.trial import Journal, Trial

LOG = "log.txt"
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_sweep(sweep: Sweep, out: Path, count: int, seed: int, extra: Sequence[str] = ()) -> list[Trial]:
    """Run what has not been run yet; a trial that failed earlier is tried again with the same values.

    A trial is the command of the file with ``--workdir OUT/trial_NNN`` and the extra words behind it. It must write
    ``result.json`` there with the metric under ``held_out``, as ``refine-motion fit`` does. What it prints goes to
    ``log.txt``. W&B is offline in it, unless ``WANDB_MODE`` says otherwise.

    Args:
        sweep: the file.
        out: folder of the sweep; made where it is missing.
        count: trials in all.
        seed: of the choice of values.
        extra: words for every trial, after all others.

    Returns:
        The trials, those of earlier runs included, by number.

    Raises:
        ConfigError: the folder belongs to another sweep, the command has an unknown macro, or an extra word sets what
            the sweep sets.
    """
    for word in extra:
        name = word.split("=")[0].removeprefix("--")
        if word.startswith("--") and (name in sweep.parameters or name == "workdir"):
            raise ConfigError(f"--{name} is set by the sweep, so it cannot be given after --")
    told = json.dumps([sweep.digest, seed, list(extra)])
    journal = Journal(out, hashlib.sha256(told.encode()).hexdigest()[:16])
    columns = (
        TextColumn("Trials"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}", markup=False),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("", total=count, now="")
        for number in range(count):
            known = journal.trials.get(number)
            if known is None or known.error is not None:
                finished = [trial for trial in journal.trials.values() if trial.value is not None]
                values = suggest(sweep, number, seed, finished) if known is None else known.parameters
                bar.update(task, now=" ".join(f"{name}={_short(value)}" for name, value in values.items()))
                journal.add(_run_trial(sweep, number, values, folder_of(out, number), extra))
            bar.advance(task)
        bar.update(task, now="")
    return [journal.trials[number] for number in range(count)]


def folder_of(out: Path, number: int) -> Path:
    """Where a trial writes."""
    return out / f"trial_{number:03d}"


def _run_trial(sweep: Sweep, number: int, values: Mapping[str, Any], folder: Path, extra: Sequence[str]) -> Trial:
    command = [*trial_command(sweep, values), "--workdir", str(folder), *extra]
    folder.mkdir(parents=True, exist_ok=True)
    # That of an earlier attempt would be taken for this one's.
    (folder / RESULT).unlink(missing_ok=True)
    start = time.monotonic()
    with (folder / LOG).open("w") as log:
        try:
            status = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"WANDB_MODE": "offline", **os.environ},
                check=False,
            ).returncode
        except OSError as error:
            raise ConfigError(f"{sweep.path}: command: {command[0]}: {error.strerror}") from error
    seconds = time.monotonic() - start
    if status != 0:
        return Trial(number, dict(values), seconds, error=_last_line(folder / LOG) or f"ended with status {status}")
    return Trial(number, dict(values), seconds, **_read_result(folder / RESULT, sweep.metric))


def _read_result(path: Path, metric: str) -> dict[str, Any]:
    """Metric of student and teacher and kept share, or the error."""
    try:
        result = json.loads(path.read_text())
        held_out, labels = result["held_out"], result.get("labels") or {}
    except FileNotFoundError:
        return {"error": f"it wrote no {path.name}"}
    except (ValueError, KeyError, TypeError) as error:
        return {"error": f"its {path.name} is not that of a fit ({error})"}
    if metric not in held_out:
        found = ", ".join(held_out) or "nothing (data.holdout is 0)"
        return {"error": f"no {metric} was measured, only: {found}"}
    if not math.isfinite(held_out[metric]):
        return {"error": f"{metric} is {held_out[metric]}"}
    folder, slash, name = metric.rpartition("/")
    teacher = held_out.get(f"{folder}{slash}teacher_{name}")
    return {"value": held_out[metric], "teacher": teacher, "kept_share": labels.get("kept_share")}


def _last_line(log: Path) -> str:
    """The last line that a program printed; W&B's farewell does not count."""
    lines = [_COLOURS.sub("", line).strip() for line in log.read_text(errors="replace").splitlines()]
    told = [line for line in lines if line and not line.startswith("wandb:")]
    return told[-1].removeprefix("refine-motion: ") if told else ""


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
