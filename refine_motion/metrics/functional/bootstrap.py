"""Paired bootstrap: how sure the relative change from one model's errors to another's is; pure NumPy.

Both models saw the same pairs, so a resample draws pairs with both of their errors (Efron and Tibshirani, "An
Introduction to the Bootstrap", 1993: percentile interval). What is drawn is the *unit* that can be taken for
independent of the others. Neighbouring frames of a scene share their motion and their difficulties, so an interval from
resampled frames would be far too narrow: units are whole scenes where there are several, and single pairs only where
all of them are of one scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ChangeIntervals:
    """95 % intervals of relative changes, in per cent; negative where the new model is better.

    Attributes:
        pooled: of the end-point error pooled over the pixels of all pairs, lower and upper end.
        mean: of the unweighted mean over sequences of the relative change of each.
        unit: what was drawn, ``scenes`` or ``pairs``.
        units: how many of them there are. With fewer than about ten an interval is rough, and rather too narrow.
    """

    pooled: tuple[float, float]
    mean: tuple[float, float]
    unit: str
    units: int

    def to_dict(self) -> dict[str, object]:
        """Plain values that JSON can hold."""
        return asdict(self)


def paired_bootstrap(
    errors: Sequence[float] | _Floats,
    against: Sequence[float] | _Floats,
    sequences: Sequence[str],
    scenes: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> ChangeIntervals | None:
    """Intervals of the relative change of end-point errors, from pairs that both models have estimated.

    Args:
        errors: sum over the pixels of each pair of the new model's end-point error, ``(N,)``, 0 or more. Both models
            are scored on the same pixels, so that their numbers cancel.
        against: the same of the other model.
        sequences: the sequence of each pair; the mean is over these.
        scenes: the scene of each pair; a sequence lies in one scene (the clean and the final pass of one scene are two
            sequences).
        resamples: number of resamples.
        seed: of the draw.

    Returns:
        The intervals; ``None`` where they are not defined: a single unit, an error that is not a number, or no error of
        the other model to compare with. Resamples that draw only units without such an error are left out.

    >>> same = paired_bootstrap([5.0, 10.0, 20.0], [10.0, 20.0, 40.0], ["a", "b", "c"], ["a", "b", "c"])
    >>> same.pooled, same.mean, same.unit
    ((-50.0, -50.0), (-50.0, -50.0), 'scenes')
    """
    names, sequence_of = np.unique(np.asarray(sequences, dtype=str), return_inverse=True)
    scene_names, scene_of = np.unique(np.asarray(scenes, dtype=str), return_inverse=True)
    new, old = (np.asarray(values, dtype=np.float64) for values in (errors, against))
    several = len(scene_names) > 1
    unit_of = scene_of if several else np.arange(len(new))
    units = len(scene_names) if several else len(new)
    if units < 2 or not np.isfinite(new + old).all() or not old.any():
        return None
    drawn = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=resamples)
    new_of_unit, old_of_unit = (np.bincount(unit_of, values, units) for values in (new, old))
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = 100 * ((drawn @ new_of_unit) / (drawn @ old_of_unit) - 1)
        if several:
            # A sequence keeps its change; how often it counts follows its scene.
            change = 100 * (np.bincount(sequence_of, new) / np.bincount(sequence_of, old) - 1)
            defined = np.bincount(sequence_of, old) > 0
            scene_of_sequence = np.empty(len(names), dtype=np.intp)
            scene_of_sequence[sequence_of] = scene_of
            changes = np.bincount(scene_of_sequence[defined], change[defined], units)
            counts = np.bincount(scene_of_sequence[defined], minlength=units)
            mean = (drawn @ changes) / (drawn @ counts)
        else:
            mean = _mean_of_sequences(drawn, new, old, sequence_of)
    return ChangeIntervals(_interval(pooled), _interval(mean), "scenes" if several else "pairs", units)


@dataclass(frozen=True)
class DifferenceInterval:
    """A mean difference of scores and its 95 % interval, in the unit of the scores.

    Attributes:
        mean: over the videos, of the new model's score less the other's.
        low: lower end.
        high: upper end.
        units: how many recordings were drawn from. With fewer than about ten an interval is rough, and rather too
            narrow.
    """

    mean: float
    low: float
    high: float
    units: int


def paired_difference(
    scores: Sequence[float] | _Floats,
    against: Sequence[float] | _Floats,
    units: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> DifferenceInterval | None:
    """Interval of the mean difference of two models' scores of the same videos.

    Args:
        scores: of the new model, one for each video. A video in which either is not a number takes no part.
        against: of the other model.
        units: what each video was cut from; whole units are drawn, as the clips of one recording are not independent.
        resamples: number of resamples.
        seed: of the draw.

    Returns:
        The interval; ``None`` of a single unit, and where a score is infinite: what is left would speak of the videos
        alone on which neither model left the numbers.

    >>> paired_difference([0.5, 0.7, 0.9], [0.4, 0.6, 0.8], ["a", "b", "c"]).units
    3
    """
    new, old = np.asarray(scores, dtype=np.float64), np.asarray(against, dtype=np.float64)
    known = ~(np.isnan(new) | np.isnan(old))
    names, unit_of = np.unique(np.asarray(units, dtype=str)[known], return_inverse=True)
    if len(names) < 2 or np.isinf(np.stack((new, old))[:, known]).any():
        return None
    difference = new - old
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    sums, counts = np.bincount(unit_of, difference[known], len(names)), np.bincount(unit_of, minlength=len(names))
    return DifferenceInterval(
        float(difference[known].mean()), *_interval((drawn @ sums) / (drawn @ counts)), len(names)
    )


def _mean_of_sequences(drawn: NDArray[np.int64], new: _Floats, old: _Floats, sequence_of: NDArray[np.intp]) -> _Floats:
    """Mean over sequences of the relative change in per cent, where the pairs within them were drawn."""
    changes = np.stack(
        [
            100 * ((drawn[:, members] @ new[members]) / (drawn[:, members] @ old[members]) - 1)
            for members in (sequence_of == index for index in range(sequence_of.max() + 1))
        ]
    )
    # A sequence of which nothing was drawn has no change in this resample.
    defined = np.isfinite(changes)
    return np.where(defined, changes, 0).sum(axis=0) / defined.sum(axis=0)


def _interval(values: _Floats) -> tuple[float, float]:
    low, high = np.quantile(values[np.isfinite(values)], (0.025, 0.975))
    return float(low), float(high)
