"""Axes of a chart: their range, and ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Narrow no-break space.
_THIN = "\u202f"
# Of more ticks on a logarithmic axis, powers of ten alone are kept.
_MOST_LOG_TICKS = 8


@dataclass(frozen=True)
class Axis:
    """A range of values and the ticks inside it.

    Attributes:
        low: value at the start.
        high: value at the end.
        ticks: rising round numbers.
        is_log: whether equal ratios are equal lengths.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    is_log: bool = False

    @property
    def labels(self) -> list[str]:
        """Numbers of the ticks, on a linear axis with as many decimals each.

        >>> Axis(0.0, 1.0, (0.0, 0.5, 1.0)).labels
        ['0.0', '0.5', '1.0']
        """
        found = [number(tick) for tick in self.ticks]
        if self.is_log or any("e" in label for label in found):
            return found
        decimals = max(len(label.partition(".")[2]) for label in found)
        return [f"{tick:,.{decimals}f}".replace(",", _THIN).replace("-", "−") for tick in self.ticks]

    def place(self, value: float) -> float:
        """Where a value stands, 0 at the start and 1 at the end."""
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear_axis(values: Sequence[float], most_ticks: int, to_ticks: bool) -> Axis:
    """An axis with ticks at 1, 2 or 5 times a power of ten.

    Args:
        values: what it has to hold, finite. It starts at 0 where they come near to it.
        most_ticks: how many intervals between ticks fit the values.
        to_ticks: whether it is extended to the ticks around the values, or ends at the values.

    >>> linear_axis([0.1, 0.93], 5, to_ticks=True).ticks
    (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """
    low, high = min(values), max(values)
    if to_ticks and 0 < low < high / 2:
        low = 0.0
    # A range as narrow as rounding would have its ticks in one place.
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    least = (high - low) / most_ticks
    power = 10.0 ** math.floor(math.log10(least))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= least * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    # Products of steps: what should be 0.6 may be a little more.
    ticks = [float(f"{index * step:.12g}") for index in range(first, last + 1)]
    if to_ticks:
        return Axis(ticks[0], ticks[-1], tuple(ticks))
    slack = 1e-9 * step
    return Axis(low, high, tuple(tick for tick in ticks if low - slack <= tick <= high + slack))


def log_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis from a tick below the values, which are positive, to one above.

    >>> log_axis([0.03, 0.9]).ticks
    (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    """
    low, high = min(values), max(values)
    steps = [float(f"{digit}e{power}") for power in _powers(low, high) for digit in (1, 2, 5)]
    start = max(index for index, step in enumerate(steps) if step <= low)
    end = min(index for index, step in enumerate(steps) if step >= high)
    if start == end:
        start, end = start - 1, end + 1
    ticks = steps[start : end + 1]
    if len(ticks) > _MOST_LOG_TICKS:
        ticks = [float(f"1e{power}") for power in _powers(low, high)[1:-1]]
        every = math.ceil(len(ticks) / _MOST_LOG_TICKS)
        ticks = [tick for tick in ticks[::every] if steps[start] <= tick <= steps[end]]
    return Axis(steps[start], steps[end], tuple(ticks), is_log=True)


def number(value: float) -> str:
    """A number as an axis shows it: four digits or no decimals, thin spaces between thousands, a true minus.

    >>> number(12000.0), number(-0.25), number(0.00002)
    ('12\u202f000', '−0.25', '2e−5')
    """
    if abs(value) >= 1e6 or 0 < abs(value) < 1e-3:
        mantissa, exponent = f"{value:.3e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    else:
        text = f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return text.replace(",", _THIN).replace("-", "−")


def _powers(low: float, high: float) -> range:
    """Powers of ten around a range, one to spare on each side."""
    return range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
