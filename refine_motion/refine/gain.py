"""How much lower one model's errors are than another's on the same pixels, and how sure that is; pure NumPy.

Errors are summed in blocks of the picture. What is drawn in the bootstrap (Efron and Tibshirani, "An Introduction to
the Bootstrap", 1993: percentile interval) is a whole *unit*, pairs that share frames, where there are six of them or
more; else blocks within each unit, the same ones in all of its pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_UNITS = 6
RESAMPLES = 1000
# Both ends of the 90 % interval.
ENDS = (0.05, 0.95)
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """Logarithm of the original's error over another model's, with its 90 % interval; above 0 the other one is better.

    Attributes:
        value: the estimate; 0.1 is an error about 10 % lower.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def percent(self) -> tuple[float, float, float]:
        """Estimate and both ends as per cent that the error is lower by: 50 is half the error, -100 is twice."""
        value, low, high = (100 * -math.expm1(-end) for end in (self.value, self.low, self.high))
        return value, low, high


@dataclass(frozen=True)
class Errors:
    """Errors of the original and of another model on the same pixels, by pair and block.

    Attributes:
        original: ``(P, B)`` sum of the original's errors.
        other: ``(P, B)`` sum of the other's.
        weight: ``(P, B)`` what the pixels weigh that were summed; 0 where a block has none.
        floor: added to both mean errors, so that next to nothing over nothing is no gain.
    """

    original: _Floats
    other: _Floats
    weight: _Floats
    floor: float


def gain(parts: Sequence[tuple[float, Errors]], units: Sequence[int]) -> Gain | None:
    """The weighted sum of the gains of several kinds of errors on the same pairs.

    That of one kind is the mean over pairs, by what their pixels weigh, of the logarithm of the ratio of mean errors.
    So each pair has its own scale, and within a pair every pixel counts alike.

    Args:
        parts: weight and errors of each kind.
        units: the unit that each of the P pairs belongs to.

    Returns:
        None where a kind has no pixel, or where there is nothing to resample: one block, or none with errors.
    """
    _, unit_of = np.unique(np.asarray(units), return_inverse=True)
    count = int(unit_of.max()) + 1 if len(unit_of) else 0
    pairs, blocks = parts[0][1].weight.shape
    if not all(np.any(errors.weight > 0) for _, errors in parts):
        return None
    once = _of_drawn(parts, np.ones((1, pairs, blocks)))
    generator = np.random.default_rng(0)
    if count >= LEAST_UNITS:
        drawn = generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)[:, unit_of]
        resampled = _of_drawn(parts, np.ones((1, pairs, blocks)), drawn.astype(np.float64))
    else:
        # Of a block that has no pixel of any kind, a draw would be lost.
        held = np.stack([sum(e.weight[unit_of == u].sum(axis=0) for _, e in parts) > 0 for u in range(count)])
        if held.sum() < 2:
            return None
        chance = held / np.maximum(held.sum(axis=1, keepdims=True), 1)
        of_unit = [generator.multinomial(int(h.sum()), c, size=RESAMPLES) for h, c in zip(held, chance, strict=True)]
        resampled = _of_drawn(parts, np.stack(of_unit, axis=1)[:, unit_of].astype(np.float64))
    low, high = np.quantile(resampled[np.isfinite(resampled)], ENDS)
    return Gain(float(once[0]), float(low), float(high))


def _of_drawn(parts: Sequence[tuple[float, Errors]], blocks: _Floats, pairs: _Floats | None = None) -> _Floats:
    """The sum of gains ``(R,)`` for how often each block ``(R, P, B)`` and each pair ``(R, P)`` was drawn."""
    total = np.zeros(1)
    for share, errors in parts:
        weight = np.einsum("rpb,pb->rp", blocks, errors.weight)
        original, other = (np.einsum("rpb,pb->rp", blocks, e) for e in (errors.original, errors.other))
        known = weight > 0
        floor = np.where(known, errors.floor * weight, 1)
        ratio = np.where(known, np.log((original + floor) / (other + floor)), 0)
        counted = weight if pairs is None else weight * pairs
        with np.errstate(invalid="ignore", divide="ignore"):
            total = total + share * (counted * ratio).sum(axis=1) / counted.sum(axis=1)
    return total
