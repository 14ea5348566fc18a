"""Which weights come out of a refinement: chosen on one half of what is held out, decided on the other half.

Nothing here knows a true flow of the videos. See :mod:`refine_motion.refine.judging` for what is compared, and
:mod:`refine_motion.refine.decision` for the rule.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from rich.progress import Progress
from rich.table import Table

from refine_motion.errors import ConfigError
from refine_motion.models.base import FlowModel
from refine_motion.refine.candidates import MIXTURES, State, mixture
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.decision import KEPT, Decision, Guard, Trial, decide
from refine_motion.refine.holdout import Part
from refine_motion.refine.judging import CYCLE, MOVING, Judge
from refine_motion.refine.report import report
from refine_motion.refine.speed_test import MADE, SpeedTest

# A model is run on about so many pixels of each half: two frames of 1080p, or eight of 384x512.
_PIXELS, _FEWEST, _MOST = 1_500_000, 2, 8
# Losses that are put up with, as logarithms of errors. Made motion is not the domain's own, and a model that bends to
# the domain may lose a little of it.
_MOVING_LOSS, _SPEED_LOSS = math.log(1.02), math.log(1.05)
# A model whose ways there and back contradict each other this much is broken, whatever else it is.
_CYCLE_LOSS = math.log(2)
# Where less than this share of the labels moves by more than so many pixels, a model can only learn to stand still: on
# a static video it then looks a third better, and is worse on all that moves.
_STILL, _LEAST_MOVING = 0.25, 0.01
# Where as little of what was learnt from moves faster than this, nothing tells how a model does at speed. Trained on
# motion up to 1 px, a model was 7 to 13 % worse at 20 px; a quarter of the way did no harm and kept about half of the
# gain.
_SLOW = 2.0


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
        gains: of every candidate on the choosing half, as logarithms of errors; minus infinity where there was too
            little to compare.
    """

    decision: Decision
    state: State
    gains: Mapping[str, float]


def choose(
    model: FlowModel,
    trained: Mapping[str, State],
    data: VideoLabelDataModule,
    iters: int,
    device: torch.device,
) -> Choice:
    """Choose among trained weights, mixtures of the best of them with the original, and the original.

    Args:
        model: the original; it is not changed.
        trained: the candidates by name.
        data: gives the held-out pairs.
        iters: iterations of the models.
        device: where they run.

    Raises:
        LabelError: a label is missing or damaged.
        VideoError: a held-out frame cannot be read.
    """
    # Two of them: mixtures and errors need the original beside the candidate.
    original = copy.deepcopy(model).to(device).eval()
    candidate = copy.deepcopy(original)
    start = {name: value.detach().cpu().clone() for name, value in original.state_dict().items()}
    states: dict[str, State] = dict(trained)

    def loaded(name: str) -> FlowModel:
        candidate.load_state_dict(dict(states[name]))
        return candidate

    with Progress(transient=True, console=report()) as progress:
        task = progress.add_task("comparing candidates", total=len(trained) + len(MIXTURES) + 2)
        judge = _judge("choose", data, original, iters, device)
        if judge.moving_share(_STILL) < _LEAST_MOVING:
            return Choice(Decision(KEPT, None, None, "nothing moves in what is held out"), start, {})
        found: dict[str, dict[str, np.ndarray]] = {}
        gains: dict[str, float] = {}

        def try_out(name: str) -> None:
            found[name] = judge.errors(loaded(name))
            measured = judge.gain(found[name])
            gains[name] = -math.inf if measured is None else measured.value
            progress.advance(task)

        for name in trained:
            try_out(name)
        best = max(gains, key=lambda name: gains[name])
        mixtures = {f"{share:.0%} of {best}": share for share in MIXTURES}
        for name, share in mixtures.items():
            states[name] = mixture(start, trained[best], share)
            try_out(name)
        slow = data.share_faster_than(_SLOW) < _LEAST_MOVING
        allowed = [min(mixtures, key=lambda name: mixtures[name])] if slow else list(gains)
        best_of_all = max(allowed, key=lambda name: gains[name])
        share = mixtures.get(best_of_all, 1.0)
        nearer = [name for name, part in mixtures.items() if part < share]
        jury = _judge("decide", data, original, iters, device)
        speeds = SpeedTest(
            [sample["image_a"] for sample in data.held_out_samples("decide", MADE)], original, iters, device
        )
        progress.advance(task)

        def trials() -> Iterator[Trial]:
            for name in (best_of_all, *nearer):
                other = loaded(name)
                errors = jury.errors(other)
                guards = {
                    f"motion of {speed:g} px": Guard(change, _SPEED_LOSS)
                    for speed, change in speeds.gains(other).items()
                }
                for name_of_error, kind, loss in (
                    ("cycle error", CYCLE, _CYCLE_LOSS),
                    ("labels of what moves by itself", MOVING, _MOVING_LOSS),
                ):
                    change = jury.gain(errors, {kind: 1.0})
                    if change is not None:
                        guards[name_of_error] = Guard(change, loss)
                yield Trial(name, gains[name], jury.gain(errors), jury.gain(errors, {"census": 1.0}), guards)

        decision = decide(trials())
    report().print(_table(judge, found, gains))
    if slow:
        report().print(
            f"Hardly anything here moves more than {_SLOW:g} px, so only {best_of_all} may replace the original: "
            "nothing tells how the model does at speed. Larger data.frame_steps, or faster videos, would."
        )
    return Choice(decision, start if decision.candidate is None else states[decision.candidate], gains)


def _judge(part: Part, data: VideoLabelDataModule, original: FlowModel, iters: int, device: torch.device) -> Judge:
    """As many held-out pairs of a part as there is time for."""
    first = data.held_out_samples(part, 1)
    pixels = first[0]["region"].numel() if len(first) else 1
    samples = data.held_out_samples(part, min(_MOST, max(_FEWEST, _PIXELS // pixels)))
    return Judge(samples, [window for window, _ in samples.samples], original, iters, device)


def _table(judge: Judge, found: Mapping[str, Mapping[str, np.ndarray]], gains: Mapping[str, float]) -> Table:
    table = Table(title="Candidates on the first half of what is held out, without ground truth")
    for heading in ("weights", "from the labels", "cycle error", "census error", "gain"):
        table.add_column(heading, justify="left" if heading == "weights" else "right")
    for name, errors in {"original": judge.original, **found}.items():
        labels, cycle, census = (judge.mean(errors, kind) for kind in ("labels", CYCLE, "census"))
        value = gains.get(name, 0.0)
        shown = f"{100 * -math.expm1(-value):+.1f} %" if math.isfinite(value) else ""
        table.add_row(name, f"{labels:.3f} px", f"{cycle:.3f} px", f"{census:.4f}", shown)
    return table
