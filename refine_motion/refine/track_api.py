"""Both stages for tracks from Python: ``rm.refine_tracks``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from refine_motion.errors import ConfigError
from refine_motion.labels.select import LabelRule
from refine_motion.labels.track_recipe import TRACK_VIEWS
from refine_motion.labels.track_teacher import TrackLabelSettings
from refine_motion.refine.clip_augment import ClipAugmentation
from refine_motion.refine.run import RefineResult, refine_once
from refine_motion.refine.selection import SelectionSettings
from refine_motion.refine.track_datamodule import TrackDataModule
from refine_motion.refine.track_module import TrackRefineModule
from refine_motion.refine.trainer import RefineTrainer

# A step on whole frames of 1080p takes some 17 GB.
_LABELS = TrackLabelSettings(views=TRACK_VIEWS, size=(288, 512), enlarge=False)


def refine_tracks(
    videos: str | Path,
    weights: str | Path,
    out: str | Path = "runs/refine_tracks",
    model: str | None = None,
    linked: str | Path | None = None,
    steps: int = 400,
    iters: int | None = None,
    learning_rate: float = 1e-5,
    ema: float = 0.0,
    augment: ClipAugmentation = ClipAugmentation(),  # noqa: B008  (frozen)
    filters: dict[str, LabelRule] | None = None,
    settings: TrackLabelSettings = _LABELS,
    made_share: float = 0.3,
    seed: int = 0,
    accelerator: str = "auto",
    precision: str = "32-true",
    selection: SelectionSettings = SelectionSettings(snapshots=0),  # noqa: B008  (frozen)
    **data: Any,
) -> RefineResult:
    """Stages 1 and 2 for a track model: label the videos with tracks and fine-tune the model on the verified ones.

    Called again with the same arguments it goes on where it was interrupted, and returns at once where it was finished.
    A flow model whose linked flow tracks is refined by :func:`refine_motion.refine.api.refine`.

    Args:
        videos: a video, a folder of videos or of frame folders, a glob pattern, or a list file.
        weights: the pre-trained weights of a PIPs, or ``embedded_pips``.
        out: folder for labels, checkpoints, logs and ``refined.safetensors``.
        model: registered model name; None recognises it from the weights.
        linked: weights of a flow model that labels beside the teacher, where ``settings.views`` have ``linked``.
        steps: optimiser steps.
        iters: iterations of the student; None is as many as its model is tracked with.
        learning_rate: peak of the schedule.
        ema: decay per step of a running mean of the weights, one more candidate; 0 keeps none.
        augment: strength of the student's augmentation.
        filters: which tracks to train on, by any name; None takes those of :mod:`refine_motion.labels.track_recipe`.
        settings: how labels are made; as it is, on frames of 288x512 pixels at most.
        made_share: of the samples, that are made of pieces of the frames; see :class:`TrackDataModule`.
        seed: seed of order, choice and augmentation.
        accelerator: as of ``lightning.pytorch.Trainer``.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        selection: how the weights are chosen; see :mod:`refine_motion.refine.selection`.
        **data: more arguments of :class:`TrackDataModule`, such as ``frame_steps`` or ``points``.

    Returns:
        Where the refined weights are, and what is known of labels and student.

    Raises:
        RefineMotionError: one line on what is wrong with videos, weights or settings.
    """
    if steps < 1:
        raise ConfigError(f"steps must be at least 1, got {steps}")
    out = Path(out)
    seed_everything(seed, verbose=False)
    module = TrackRefineModule(
        model,
        str(weights),
        None if linked is None else str(linked),
        iters=iters,
        learning_rate=learning_rate,
        ema=ema,
        augment=augment,
    )
    windows = TrackDataModule(
        str(videos),
        labels=str(out / "labels"),
        cache=str(out / "index"),
        filters=filters,
        made_share=made_share,
        seed=seed,
        **data,
    )
    trainer = RefineTrainer(
        accelerator=accelerator,
        devices=1,
        precision=precision,
        max_steps=steps,
        gradient_clip_val=1.0,
        check_val_every_n_epoch=None,
        val_check_interval=max(1, min(200, steps)),
        log_every_n_steps=10,
        logger=CSVLogger(str(out), name="logs"),
        callbacks=[
            ModelCheckpoint(out / "checkpoints", every_n_train_steps=50, save_last=True, enable_version_counter=False)
        ],
        enable_model_summary=False,
    )
    return refine_once(trainer, module, windows, settings, out, selection=selection)
