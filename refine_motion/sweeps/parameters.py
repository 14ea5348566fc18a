"""What one parameter of a sweep may be, in the words of W&B's sweep files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any

from refine_motion.errors import ConfigError

_BY_KEYS = "value, values, or min and max"


@dataclass(frozen=True)
class Choice:
    """One of some values; a constant is a choice of one.

    Attributes:
        values: at least one, of any YAML type.
    """

    values: tuple[Any, ...]

    def draw(self, random: Random) -> Any:
        """Each value is as likely as the others."""
        return random.choice(self.values)


@dataclass(frozen=True)
class Range:
    """A number between two others, both included.

    Attributes:
        low: smallest number.
        high: largest number.
        log: even on a logarithmic scale instead of a linear one.
        whole: whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, random: Random) -> float:
        """A number of the range."""
        if self.whole:
            return random.randint(int(self.low), int(self.high))
        if not self.log:
            return random.uniform(self.low, self.high)
        number = math.exp(random.uniform(math.log(self.low), math.log(self.high)))
        # Rounding in the logarithm may lead just outside.
        return min(max(number, self.low), self.high)


Parameter = Choice | Range


def parse_parameter(name: str, given: Any) -> Parameter:
    """One entry under ``parameters`` of a sweep file.

    Args:
        name: of the parameter, for errors.
        given: a mapping with ``value``; ``values``; or ``min`` and ``max``, of which two whole numbers give whole
            numbers. ``distribution`` may say so once more (``constant``, ``categorical``, ``uniform``,
            ``int_uniform``) or ask for ``log_uniform_values``.

    Raises:
        ConfigError: it is something else, or the range is empty.
    """
    if not isinstance(given, dict):
        raise ConfigError(f"parameter {name}: give it {_BY_KEYS}, not {given!r}")
    keys = set(given) - {"distribution"}
    kind = given.get("distribution")
    if keys == {"value"} and kind in (None, "constant"):
        return Choice((given["value"],))
    if keys == {"values"} and kind in (None, "categorical"):
        if not isinstance(given["values"], list) or not given["values"]:
            raise ConfigError(f"parameter {name}: values is a list of at least one, not {given['values']!r}")
        return Choice(tuple(given["values"]))
    if keys == {"min", "max"} and kind in (None, "uniform", "int_uniform", "log_uniform_values"):
        return _range(name, given["min"], given["max"], kind)
    told = f"distribution {kind}" if kind is not None else f"the keys {', '.join(sorted(map(str, given))) or 'none'}"
    raise ConfigError(
        f"parameter {name}: {told} cannot be run here; give it {_BY_KEYS}, "
        "with distribution uniform, int_uniform or log_uniform_values"
    )


def _range(name: str, low: Any, high: Any, kind: str | None) -> Range:
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, (int, float)):
            # YAML takes 1e-4 for a text.
            raise ConfigError(f"parameter {name}: min and max are numbers (1.0e-4, not 1e-4), got {bound!r}")
    whole = isinstance(low, int) and isinstance(high, int)
    if kind == "int_uniform" and not whole:
        raise ConfigError(f"parameter {name}: int_uniform needs whole numbers, got {low} and {high}")
    if not low < high or (kind == "log_uniform_values" and low <= 0):
        raise ConfigError(f"parameter {name}: min must be below max, and positive on a log scale; got {low}, {high}")
    return Range(low, high, log=kind == "log_uniform_values", whole=whole and kind in (None, "int_uniform"))
