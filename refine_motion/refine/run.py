"""One refinement from start to end: labels, training, candidates; a rerun goes on where the first was interrupted."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from rich.console import Console

from refine_motion.files import replacing
from refine_motion.labels.store import LabelStore
from refine_motion.labels.summary import LabelSummary
from refine_motion.labels.teacher import FlowTeacher, LabelSettings
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.identity import identity
from refine_motion.refine.module import RefineModule
from refine_motion.refine.stage1 import label_videos
from refine_motion.refine.stage2 import finish

RESULT = "result.json"


@dataclass(frozen=True)
class RefineResult:
    """What a refinement gave.

    Attributes:
        weights: the refined weights; ``load_model`` opens them. The original file is never written to.
        candidates: every set of weights that the training offers, by name: ``refined`` and, where a running mean was
            kept, ``ema``.
        store: the pseudo-labels.
        labels: their yield.
        held_out: cycle error of student and teacher and distance from the labels on held-out windows, in pixels, and
            the end-point error of both on the source domain where it was replayed; empty where nothing is held out.
    """

    weights: Path
    candidates: dict[str, Path]
    store: LabelStore
    labels: LabelSummary
    held_out: dict[str, float]


def refine_once(
    trainer: Trainer,
    module: RefineModule,
    data: VideoLabelDataModule,
    settings: LabelSettings,
    folder: str | Path,
    checkpoint: str | None = None,
) -> RefineResult:
    """Label what is missing, train, and save the candidates.

    A run of the same settings, videos and weights that was interrupted goes on at its last checkpoint; one that was
    finished is not repeated.

    Args:
        trainer: runs both stages.
        module: teacher and student.
        data: the videos.
        settings: how labels are made.
        folder: where results go.
        checkpoint: to start from in any case, ``trainer.fit``'s ``ckpt_path``.

    Returns:
        What it gave.

    Raises:
        RefineMotionError: one line on what is wrong with videos, weights or settings.
    """
    folder = Path(folder)
    teacher = FlowTeacher(module.teacher, settings)
    store, summary = label_videos(trainer, teacher, data)
    module.identity = identity(trainer, module, data, teacher)
    report = Console(quiet=not trainer.is_global_zero)
    if checkpoint is None:
        done = _finished(folder, module.identity)
        if done is not None:
            candidates, held_out = done
            report.print(
                f"Stage 2: finished already, {candidates['refined']}; delete {folder / RESULT} to train again",
                markup=False,
                soft_wrap=True,
            )
            return RefineResult(candidates["refined"], candidates, store, summary, held_out)
        checkpoint = _interrupted(trainer, module.identity)
        if checkpoint is not None:
            report.print(f"Stage 2: going on from {checkpoint}", markup=False, soft_wrap=True)
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    candidates, held_out = finish(trainer, module, data, folder)
    if trainer.is_global_zero:
        content = {
            "identity": module.identity,
            "candidates": {name: path.name for name, path in candidates.items()},
            "steps": trainer.global_step,
            "held_out": held_out,
            "labels": asdict(summary),
        }
        with replacing(folder / RESULT) as partial:
            partial.write_text(json.dumps(content, indent=1))
    return RefineResult(candidates["refined"], candidates, store, summary, held_out)


def _finished(folder: Path, wanted: str) -> tuple[dict[str, Path], dict[str, float]] | None:
    """Candidates and held-out figures of the same refinement, if it has been done."""
    try:
        content = json.loads((folder / RESULT).read_text())
        candidates = {name: folder / file for name, file in content["candidates"].items()}
        if content["identity"] == wanted and all(path.is_file() for path in candidates.values()):
            return candidates, content["held_out"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # no such file, or not one of ours
    return None


def _interrupted(trainer: Trainer, wanted: str) -> str | None:
    """The newest checkpoint of the same refinement."""
    folder = getattr(trainer.checkpoint_callback, "dirpath", None)
    found = [] if folder is None else sorted(Path(folder).glob("*.ckpt"), key=lambda path: -path.stat().st_mtime)
    for path in found:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        # Cut off by the interruption: the one before it is whole. What the unpickler raises depends on the bytes.
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, OSError):
            continue
        if isinstance(content, dict) and content.get("identity") == wanted:
            return str(path)
    return None
