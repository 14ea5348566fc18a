"""The command of a trial: W&B's macros filled in."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from refine_motion.errors import ConfigError
from refine_motion.sweeps.file import Sweep

_MACRO = re.compile(r"\$\{(\w+)\}")
_VARIABLE = re.compile(r"\$\{envvar:([A-Za-z0-9_]+)\}")


def trial_command(sweep: Sweep, parameters: Mapping[str, Any]) -> list[str]:
    """The words to run, as W&B's agent would run them.

    ``${env}``, ``${interpreter}``, ``${program}``, ``${args}``, ``${args_no_hyphens}``, ``${args_no_boolean_flags}``
    and ``${args_json}`` are known as whole words, ``${envvar:NAME}`` anywhere. ``refine-motion`` is this installation,
    also where its environment is not activated.

    Args:
        sweep: the file.
        parameters: value of each parameter.

    Raises:
        ConfigError: a macro is unknown or has nothing to stand for, or the parameters occur nowhere.
    """
    flags = [f"{name}={value}" for name, value in parameters.items()]
    arguments = {
        "args": [f"--{flag}" for flag in flags],
        "args_no_hyphens": flags,
        "args_no_boolean_flags": [
            f"--{name}" if value is True else f"--{name}={value}"
            for name, value in parameters.items()
            if value is not False
        ],
        "args_json": [json.dumps(dict(parameters))],
    }
    macros = {
        "env": [] if os.name == "nt" else ["/usr/bin/env"],
        "interpreter": [sys.executable],
        "program": [] if sweep.program is None else [sweep.program],
        **arguments,
    }
    words: list[str] = []
    for word in sweep.command:
        macro = _MACRO.fullmatch(word)
        if macro is None:
            words.append(_VARIABLE.sub(_variable, word))
        elif macro[1] not in macros or (macro[1] == "program" and sweep.program is None):
            known = ", ".join(f"${{{name}}}" for name in macros)
            raise ConfigError(f"{sweep.path}: command: {word} cannot be filled in here; known: {known}")
        else:
            words += macros[macro[1]]
    if not any(f"${{{name}}}" in sweep.command for name in arguments):
        raise ConfigError(f"{sweep.path}: command: without ${{args}} no trial would get its parameters")
    program = 1 if words[0] == "/usr/bin/env" else 0
    if words[program : program + 1] == ["refine-motion"]:
        words[program : program + 1] = [sys.executable, "-m", "refine_motion"]
    return words


def _variable(match: re.Match[str]) -> str:
    value = os.environ.get(match[1])
    if value is None:
        raise ConfigError(f"command: the environment variable {match[1]} is not set")
    return value
