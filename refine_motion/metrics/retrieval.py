"""Retrieval of videos as a torchmetrics class, over the pure functions of :mod:`.functional.retrieval`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from refine_motion.metrics.functional.retrieval import KS, first_hits, recall_at, video_features


class VideoRetrieval(Metric):
    """R@k of test videos among train videos, per cent; see :mod:`.functional.retrieval`.

    Every video has a number. One that is seen twice, as it is where a sampler fills up the last batch of a process,
    counts once, and one that is in both parts is not found by itself. The state is the features of all videos, so
    several processes give what one gives.

    Args:
        ks: values of k.

    >>> metric, clips = VideoRetrieval(ks=(1, 2)), torch.tensor([[[1.0, 0.0]], [[0.6, 0.8]], [[0.0, 1.0]]])
    >>> metric.update(clips, torch.tensor([0, 1, 0]), torch.tensor([0, 1, 2]), gallery=True)
    >>> metric.update(torch.tensor([[[0.8, 0.6]]]), torch.tensor([0]), torch.tensor([3]), gallery=False)
    >>> {name: value.item() for name, value in metric.compute().items()}
    {'r_at_1': 0.0, 'r_at_2': 100.0}
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    features: list[Tensor] | Tensor
    # Label, number and part (1 for the gallery) of each video.
    facts: list[Tensor] | Tensor

    def __init__(self, ks: Sequence[int] = KS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ks = tuple(ks)
        self._names = [f"r_at_{k}" for k in self.ks]
        self.add_state("features", [], dist_reduce_fx="cat")
        self.add_state("facts", [], dist_reduce_fx="cat")

    def update(self, clips: Tensor, labels: Tensor, videos: Tensor, gallery: bool) -> None:
        """Take in some videos.

        Args:
            clips: ``(B, N, D)`` features of N clips of each.
            labels: ``(B,)`` int64 classes.
            videos: ``(B,)`` int64, the number of each video.
            gallery: they are train videos, among which is looked; queries otherwise.

        Raises:
            ValueError: the shapes do not fit together.
        """
        if clips.ndim != 3 or labels.shape != videos.shape or labels.shape != clips.shape[:1]:
            raise ValueError(
                f"clips must be (B, N, D), labels and videos (B,); got {tuple(clips.shape)}, {tuple(labels.shape)} and "
                f"{tuple(videos.shape)}"
            )
        assert isinstance(self.features, list)
        assert isinstance(self.facts, list)
        self.features.append(video_features(clips.detach().float()))
        self.facts.append(torch.stack((labels, videos, torch.full_like(labels, int(gallery))), dim=1))

    def compute(self) -> dict[str, Tensor]:
        """``r_at_<k>`` by name, float64; not a number where there is no query or no gallery."""
        unknown = dict.fromkeys(self._names, torch.tensor(torch.nan, dtype=torch.float64))
        if not len(self.features):
            return unknown
        features, facts = dim_zero_cat(self.features), dim_zero_cat(self.facts)
        (queries, labels, numbers), (gallery, classes, others) = (_part(features, facts, part) for part in (0, 1))
        if not len(gallery):
            return unknown
        places = first_hits(queries, labels, gallery, classes, same=numbers[:, None] == others)
        return dict(zip(self._names, recall_at(places, self.ks), strict=True))


def _part(features: Tensor, facts: Tensor, part: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features, labels and numbers of the queries (0) or the gallery (1), each video once and by its number.

    By number, so that equally near videos come in the same order whatever process saw them.
    """
    features, facts = (values[facts[:, 2] == part] for values in (features, facts))
    order = facts[:, 1].argsort(stable=True)
    numbers = facts[order, 1]
    first = order[numbers.diff(prepend=numbers[:1] - 1) != 0]
    return features[first], facts[first, 0], facts[first, 1]
