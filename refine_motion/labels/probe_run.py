"""The probe as a prediction run before that of the labels: every process looks at its videos and notes their views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import Dataset

from refine_motion.errors import VideoError
from refine_motion.labels.blend import shares
from refine_motion.labels.generate import true_float32
from refine_motion.labels.probe import Probe, ProbedVideo, choose_views, note_probe
from refine_motion.labels.store import LabelStore
from refine_motion.labels.teacher import FlowTeacher
from refine_motion.video.reader import read_frames


class ProbedFrames(Dataset[dict[str, Any]]):
    """The frames of a few pairs of each video.

    Args:
        videos: what to look at.
        strict: raise when frames cannot be read, instead of doing without their pair.
    """

    def __init__(self, videos: Sequence[ProbedVideo], strict: bool):
        self.videos = videos
        self.strict = strict

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``key`` of the video and ``pairs``, each ``(2, 3, H, W)`` uint8."""
        probed = self.videos[index]
        pairs = []
        for pair in probed.pairs:
            try:
                pairs.append(read_frames(probed.video, [pair.frame_a, pair.frame_b]))
            except VideoError:
                if self.strict:
                    raise
        return {"key": probed.video.key, "pairs": pairs}


class ProbeModule(LightningModule):
    """Chooses the views of one video a step and notes them in the store.

    Args:
        teacher: the frozen teacher; its settings list the views and those to try.
        store: where its labels go.
    """

    def __init__(self, teacher: FlowTeacher, store: LabelStore):
        super().__init__()
        self.teacher = teacher
        self.network = teacher.model
        self.store = store

    def on_predict_start(self) -> None:
        """See :meth:`FlowTeacher.take_threads`."""
        self.teacher.take_threads()

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> Probe:
        """Find and note the views of one video; the listed ones where no pair of it could be read."""
        settings = self.teacher.settings
        views = (*settings.views, *settings.probe)
        with true_float32():
            doubts = [self.teacher.doubts(pair, views) for pair in batch["pairs"]]
        found = choose_by(doubts, settings.views, settings.probe) if doubts else Probe(settings.views, {})
        note_probe(self.store, batch["key"], found)
        return found


def choose_by(doubts: Sequence[Tensor], listed: Sequence[str], extra: Sequence[str]) -> Probe:
    """The views of a video by the mean of their shares over some pairs, see :func:`choose_views`.

    Args:
        doubts: of each pair, ``(V, 2, H, W)`` in the order of ``listed`` and ``extra``.
        listed: views that are blended by default.
        extra: views to try.
    """
    order = (*listed, *extra)

    def mean_shares(views: Sequence[str]) -> list[float]:
        chosen = [order.index(view) for view in views]
        return torch.tensor([shares(one[chosen]) for one in doubts]).mean(dim=0).tolist()

    return choose_views(listed, extra, mean_shares)
