"""What makes two refinements the same one, so that a rerun goes on where the first was interrupted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from torch import Tensor

from refine_motion.labels.teacher import FlowTeacher
from refine_motion.labels.track_teacher import TrackTeacher
from refine_motion.refine.label_data import LabelDataModule
from refine_motion.refine.selection import SelectionSettings
from refine_motion.refine.student import StudentModule


def identity(
    trainer: Trainer,
    module: StudentModule[Any],
    data: LabelDataModule[Any, Any],
    teacher: FlowTeacher | TrackTeacher,
    selection: SelectionSettings,
) -> str:
    """Digest of everything that the refined weights depend on: weights, labels, videos by content, and settings."""
    facts = {
        "teacher": teacher.fingerprint,
        # With their windows and in order: both decide which samples a step has, and which are held out.
        "windows": [[key.digest for key in window.label_keys()] for window in data.windows],
        "model": module.settings,
        "selection": selection,
        "data": data.settings(),
        "trainer": [
            trainer.max_steps,
            trainer.max_epochs,
            str(trainer.precision),
            trainer.gradient_clip_val,
            trainer.gradient_clip_algorithm,
            trainer.limit_train_batches,
            getattr(trainer, "overfit_batches", 0),
            trainer.accumulate_grad_batches,
            trainer.world_size,
        ],
    }
    return hashlib.sha256(json.dumps(plain(facts), sort_keys=True).encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """The value as JSON can hold it: objects by the name of their class and their attributes, tensors by a digest."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(plain(item), sort_keys=True) for item in value)
    if isinstance(value, Tensor):
        return hashlib.sha256(value.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return {"class": type(value).__qualname__, **plain(vars(value))} if hasattr(value, "__dict__") else repr(value)
