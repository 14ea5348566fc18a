"""Which weights come out of a refinement: chosen on one half of what is held out, decided on the other, or on both.

Nothing here knows a true motion of the videos. See :mod:`refine_motion.refine.judge` for what is compared, and
:mod:`refine_motion.refine.decision` for the rule.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress
from rich.table import Table

from refine_motion.errors import ConfigError
from refine_motion.refine.candidates import MIXTURES, State, mixture
from refine_motion.refine.decision import KEPT, TOO_LITTLE, Decision, Guard, Trial, decide
from refine_motion.refine.gain import Gain
from refine_motion.refine.judge import CYCLE, LABELS, LOOK, MOVING, Judge, Sums, joint_gain
from refine_motion.refine.panel import LEAST_MOVING, Panel
from refine_motion.training.report import report

# A loss that is put up with, as a logarithm of errors.
_MOVING_LOSS = math.log(1.02)
# A model whose ways there and back contradict each other this much is broken, whatever else it is.
_CYCLE_LOSS = math.log(2)
# Where less than a hundredth of the labels moves by more than so many pixels, a model can only learn to stand still: on
# a static video it then looks a third better, and is worse on all that moves.
_STILL = 0.25


@dataclass(frozen=True)
class SelectionSettings:
    """Whether and among what the weights are chosen.

    Attributes:
        enabled: with False the last student is the result, whatever it is worth.
        snapshots: weights kept along the training to choose from.

    Raises:
        ConfigError: a negative number.
    """

    enabled: bool = True
    snapshots: int = 3

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        if self.snapshots < 0:
            raise ConfigError(f"selection.snapshots must not be negative, got {self.snapshots}")


@dataclass(frozen=True)
class Choice:
    """What comes out.

    Attributes:
        decision: and its reason.
        state: the weights that it is for.
        worth: estimated gain of every candidate on the choosing half, as a logarithm of errors; minus infinity where
            there was too little to compare.
    """

    decision: Decision
    state: State
    worth: Mapping[str, float]


def choose(panel: Panel[Any], trained: Mapping[str, State]) -> Choice:
    """Choose among trained weights, mixtures of the best of them with the original, and the original.

    Args:
        panel: who decides.
        trained: the candidates by name.

    Raises:
        LabelError: a label is missing or damaged.
        VideoError: a held-out frame cannot be read.
    """
    # Two of them: mixtures and errors need the original beside the candidate.
    candidate = copy.deepcopy(panel.original)
    start = {name: value.detach().cpu().clone() for name, value in candidate.state_dict().items()}
    states: dict[str, State] = dict(trained)

    def loaded(name: str) -> Any:
        candidate.load_state_dict(dict(states[name]))
        return candidate

    with Progress(transient=True, console=report()) as progress:
        task = progress.add_task("comparing candidates", total=len(trained) + len(MIXTURES) + 2)
        judge = panel.judge("choose")
        if judge.moving_share(_STILL) < LEAST_MOVING:
            return Choice(Decision(KEPT, None, None, "nothing moves in what is held out"), start, {})
        found: dict[str, Mapping[str, Sums]] = {}
        gains: dict[str, Gain | None] = {}
        worth: dict[str, float] = {}

        def try_out(name: str) -> None:
            found[name] = judge.errors(loaded(name))
            gains[name] = measured = judge.gain(found[name])
            worth[name] = -math.inf if measured is None else measured.value
            progress.advance(task)

        for name in trained:
            try_out(name)
        best = max(worth, key=lambda name: worth[name])
        mixtures = {f"{share:.0%} of {best}": share for share in MIXTURES}
        for name, share in mixtures.items():
            states[name] = mixture(start, trained[best], share)
            try_out(name)
        if max(worth.values()) == -math.inf:
            return Choice(Decision(KEPT, None, None, TOO_LITTLE), start, worth)
        slow = panel.is_slow()
        least = min(mixtures, key=lambda name: mixtures[name])
        allowed = [least] if slow else [name for name in worth if mixtures.get(name, 1.0) <= panel.largest]
        preferred = max(allowed, key=lambda name: worth[name])
        share = mixtures.get(preferred, 1.0)
        nearer = [name for name, part in mixtures.items() if part < share]
        jury = panel.judge("decide")
        progress.advance(task)

        def trials() -> Iterator[Trial]:
            for name in (preferred, *nearer):
                other = loaded(name)
                errors = jury.errors(other)
                seen_by = [(jury, errors), *([(judge, found[name])] if panel.pooled else [])]
                guards = panel.guards(other)
                for name_of_error, kind, loss in (
                    ("cycle error", CYCLE, _CYCLE_LOSS),
                    ("labels of what moves by itself", MOVING, _MOVING_LOSS),
                ):
                    change = joint_gain(seen_by, {kind: 1.0})
                    if change is not None:
                        guards[name_of_error] = Guard(change, loss)
                on_other_half = None if panel.pooled else worth[name]
                # The half on which it was chosen proves nothing alone.
                alone = jury.gain(errors)
                proven = None if alone is None else joint_gain(seen_by)
                decides = -math.inf if alone is None else alone.value
                yield Trial(name, on_other_half, decides, proven, joint_gain(seen_by, {LOOK: 1.0}), guards)

        decision = decide(trials(), panel.least_gain)
    report().print(_table(judge, found, gains))
    if slow:
        report().print(
            f"Hardly anything here moves more than {panel.slow:g} px, so only {preferred} may replace the original: "
            "nothing tells how the model does at speed. Larger data.frame_steps, or faster videos, would."
        )
    return Choice(decision, start if decision.candidate is None else states[decision.candidate], worth)


def _table(judge: Judge[Any], found: Mapping[str, Mapping[str, Sums]], gains: Mapping[str, Gain | None]) -> Table:
    table = Table(title="Candidates on the first half of what is held out, without ground truth")
    for heading in ("weights", "from the labels", "cycle error", "census error", "gain", "at least"):
        table.add_column(heading, justify="left" if heading == "weights" else "right")
    for name, errors in {"original": judge.original, **found}.items():
        labels, cycle, census = (judge.mean(errors, kind) for kind in (LABELS, CYCLE, LOOK))
        gain = gains.get(name)
        shown = ("", "") if gain is None else tuple(f"{value:+.1f} %" for value in gain.percent()[:2])
        table.add_row(name, f"{labels:.3f} px", f"{cycle:.3f} px", f"{census:.4f}", *shown)
    return table
