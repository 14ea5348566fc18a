"""Stage 1 as a prediction run: every process labels its windows and writes its own files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor, nn
from torch.utils.data import Dataset

from refine_motion.errors import VideoError
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.store import PairKey
from refine_motion.labels.store_base import FrameKey, SafetensorStore
from refine_motion.labels.teacher import FlowTeacher
from refine_motion.labels.track_codec import TrackLabel
from refine_motion.labels.track_store import ClipKey
from refine_motion.labels.track_teacher import TrackTeacher
from refine_motion.labels.track_windows import TrackWindow
from refine_motion.labels.windows import PairWindow
from refine_motion.video.reader import read_frames


class UnlabelledWindows(Dataset[dict[str, Any]]):
    """The windows that still lack labels, each read in one go.

    Args:
        windows: windows to be labelled.
        strict: raise when a window cannot be read, instead of handing the reason on.
        between: read the frames between those of a window too.
    """

    def __init__(self, windows: Sequence[Any], strict: bool, between: bool = False):
        self.windows = windows
        self.strict, self.between = strict, between

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``number`` of the window, ``frames (T, 3, H, W)`` uint8 or None, and ``problem``, a reason or None."""
        window = self.windows[index]
        try:
            numbers = window.clip.frames
            wanted = range(numbers[0], numbers[-1] + 1) if self.between else numbers
            frames = read_frames(window.clip.video, wanted)
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

    Attributes:
        problems: a line for each window of this process that could not be read.
    """

    def __init__(self, teacher: FlowTeacher | TrackTeacher, windows: Sequence[Any]):
        super().__init__()
        self.windows = windows
        self.teacher = teacher
        # Registered, so that the trainer moves them.
        self.networks = nn.ModuleList(teacher.models)
        self.problems: list[str] = []

    @abstractmethod
    def label(self, window: Any, frames: Tensor) -> list[tuple[Any, Any]]:
        """Name and label of everything in a window.

        Args:
            window: one of :attr:`windows`.
            frames: ``(T, 3, H, W)`` uint8, in order of time.
        """

    def on_predict_start(self) -> None:
        """Compute with as many threads as the settings ask for."""
        self.teacher.take_threads()

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[tuple[Any, Any]]:
        """The labels of one window; none of a window that could not be read."""
        if batch["frames"] is None:
            self.problems.append(batch["problem"])
            return []
        # Where there are fewer windows than processes, the loader goes round.
        window = self.windows[batch["number"] % len(self.windows)]
        with true_float32():
            return self.label(window, batch["frames"])


class PairLabelModule(LabelModule):
    """Labels frame pairs.

    Args:
        teacher: the frozen teacher.
        windows: the windows that the batches number.
        views: by the content key of a video those chosen for it; the others have the views of the settings.
    """

    teacher: FlowTeacher

    def __init__(
        self, teacher: FlowTeacher, windows: Sequence[PairWindow], views: Mapping[str, Sequence[str]] | None = None
    ):
        super().__init__(teacher, windows)
        self.views = views or {}

    def label(self, window: PairWindow, frames: Tensor) -> list[tuple[PairKey, FlowLabel]]:
        """See :class:`LabelModule`."""
        keys = window.label_keys()
        seeds, views = [_seed(key) for key in keys], self.views.get(window.clip.video.key)
        return list(zip(keys, self.teacher.label(frames, list(window.pairs), seeds, views), strict=True))


class TrackLabelModule(LabelModule):
    """Labels windows with tracks; see :class:`LabelModule`."""

    teacher: TrackTeacher

    def label(self, window: TrackWindow, frames: Tensor) -> list[tuple[ClipKey, TrackLabel]]:
        """See :class:`LabelModule`."""
        numbers = torch.tensor(window.clip.frames)
        # In order of time, the frames of the window among all that were read.
        times = numbers - numbers[0] if self.teacher.between else torch.arange(len(numbers))
        if window.backward:
            frames, times = frames.flip(0), (len(frames) - 1 - times).flip(0)
        queries = torch.tensor(window.queries) if window.queries else None
        return [(window.key, self.teacher.label(frames, _seed(window.key), queries, times))]


def _seed(key: FrameKey) -> int:
    return int(key.digest[:8], 16)


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

    def __init__(self, store: SafetensorStore[Any, Any]):
        super().__init__(write_interval="batch")
        self.store = store

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: list[tuple[Any, Any]],
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Store what :meth:`LabelModule.predict_step` returned."""
        for key, label in prediction:
            self.store.write(key, label)
