"""One refinement from start to end: labels, training, choice; a rerun goes on where the first was interrupted."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from refine_motion.files import replacing
from refine_motion.labels.store_base import SafetensorStore
from refine_motion.labels.summary import LabelSummary
from refine_motion.labels.teacher import LabelSettings
from refine_motion.labels.track_summary import TrackSummary
from refine_motion.labels.track_teacher import TrackLabelSettings
from refine_motion.refine.candidates import Snapshots
from refine_motion.refine.decision import Decision
from refine_motion.refine.identity import identity
from refine_motion.refine.label_data import LabelDataModule
from refine_motion.refine.selection import SelectionSettings
from refine_motion.refine.stage1 import label_videos
from refine_motion.refine.stage2 import REFINED, finish
from refine_motion.refine.student import StudentModule
from refine_motion.training.report import report

RESULT = "result.json"


@dataclass(frozen=True)
class RefineResult:
    """What a refinement gave.

    Attributes:
        weights: the result, which ``load_model`` opens: the original weights where nothing better was found. The
            original file is never written to.
        files: weights by name: ``refined`` is the result, ``student`` the last one of the training and, where a running
            mean was kept, ``ema``.
        store: the pseudo-labels.
        labels: their yield.
        held_out: cycle error of student and teacher and distance from the labels on held-out windows, in pixels, and
            the end-point error of both on the source domain where it was replayed; empty where nothing is held out.
        outcome: whether the weights are ``improved``, ``kept`` as they were, or ``unchecked``, by how much, and why.
    """

    weights: Path
    files: dict[str, Path]
    store: SafetensorStore[Any, Any]
    labels: LabelSummary | TrackSummary
    held_out: dict[str, float]
    outcome: Decision


def refine_once(
    trainer: Trainer,
    module: StudentModule[Any],
    data: LabelDataModule[Any, Any],
    settings: LabelSettings | TrackLabelSettings,
    folder: str | Path,
    checkpoint: str | None = None,
    selection: SelectionSettings = SelectionSettings(),  # noqa: B008  (frozen)
) -> RefineResult:
    """Label what is missing, train, choose among the weights, and save them.

    A run of the same settings, videos and weights that was interrupted goes on at its last checkpoint; one that was
    finished is not repeated.

    Args:
        trainer: runs both stages.
        module: teacher and student.
        data: the videos.
        settings: how labels are made.
        folder: where results go.
        checkpoint: to start from in any case, ``trainer.fit``'s ``ckpt_path``.
        selection: how the weights are chosen.

    Returns:
        What it gave.

    Raises:
        RefineMotionError: one line on what is wrong with videos, weights or settings.
    """
    folder = Path(folder)
    teacher = module.labelling(settings)
    store, summary = label_videos(trainer, teacher, data)
    module.identity = identity(trainer, module, data, teacher, selection)
    if checkpoint is None:
        earlier = _earlier(folder)
        if earlier is not None and earlier["identity"] == module.identity:
            files = {name: folder / file for name, file in earlier["weights"].items()}
            decision = Decision.from_dict(earlier["outcome"])
            _say(f"Stage 2: finished already, {files[REFINED]}; delete {folder / RESULT} to train again")
            _say(decision.line())
            return RefineResult(files[REFINED], files, store, summary, earlier["held_out"], decision)
        if earlier is not None:
            _say(f"Stage 2: weights, videos or settings are not those of the result in {folder}, which is replaced")
        checkpoint = _interrupted(trainer, module.identity)
        if checkpoint is not None:
            _say(f"Stage 2: going on from {checkpoint}")
    snapshots = Snapshots(folder / "snapshots", selection.snapshots) if selection.enabled else None
    if snapshots:
        # Before the checkpoints: a run that is killed between the two must not go on after a snapshot it never made.
        trainer.callbacks.insert(0, snapshots)  # type: ignore[attr-defined]
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    if trainer.is_global_zero:
        # Its weights are written over now; a run that is killed between them must not vouch for others.
        (folder / RESULT).unlink(missing_ok=True)
    outcome = finish(trainer, module, data, folder, snapshots)
    if trainer.is_global_zero:
        content = {
            "identity": module.identity,
            "weights": {name: path.name for name, path in outcome.files.items()},
            "steps": trainer.global_step,
            "held_out": outcome.held_out,
            "outcome": outcome.decision.to_dict(),
            # Minus infinity is no JSON.
            "candidates": {name: value if math.isfinite(value) else None for name, value in outcome.worth.items()},
            "labels": asdict(summary),
        }
        with replacing(folder / RESULT) as partial:
            partial.write_text(json.dumps(content, indent=1))
    _say(outcome.decision.line())
    return RefineResult(outcome.files[REFINED], outcome.files, store, summary, outcome.held_out, outcome.decision)


def _say(line: str) -> None:
    report().print(line, markup=False, soft_wrap=True)


def _earlier(folder: Path) -> dict[str, Any] | None:
    """What an earlier refinement noted in this folder, if its weights are there."""
    try:
        content = json.loads((folder / RESULT).read_text())
        files = [folder / file for file in content["weights"].values()]
        complete = isinstance(content["identity"], str) and isinstance(content["held_out"], dict)
        Decision.from_dict(content["outcome"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # no such file, or not one of ours
    return content if complete and all(path.is_file() for path in files) else None


def _interrupted(trainer: Trainer, wanted: str) -> str | None:
    """The newest checkpoint of the same refinement."""
    folders = {Path(folder) for c in trainer.checkpoint_callbacks if (folder := getattr(c, "dirpath", None))}
    if trainer.checkpoint_callbacks and not folders:
        _say("Stage 2: no checkpoint callback has a `dirpath`: an interrupted training cannot go on by itself")
    found = sorted((path for folder in folders for path in folder.glob("*.ckpt")), key=lambda p: -p.stat().st_mtime)
    for path in found:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        # Cut off by the interruption: the one before it is whole. What the unpickler raises depends on the bytes.
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, OSError):
            continue
        if isinstance(content, dict) and content.get("identity") == wanted:
            return str(path)
    return None
