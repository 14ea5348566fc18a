"""Whether a candidate replaces the original weights: a pure rule over gains measured without ground truth.

The candidate that is best on one half of what is held out must prove itself on the other half, or on both together
where the other does not speak against it. It takes the place of the original only where that is more than noise, where
the picture itself does not speak against it, and where it does no harm that the held-out pairs do not show; else the
original weights stay (a no-harm gate).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from refine_motion.refine.gain import Gain

# A smaller gain, on either half, is not believed, whatever its interval: that is of the held-out pairs and knows
# nothing of other frames. On four made domains gains of 3 to 5 % on one half, and of 3 to 19 % on the other, stood for
# weights that were up to 2 % worse; where both were above 6.5 %, the error was 5 to 36 % lower.
LEAST_GAIN = 0.06
# Of tracks, which are taken half-way at most, and of both halves together. On clips of eight made domains all of ten
# such candidates, with 2.6 to 8.6 %, were better, by 0.9 to 4.5 points of delta_avg.
LEAST_TRACK_GAIN = 0.025

IMPROVED, KEPT, UNCHECKED = "improved", "kept", "unchecked"


TOO_LITTLE = "what is held out holds too little that can be compared: more videos or points, or looser data.filters"


@dataclass(frozen=True)
class Guard:
    """What a candidate must not make worse.

    Attributes:
        gain: of the candidate there.
        tolerance: loss that is put up with, as a logarithm of errors.
    """

    gain: Gain
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the loss may still be within the tolerance, as far as one can tell."""
        return self.gain.high >= -self.tolerance


@dataclass(frozen=True)
class Trial:
    """What is held out says of one candidate.

    Attributes:
        name: of the candidate.
        chosen: its gain on the half on which it was chosen; None where ``gain`` is over both.
        alone: its gain on the half that decides.
        gain: over the original by all kinds of errors, on the half that decides or on both; None where there was too
            little to compare.
        census: by the census error alone, which is of the picture and not of the teacher.
        guards: by what is guarded, in the words of a message.
    """

    name: str
    chosen: float | None
    alone: float
    gain: Gain | None
    census: Gain | None
    guards: Mapping[str, Guard]


@dataclass(frozen=True)
class Decision:
    """What comes out of a refinement.

    Attributes:
        decision: ``improved``, ``kept`` (the original weights), or ``unchecked`` where nobody asked.
        candidate: the one that was chosen; None where the original weights are kept.
        gain: estimated without ground truth, of the chosen candidate or of the one that was turned down.
        reason: why, in a few words.
    """

    decision: str
    candidate: str | None
    gain: Gain | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return asdict(self)

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> Decision:
        """The counterpart of :meth:`to_dict`.

        Raises:
            KeyError: something is missing.
            TypeError: something is of another kind.
        """
        gain = content["gain"]
        return Decision(
            str(content["decision"]),
            content["candidate"],
            None if gain is None else Gain(**gain),
            str(content["reason"]),
        )

    def line(self) -> str:
        """The one line that a refinement ends with."""
        if self.decision == IMPROVED and self.gain is not None:
            value, low, high = self.gain.percent()
            return (
                f"improved: error {value:.1f} % lower (label-free estimate, 90 % interval {low:.1f} to {high:.1f} %; "
                f"{self.reason})"
            )
        kept = "the original weights" if self.decision == KEPT else "the last student"
        return f"{self.decision}: {kept} ({self.reason})"


def decide(trials: Iterable[Trial], least: float = LEAST_GAIN) -> Decision:
    """Take the first trial that passes.

    One that breaks a guard, or whose gain may be noise, leads on to the next, which is nearer to the original and so
    differs less from it: half-way the gain is often as large and surer. One that gains nothing, or that the frames
    contradict, ends the search.

    Args:
        trials: of the best candidate, and then of those between it and the original, nearer and nearer to that. They
            are asked for one by one, as far as needed.
        least: gain that is asked for, of each half where both are known, as a logarithm of errors.

    Returns:
        ``improved`` or ``kept``.
    """
    first: Decision | None = None
    for trial in trials:
        reason, final = _against(trial, least)
        if reason is None:
            return Decision(IMPROVED, trial.name, trial.gain, f"candidate {trial.name}")
        first = first or Decision(KEPT, None, trial.gain, reason)
        if final:
            break
    return first or Decision(KEPT, None, None, "there is no candidate")


def _against(trial: Trial, least: float) -> tuple[str | None, bool]:
    """Why a candidate is not taken, and whether that holds of what lies between it and the original as well."""
    if trial.gain is None or trial.census is None or not math.isfinite(trial.gain.value):
        return TOO_LITTLE, True
    smaller = trial.gain.value if trial.chosen is None else min(trial.gain.value, trial.chosen)
    better = smaller >= least
    if better and trial.alone <= 0:
        return f"{trial.name} is better only on the half of what is held out on which it was chosen", True
    if better and trial.census.high < 0:
        return f"{trial.name} is nearer to the labels, but the frames contradict it (census error)", True
    if not better and trial.gain.low > 0:
        value, limit = (-100 * math.expm1(-gain) for gain in (smaller, least))
        half = "" if trial.chosen is None else " on one half of what is held out"
        return (
            f"{trial.name} is better by a label-free estimate of {value:.1f} % only{half}: below {limit:.1f} % that "
            "may not hold on other frames",
            True,
        )
    if not better or trial.gain.low <= 0:
        value, low, high = (-end for end in trial.gain.percent())
        return (
            f"{trial.name} is not better beyond noise: error {value:+.1f} % by a label-free estimate, 90 % interval "
            f"{high:+.1f} to {low:+.1f} %",
            not better,
        )
    broken = [name for name, guard in trial.guards.items() if not guard.holds]
    if broken:
        loss = -min(trial.guards[name].gain.percent()[0] for name in broken)
        return (
            f"{trial.name} is better on the held-out pairs, but up to {loss:.1f} % worse at {', '.join(broken)}",
            False,
        )
    return None, False
