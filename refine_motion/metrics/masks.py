"""Mask metrics as torchmetrics classes, over the pure functions of :mod:`.functional.masks`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from refine_motion.metrics.functional.masks import frame_scores, object_count, summary


class JAndF(Metric):
    """DAVIS's J&F with mean, recall and decay: the plain mean over the objects of all sequences together.

    A sequence is one update. Its first and its last frame are not scored, as officially; its objects are those of the
    first true mask. States are float64 sums and counts, so several processes give what one gives.

    >>> metric, masks = JAndF(), torch.ones(3, 4, 4, dtype=torch.uint8)
    >>> masks[:, 0] = 0
    >>> metric.update(masks, masks)
    >>> metric.compute()["jf"].item()
    1.0
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    names = ("jf", "j_mean", "j_recall", "j_decay", "f_mean", "f_recall", "f_decay")
    sums: Tensor
    objects: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("sums", torch.zeros(len(self.names), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("objects", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Take in a sequence.

        Args:
            pred: ``(T, H, W)`` ids of objects, 0 for the background. An object that is missing scores as empty.
            target: ``(T, H, W)`` true ids; 255 is void, which counts as background.

        Raises:
            ValueError: the shapes differ, there are fewer than 3 frames, or a scored frame has an object more than the
                first true mask.
        """
        if pred.shape != target.shape or target.ndim != 3:
            raise ValueError(f"masks must be (T, H, W), both alike; got {tuple(pred.shape)} and {tuple(target.shape)}")
        if len(target) < 3:
            raise ValueError(f"{len(target)} frames: the first and the last are not scored, so 3 are needed at least")
        count = object_count(target[0])
        frames = [frame_scores(*pair, count) for pair in zip(pred[1:-1], target[1:-1], strict=True)]
        regions, contours = (torch.stack(scores, dim=-1) for scores in zip(*frames, strict=True))
        scores = summary(regions, contours)
        self.sums += torch.stack([scores[name].sum() for name in self.names]).to(self.sums.device)
        self.objects += count

    def compute(self) -> dict[str, Tensor]:
        """Scores by name, 0..1 (decays -1..1, lower is better), float64; not a number where there is no object."""
        return dict(zip(self.names, self.sums / self.objects, strict=True))
