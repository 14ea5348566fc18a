"""Clusters of features as labels: no class is named, so that videos of any kind can be labelled.

That the paper's labels are clusters is known from one reader's note alone; how they are made is a choice of this
project (``spec/motionfit.md`` 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refine_motion.errors import ConfigError, LabelError
from refine_motion.kmeans import kmeans, nearest
from refine_motion.motionfit.pseudo_labels import PseudoLabels

# A direction with less than this share of the variance of the first is rounding, which whitening would blow up.
_LEAST_VARIANCE = 1e-10


@dataclass(frozen=True)
class ClusterSettings:
    """How features become clusters.

    Attributes:
        count: K, number of clusters.
        components: directions of most variance that are kept (PCA); ``None`` keeps the features as they are.
        whiten: scale each of these to variance 1, so that all count alike.
        seed: of the starts of k-means.
        starts: how many are tried.
        sample: at most so many features, drawn by the seed, are clustered; the others are then taken in.
    """

    count: int = 64
    components: int | None = None
    whiten: bool = True
    seed: int = 0
    starts: int = 10
    sample: int = 200_000

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: there are fewer than 2 clusters, or less than one component or start.
        """
        if self.count < 2:
            raise ConfigError(f"clusters.count must be at least 2, got {self.count}")
        if self.components is not None and self.components < 1:
            raise ConfigError(f"clusters.components must be at least 1, or none, got {self.components}")
        if self.sample < self.count:
            raise ConfigError(f"clusters.sample must be at least clusters.count, {self.count}, got {self.sample}")
        if self.starts < 1:
            raise ConfigError(f"clusters.starts must be at least 1, got {self.starts}")


@dataclass(frozen=True)
class FeatureClusters:
    """Clusters that were found in some features and can take in others.

    A feature gets the same label and confidence whatever else it is asked for with, and whatever the number of threads.

    Attributes:
        centroids: ``(K, P)`` float64, of prepared features.
        mean: ``(D,)`` float64, taken off first; ``None`` without PCA.
        projection: ``(P, D)`` float64, with what whitens in it; ``None`` without PCA, and P is D then.
    """

    centroids: Tensor
    mean: Tensor | None = None
    projection: Tensor | None = None

    def prepared(self, features: Tensor) -> Tensor:
        """Features as they are compared: projected, and scaled to length 1.

        Args:
            features: ``(M, D)``.

        Returns:
            ``(M, P)`` float64 on the CPU. One of length 0 stays as it is.
        """
        return _prepared(features, self.mean, self.projection)

    def assign(self, features: Tensor) -> PseudoLabels:
        """The nearest centroid of each feature.

        Args:
            features: ``(M, D)``.

        Returns:
            As confidence ``1 - nearest / second nearest`` distance: 1 on the centroid, 0 halfway between two.

        Raises:
            LabelError: a feature is not finite.
        """
        ids, away = nearest(self.prepared(_finite(features)), self.centroids, count=2)
        first, second = away.unbind(dim=1)
        confidence = torch.where(second > 0, 1 - first / second, 0.0)
        return PseudoLabels(ids, confidence.float())


def fit_clusters(features: Tensor, settings: ClusterSettings) -> FeatureClusters:
    """Find clusters: PCA where it is asked for, length 1, k-means.

    Args:
        features: ``(M, D)``, of some or all of what will be labelled.
        settings: see :class:`ClusterSettings`.

    Returns:
        Clusters of which each has one of these features at least.

    Raises:
        ConfigError: there are too few different features for so many clusters or components.
        LabelError: a feature is not finite.
    """
    if len(features) > settings.sample:
        generator = torch.Generator().manual_seed(settings.seed)
        # In their order, which clusters of as many as there are keep.
        features = features[torch.randperm(len(features), generator=generator)[: settings.sample].sort().values]
    mean, projection = None, None
    if settings.components is not None:
        mean, projection = _principal(_finite(features), settings.components, settings.whiten)
    prepared = _prepared(_finite(features), mean, projection)
    different = len(prepared.unique(dim=0))
    if different < settings.count:
        raise ConfigError(
            f"clusters.count is {settings.count}, and the {len(features)} features show {different} different ones; "
            "set it lower, or give more videos"
        )
    return FeatureClusters(kmeans(prepared, settings.count, settings.seed, settings.starts), mean, projection)


def _principal(features: Tensor, components: int, whiten: bool) -> tuple[Tensor, Tensor]:
    """Mean and projection of PCA."""
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    most = min(features.shape)
    if components > most:
        raise ConfigError(
            f"clusters.components is {components}, and {len(features)} features of {features.shape[1]} numbers have "
            f"{most} at most; set it lower, or give more videos"
        )
    # Features that are all alike vary by 0 of 0, which is refused below.
    with threadpool_limits(limits=1), np.errstate(invalid="ignore"):
        found = PCA(components, svd_solver="covariance_eigh").fit(features.cpu().double().numpy())
    variance = torch.from_numpy(found.explained_variance_)
    known = int((variance > _LEAST_VARIANCE * variance[0]).sum())
    if not known:
        raise LabelError(
            "all features are alike: the model that made them tells videos apart by nothing; train it longer"
        )
    if known < components:
        raise ConfigError(
            f"clusters.components is {components}, and the features vary in {known} directions; set it to {known} or "
            "lower, or give more videos"
        )
    scale = variance.sqrt() if whiten else torch.ones_like(variance)
    return torch.from_numpy(found.mean_), torch.from_numpy(found.components_) / scale[:, None]


def _prepared(features: Tensor, mean: Tensor | None, projection: Tensor | None) -> Tensor:
    values = features.detach().cpu().double().numpy()
    if mean is not None and projection is not None:
        # By numpy's own loops: matrix products of a library round by the number of rows and threads.
        values = np.einsum("md,pd->mp", values - mean.numpy(), projection.numpy())
    # By the largest part first, as squares of tiny ones are nothing.
    values = _over(values, np.abs(values).max(axis=1))
    return torch.from_numpy(_over(values, np.sqrt(np.einsum("mp,mp->m", values, values))))


def _over(values: NDArray[np.float64], length: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows ``(M, P)`` over their lengths ``(M,)``; zeros where one is 0."""
    return np.divide(values, length[:, None], out=np.zeros_like(values), where=length[:, None] > 0)


def _finite(features: Tensor) -> Tensor:
    wrong = int((~features.isfinite()).any(dim=1).sum())
    if wrong:
        raise LabelError(f"{wrong} of {len(features)} features are not finite; train the teacher again")
    return features
