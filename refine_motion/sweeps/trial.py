"""What is known of one trial, and the file that all of them are kept in."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from refine_motion.errors import ConfigError
from refine_motion.files import replacing


@dataclass(frozen=True)
class Trial:
    """One trial that has ended.

    Attributes:
        number: from 0.
        parameters: the value of each.
        seconds: how long it took.
        value: the metric; None where the trial failed.
        teacher: the metric of the unrefined model, ``teacher_`` before its name; None where the trial measured none.
        kept_share: pixels that passed its filters over all pixels, 0 to 1; None where unknown.
        error: one line on why it failed; None where it did not.
    """

    number: int
    parameters: dict[str, Any]
    seconds: float
    value: float | None = None
    teacher: float | None = None
    kept_share: float | None = None
    error: str | None = None


class Journal:
    """The ended trials of a sweep in ``trials.json``, written anew after each.

    Args:
        folder: of the sweep.
        digest: of everything that makes its trials what they are.

    Attributes:
        trials: by number.

    Raises:
        ConfigError: the folder holds trials of another sweep, or the file is damaged.
    """

    def __init__(self, folder: Path, digest: str):
        self.path, self.digest = folder / "trials.json", digest
        self.trials: dict[int, Trial] = {}
        if not self.path.is_file():
            return
        try:
            content = json.loads(self.path.read_text())
            found = content["sweep"]
            self.trials = {trial["number"]: Trial(**trial) for trial in content["trials"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{self.path}: damaged; remove it to start anew") from error
        if found != digest:
            raise ConfigError(
                f"{folder}: holds trials of another sweep file, seed or arguments; choose another folder with --out"
            )

    def add(self, trial: Trial) -> None:
        """Keep a trial, in place of an earlier one of the same number."""
        self.trials[trial.number] = trial
        ordered = [asdict(self.trials[number]) for number in sorted(self.trials)]
        with replacing(self.path) as partial:
            partial.write_text(json.dumps({"sweep": self.digest, "trials": ordered}, indent=1))
