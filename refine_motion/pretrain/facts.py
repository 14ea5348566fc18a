"""How pre-trained weights came about, as their header and their card tell it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from lightning.pytorch import Trainer

from refine_motion.pretrain.datamodule import PretrainDataModule
from refine_motion.pretrain.stream import samples_before


def facts_of(note: dict[str, Any], data: PretrainDataModule, trainer: Trainer, command: str) -> dict[str, Any]:
    """What is known at the end of a training.

    Args:
        note: what its checkpoints hold: ``settings``, ``seconds`` and ``hardware``.
        data: the stream.
        trainer: after ``fit``.
        command: how it was started.

    Returns:
        Plain values.
    """
    return {
        "settings": note["settings"],
        "steps": trainer.global_step,
        "samples": samples_before(data.stages, trainer.global_step) * trainer.world_size,
        "hours": round(note["seconds"] / 3600, 2),
        "hardware": note["hardware"],
        "command": command,
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
