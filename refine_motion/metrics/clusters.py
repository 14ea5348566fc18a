"""How clusters agree with classes, as torchmetrics classes over the pure functions of :mod:`.functional.clusters`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.clustering import NormalizedMutualInfoScore

from refine_motion.metrics.functional.clusters import cluster_table, purity


class ClusterPurity(Metric):
    """Purity; see :func:`.functional.clusters.purity`. The state is counts, so several processes give what one gives.

    Args:
        clusters: K, their number.
        classes: C, their number.

    >>> metric = ClusterPurity(clusters=2, classes=3)
    >>> metric.update(torch.tensor([0, 0, 1, 1]), torch.tensor([2, 2, 0, 1]))
    >>> metric.compute().item()
    0.75
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    table: Tensor

    def __init__(self, clusters: int, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("table", torch.zeros(clusters, classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, clusters: Tensor, classes: Tensor) -> None:
        """Take in the cluster and the true class of some members: ``(M,)`` int64 each, from 0."""
        size = (self.table.shape[0], self.table.shape[1])
        self.table += cluster_table(clusters, classes, size).to(self.table.device)

    def compute(self) -> Tensor:
        """Scalar float64 in 0..1; not a number where there is no member."""
        return purity(self.table)


def cluster_metrics(clusters: int, classes: int) -> MetricCollection:
    """``nmi``, normalised mutual information by the mean of both entropies (torchmetrics' own), and ``purity``.

    Args:
        clusters: K, their number.
        classes: C, their number.
    """
    return MetricCollection({"nmi": NormalizedMutualInfoScore(), "purity": ClusterPurity(clusters, classes)})
