"""Stage 1 as a prediction run: every process labels its windows and writes its own files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch.utils.data import Dataset

from refine_motion.errors import VideoError
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.teacher import FlowTeacher
from refine_motion.labels.windows import PairWindow
from refine_motion.video.reader import read_frames


class UnlabelledWindows(Dataset[dict[str, Any]]):
    """The windows that still lack labels, each read in one go.

    Args:
        windows: windows with the pairs to be labelled.
        strict: raise when a window cannot be read, instead of handing the reason on.
    """

    def __init__(self, windows: Sequence[PairWindow], strict: bool):
        self.windows = windows
        self.strict = strict

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``number`` of the window, ``frames (T, 3, H, W)`` uint8 or None, and ``problem``, a reason or None."""
        window = self.windows[index]
        try:
            frames = read_frames(window.clip.video, window.clip.frames)
        except VideoError as error:
            if self.strict:
                raise
            return {"number": index, "frames": None, "problem": str(error)}
        return {"number": index, "frames": frames, "problem": None}


class LabelModule(LightningModule):
    """Labels one window a step.

    Args:
        teacher: the frozen teacher.
        windows: the windows that the batches number.
        views: by the content key of a video those chosen for it; the others have the views of the settings.

    Attributes:
        problems: a line for each window of this process that could not be read.
    """

    def __init__(
        self, teacher: FlowTeacher, windows: Sequence[PairWindow], views: Mapping[str, Sequence[str]] | None = None
    ):
        super().__init__()
        self.windows = windows
        self.views = views or {}
        self.teacher = teacher
        self.network = teacher.model
        self.problems: list[str] = []

    def on_predict_start(self) -> None:
        """See :meth:`FlowTeacher.take_threads`."""
        self.teacher.take_threads()

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[tuple[PairKey, FlowLabel]]:
        """The labels of one window; none of a window that could not be read."""
        if batch["frames"] is None:
            self.problems.append(batch["problem"])
            return []
        # Where there are fewer windows than processes, the loader goes round.
        window = self.windows[batch["number"] % len(self.windows)]
        keys = window.pair_keys()
        seeds, views = [int(k.digest[:8], 16) for k in keys], self.views.get(window.clip.video.key)
        with true_float32():
            labels = self.teacher.label(batch["frames"], list(window.pairs), seeds, views)
        return list(zip(keys, labels, strict=True))


def true_float32() -> AbstractContextManager[None]:
    """Convolutions without TF32, which on recent GPUs is the default; the other settings stay."""
    cudnn = torch.backends.cudnn
    return cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    )


class LabelWriter(BasePredictionWriter):
    """Writes the labels of every step, so that a killed run loses at most one window.

    Args:
        store: where labels go.
    """

    def __init__(self, store: LabelStore):
        super().__init__(write_interval="batch")
        self.store = store

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: list[tuple[PairKey, FlowLabel]],
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Store what :meth:`LabelModule.predict_step` returned."""
        for key, label in prediction:
            self.store.write(key, label)
