"""A training in as many pieces as it takes: going on where the one before stopped, and knowing when it is finished."""

from __future__ import annotations

import json
import warnings
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule, Trainer

from refine_motion.errors import ConfigError
from refine_motion.models.weights import read_facts
from refine_motion.training.checkpoint import find_checkpoint
from refine_motion.training.module import PieceModule
from refine_motion.training.report import report

CHECKPOINTS = "checkpoints"
# What Lightning says of things that are meant: the module augments, and the stream goes on at the right step, though
# not through the interface that Lightning looks for.
_KNOWN_WARNINGS = (
    r".*You have overridden `on_after_batch_transfer` in `LightningModule`.*",
    r".*ended before the epoch ended and your dataloader is not resumable.*",
    r".*does not have many workers.*",
)


def all_settings(trainer: Trainer, module: PieceModule, data: dict[str, Any]) -> dict[str, Any]:
    """Everything that the weights depend on; by how many workers samples are made is not.

    Args:
        trainer: of the training.
        module: what is trained.
        data: settings of the data module.

    Raises:
        ConfigError: the trainer accumulates batches, of which the order of samples knows nothing.
    """
    if trainer.accumulate_grad_batches != 1:
        raise ConfigError("trainer.accumulate_grad_batches must be 1: the batch of a step is set under data")
    settings = {
        **module.settings,
        **data,
        "max_steps": trainer.max_steps,
        "precision": str(trainer.precision),
        "gradient_clip_val": trainer.gradient_clip_val,
        "processes": trainer.world_size,
    }
    return json.loads(json.dumps(settings))


def finished_facts(weights: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """How weights came about, where they are there.

    Args:
        weights: file that a finished training leaves.
        settings: of the training, see :func:`all_settings`.

    Raises:
        ConfigError: they are of a training with other settings.
    """
    if not weights.is_file():
        return None
    facts = read_facts(weights)
    if facts.get("settings") != settings:
        raise ConfigError(f"{weights}: of a training with other settings; give another --workdir, or delete the file")
    return facts


def train_piece(
    trainer: Trainer, module: PieceModule, data: LightningDataModule, folder: Path, settings: dict[str, Any]
) -> bool:
    """Train from nothing, or from where the same training stopped.

    Args:
        trainer: with ``max_steps``; it has a :class:`refine_motion.training.checkpoint.PieceCheckpoint` for the
            folder's ``checkpoints``.
        module: what is trained.
        data: the stream.
        folder: of the training.
        settings: see :func:`all_settings`.

    Returns:
        Whether all steps are made.

    Raises:
        RefineMotionError: one line on what is wrong with the settings, or with what the folder holds.
    """
    checkpoint = find_checkpoint(folder / CHECKPOINTS, settings)
    if checkpoint is not None:
        say(f"going on from {checkpoint}")
    module.note["settings"] = settings
    with warnings.catch_warnings():
        for message in _KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        start = None if checkpoint is None else str(checkpoint)
        trainer.fit(module, datamodule=data, ckpt_path=start, weights_only=True)
    if trainer.global_step < trainer.max_steps:
        say(f"stopped at step {trainer.global_step} of {trainer.max_steps}: the same command goes on")
        return False
    return True


def facts_of(module: PieceModule, trainer: Trainer, samples: int, command: str) -> dict[str, Any]:
    """What is known at the end of a training, as the header of its weights tells it.

    Args:
        module: after the training.
        trainer: after the training.
        samples: how many were seen by all processes.
        command: how it was started.

    Returns:
        Plain values.
    """
    return {
        "settings": module.note["settings"],
        "steps": trainer.global_step,
        "samples": samples,
        "hours": round(module.note["seconds"] / 3600, 2),
        "hardware": module.note["hardware"],
        "command": command,
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def say(line: str) -> None:
    """One line on the first process."""
    report().print(line, markup=False, soft_wrap=True)
