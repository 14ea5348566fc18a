"""Both stages from Python: ``rm.label`` and ``rm.refine``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from refine_motion.errors import ConfigError
from refine_motion.labels.select import LabelRule
from refine_motion.labels.store import LabelStore
from refine_motion.labels.teacher import FlowTeacher, LabelSettings
from refine_motion.models.load import load_flow_model
from refine_motion.refine.augment import Augmentation
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.module import RefineModule
from refine_motion.refine.run import RefineResult, refine_once
from refine_motion.refine.runs import RefinePlan, Run, refine_all
from refine_motion.refine.selection import SelectionSettings
from refine_motion.refine.stage1 import label_videos
from refine_motion.refine.trainer import RefineTrainer


def label(
    videos: str | Path,
    model: str | None,
    weights: str | Path,
    out: str | Path = "labels",
    settings: LabelSettings = LabelSettings(),  # noqa: B008  (frozen)
    accelerator: str = "auto",
    **data: Any,
) -> LabelStore:
    """Stage 1: make and cache the pseudo-labels of some videos.

    Args:
        videos: a video, a folder of videos or of frame folders, a glob pattern, or a list file.
        model: registered model name; None recognises it from the weights.
        weights: path of the pre-trained weights.
        out: root folder of the label store.
        settings: how labels are made.
        accelerator: as of ``lightning.pytorch.Trainer``.
        **data: more arguments of :class:`VideoLabelDataModule`, such as ``max_pairs`` or ``frame_steps``.

    Returns:
        The store; labels made earlier with the same teacher and settings are kept.

    Raises:
        RefineMotionError: one line on what is wrong with videos, weights or settings.
    """
    out = Path(out)
    module = VideoLabelDataModule(str(videos), labels=str(out), cache=str(out / "index"), **data)
    trainer = RefineTrainer(accelerator=accelerator, devices=1, logger=False, enable_checkpointing=False)
    teacher = FlowTeacher(load_flow_model(model, weights), settings)
    label_videos(trainer, teacher, module)
    return teacher.store(out)


def refine(
    videos: str | Path,
    model: str | None,
    weights: str | Path,
    out: str | Path = "runs/refine",
    steps: int = 1000,
    iters: int = 12,
    learning_rate: float = 1e-4,
    ema: float = 0.0,
    augment: Augmentation = Augmentation(),  # noqa: B008  (frozen)
    filters: dict[str, LabelRule] | None = None,
    settings: LabelSettings = LabelSettings(),  # noqa: B008  (frozen)
    seed: int = 0,
    accelerator: str = "auto",
    precision: str = "32-true",
    rounds: int = 1,
    selection: SelectionSettings = SelectionSettings(),  # noqa: B008  (frozen)
    **data: Any,
) -> RefineResult:
    """Stages 1 and 2: label the videos and fine-tune the model on its verified labels.

    Called again with the same arguments it goes on where it was interrupted, and returns at once where it was finished.

    Args:
        videos: a video, a folder of videos or of frame folders, a glob pattern, or a list file.
        model: registered model name; None recognises it from the weights.
        weights: the pre-trained weights.
        out: folder for labels, checkpoints, logs and ``refined.safetensors``; with several rounds, the latter three are
            in ``round_1`` and so on.
        steps: optimiser steps.
        iters: iterations of the student in training.
        learning_rate: peak of the schedule.
        ema: decay per step of a running mean of the weights, one more candidate; 0 keeps none.
        augment: strength of the student's augmentation.
        filters: which labels to train on, by any name; None takes the paper's cycle and colour rule.
        settings: how labels are made.
        seed: seed of order, crops and augmentation.
        accelerator: as of ``lightning.pytorch.Trainer``.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        rounds: times that the whole is done, until a round brings no better weights; from the second on, the refined
            model is the teacher.
        selection: how the weights are chosen; see :mod:`refine_motion.refine.selection`.
        **data: more arguments of :class:`VideoLabelDataModule`, such as ``crop`` or ``batch_size``.

    Returns:
        Where the refined weights are, and what is known of labels and student.

    Raises:
        RefineMotionError: one line on what is wrong with videos, weights or settings.
    """
    if steps < 1:
        raise ConfigError(f"steps must be at least 1, got {steps}")
    out = Path(out)

    def one(run: Run) -> RefineResult:
        seed_everything(seed, verbose=False)
        # Built before the folder is touched, so that a wrong setting leaves nothing behind.
        module = RefineModule(model, run.weights, iters=iters, learning_rate=learning_rate, ema=ema, augment=augment)
        videos_and_labels = VideoLabelDataModule(
            run.videos, labels=str(out / "labels"), cache=str(out / "index"), filters=filters, seed=seed, **data
        )
        trainer = RefineTrainer(
            accelerator=accelerator,
            devices=1,
            precision=precision,
            max_steps=steps,
            gradient_clip_val=5.0,
            check_val_every_n_epoch=None,
            val_check_interval=max(1, min(100, steps)),
            log_every_n_steps=10,
            logger=CSVLogger(str(run.folder), name="logs"),
            callbacks=[
                ModelCheckpoint(
                    run.folder / "checkpoints", every_n_train_steps=100, save_last=True, enable_version_counter=False
                )
            ],
            enable_model_summary=False,
        )
        return refine_once(trainer, module, videos_and_labels, settings, run.folder, selection=selection)

    return refine_all(RefinePlan(rounds=rounds), str(videos), str(weights), out, out / "index", one)[""]


def refine_each(
    videos: str | Path, model: str | None, weights: str | Path, out: str | Path = "runs/refine", **options: Any
) -> dict[str, RefineResult]:
    """One model for each video instead of one for all.

    Args:
        videos: as of :func:`refine`.
        model: as of :func:`refine`.
        weights: as of :func:`refine`.
        out: every video gets a folder of its own in it.
        **options: the other arguments of :func:`refine`.

    Returns:
        The result by the name of the video; a video that is of no use is named on the error stream and left out.

    Raises:
        RefineMotionError: no video could be used.
    """

    def one(run: Run) -> RefineResult:
        return refine(run.videos, model, run.weights, run.folder, **options)

    return refine_all(RefinePlan(unit="video"), str(videos), str(weights), out, Path(out) / "index", one)
