"""Checkpoints of a training that is made in pieces: written often, the last two kept, found again by their settings."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from refine_motion.errors import ConfigError
from refine_motion.training.report import report

KEPT = 2
# Under which a checkpoint tells of its training.
NOTE = "pretraining"


class PieceCheckpoint(Checkpoint):
    """Saves every so many steps and where a piece ends; keeps the last two, should the machine die while it writes.

    Lightning's own callback does not save when ``trainer.max_time`` is over.

    Args:
        folder: where the files go.
        every: optimiser steps between two.

    Raises:
        ConfigError: ``every`` is below 1.
    """

    def __init__(self, folder: str, every: int = 200):
        if every < 1:
            raise ConfigError(f"checkpoint.every must be at least 1, got {every}")
        self.folder, self.every = Path(folder), every

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Save where it is time to."""
        step = trainer.global_step
        if step % self.every and step < trainer.max_steps and not trainer.should_stop:
            return
        path = self.folder / f"step_{step:07d}.ckpt"
        partial = path.with_suffix(".partial")
        trainer.save_checkpoint(partial, weights_only=False)
        if trainer.is_global_zero:
            partial.replace(path)
            for old in [*sorted(self.folder.glob("*.ckpt"))[:-KEPT], *self.folder.glob("*.partial")]:
                old.unlink()


def find_checkpoint(folder: Path, settings: dict[str, Any]) -> Path | None:
    """The newest readable checkpoint in a folder.

    Args:
        folder: need not exist.
        settings: of the training that wants to go on.

    Raises:
        ConfigError: it is of a training with other settings, whose checkpoints would be lost.
    """
    for path in sorted(folder.glob("*.ckpt"), reverse=True):
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)[NOTE]["settings"]
        # What the unpickler raises depends on the bytes.
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, OSError) as error:
            report().print(f"{path}: not a whole checkpoint ({type(error).__name__})", markup=False, soft_wrap=True)
            continue
        other = [name for name in sorted({*found, *settings}) if found.get(name) != settings.get(name)]
        if other:
            raise ConfigError(
                f"{path}: of a training with another {', '.join(other)}; give another --workdir, or delete the folder "
                "of checkpoints to begin anew"
            )
        return path
    return None
