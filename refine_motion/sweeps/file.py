"""Reads the sweep files of W&B: method, metric, parameters and command."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from refine_motion.errors import ConfigError
from refine_motion.sweeps.parameters import Choice, Parameter, parse_parameter

METHODS = ("grid", "random", "bayes")
_DEFAULT_COMMAND = ["${env}", "${interpreter}", "${program}", "${args}"]
# Those that only matter on W&B's server are read over.
_KNOWN = {"method", "metric", "parameters", "command", "program", "run_cap"}
_OF_THE_SERVER = {"name", "description", "project", "entity"}


@dataclass(frozen=True)
class Sweep:
    """A sweep file.

    Attributes:
        path: the file.
        method: ``grid``, ``random`` or ``bayes``.
        metric: name of the number that says how good a trial is.
        maximise: whether more of it is better.
        parameters: by the name of the command-line option without ``--``.
        command: words, with W&B's macros.
        program: what ``${program}`` stands for.
        run_cap: trials at most.
        digest: of the content; comments and layout do not count.
    """

    path: Path
    method: str
    metric: str
    maximise: bool
    parameters: dict[str, Parameter]
    command: tuple[str, ...]
    program: str | None
    run_cap: int | None
    digest: str


def read_sweep(path: str | Path) -> Sweep:
    """Read a sweep file, as plain data: nothing in it is executed.

    Args:
        path: the YAML file.

    Raises:
        ConfigError: it is not there, not YAML, or asks for what cannot be run here.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    try:
        return _parse(path, content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _parse(path: Path, content: Any) -> Sweep:
    if not isinstance(content, dict):
        raise ConfigError("a sweep file is a mapping with method, metric and parameters")
    unknown = sorted(str(key) for key in set(content) - _KNOWN - _OF_THE_SERVER)
    if unknown:
        raise ConfigError(f"{unknown[0]} cannot be run here; known keys: {', '.join(sorted(_KNOWN | _OF_THE_SERVER))}")
    method = content.get("method")
    if method not in METHODS:
        raise ConfigError(f"method is {method!r}; it must be one of {', '.join(METHODS)}")
    metric = content.get("metric")
    if not isinstance(metric, dict) or not isinstance(metric.get("name"), str):
        raise ConfigError("metric needs a name, such as val/cycle_error")
    goal = metric.get("goal", "minimize")
    if goal not in ("minimize", "maximize"):
        raise ConfigError(f"metric.goal is {goal!r}; it must be minimize or maximize")
    given = content.get("parameters")
    if not isinstance(given, dict) or not given:
        raise ConfigError("parameters is a mapping of at least one")
    parameters = {str(name): parse_parameter(str(name), spec) for name, spec in given.items()}
    for name, parameter in parameters.items():
        if method == "grid" and not isinstance(parameter, Choice):
            raise ConfigError(f"parameter {name}: method grid needs value or values")
    command = content.get("command", _DEFAULT_COMMAND)
    if not isinstance(command, list) or not command:
        raise ConfigError("command is a list of words")
    cap = content.get("run_cap")
    if cap is not None and (isinstance(cap, bool) or not isinstance(cap, int) or cap < 1):
        raise ConfigError(f"run_cap must be a whole number of at least 1, got {cap!r}")
    return Sweep(
        path=path,
        method=method,
        metric=metric["name"],
        maximise=goal == "maximize",
        parameters=parameters,
        command=tuple(str(word) for word in command),
        program=None if content.get("program") is None else str(content["program"]),
        run_cap=cap,
        digest=hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16],
    )
