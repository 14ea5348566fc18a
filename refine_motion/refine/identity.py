"""What makes two refinements the same one, so that a rerun goes on where the first was interrupted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from refine_motion.labels.teacher import FlowTeacher
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.module import RefineModule


def identity(trainer: Trainer, module: RefineModule, data: VideoLabelDataModule, teacher: FlowTeacher) -> str:
    """Digest of everything that the refined weights depend on: weights, labels, videos by content, and settings."""
    facts = {
        "teacher": teacher.fingerprint,
        "pairs": sorted(key.digest for key in data.pair_keys()),
        "model": module.settings,
        "data": [data.filters, data.crop, data.batch_size, data.holdout, data.seed, data.replay, data.replay_share],
        "trainer": [
            trainer.max_steps,
            trainer.max_epochs,
            str(trainer.precision),
            trainer.gradient_clip_val,
            trainer.accumulate_grad_batches,
            trainer.world_size,
        ],
    }
    return hashlib.sha256(json.dumps(plain(facts), sort_keys=True).encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """The value as JSON can hold it: objects by the name of their class and their attributes."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return {"class": type(value).__qualname__, **plain(vars(value))}
