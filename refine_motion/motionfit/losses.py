"""The multi-clip loss, by which several clips of a video are classified together.

The paper names it and says no more in what is known of it (Gavrilyuk et al., ICCV 2021, arXiv 2105.01646); all three
kinds are choices of this project.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from refine_motion.errors import ConfigError


@dataclass(frozen=True)
class MultiClipLoss:
    """Cross-entropy of N clips a video against the label of the video; that of one clip is plain cross-entropy.

    Attributes:
        kind: ``consensus``, the cross-entropy of the mean logits: what the clips say together has to be right.
            ``mean``, the mean of each clip's cross-entropy: every clip has to be right alone. It is never less than
            the other (Jensen). ``both``, a mixture.
        mean_share: of ``mean`` in ``both``, 0..1; ``consensus`` has the rest.
    """

    kind: Literal["consensus", "mean", "both"] = "consensus"
    mean_share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: the kind is unknown, or the share is beyond 0..1.
        """
        if self.kind not in ("consensus", "mean", "both"):
            raise ConfigError(f"loss.kind must be consensus, mean or both, got {self.kind!r}")
        if not 0 <= self.mean_share <= 1:
            raise ConfigError(f"loss.mean_share must be in 0..1, got {self.mean_share}")

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """The mean over the videos.

        Args:
            logits: ``(B, N, K)`` of N clips of each video, in any order.
            labels: ``(B,)`` int64 in ``0..K - 1``.
            weights: ``(B,)``, at least 0: each video's loss is multiplied by its own, e.g. by how sure its label is.
                The sum is divided by B and not by theirs, so that shares of a batch add up to the batch.

        Returns:
            Scalar.

        Raises:
            ValueError: the shapes do not fit together.
        """
        if (
            logits.ndim != 3
            or labels.shape != logits.shape[:1]
            or (weights is not None and weights.shape != labels.shape)
        ):
            found = "no weights" if weights is None else f"weights {tuple(weights.shape)}"
            raise ValueError(
                f"logits must be (B, N, K), labels and weights (B,); got {tuple(logits.shape)}, {tuple(labels.shape)} "
                f"and {found}"
            )
        losses = self._losses(logits, labels)
        return losses.mean() if weights is None else (losses * weights).mean()

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """``(B,)``."""
        if self.kind == "consensus":
            return _consensus(logits, labels)
        if self.kind == "mean":
            return _mean(logits, labels)
        return _consensus(logits, labels).lerp(_mean(logits, labels), self.mean_share)


def _consensus(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.mean(dim=1), labels, reduction="none")


def _mean(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.transpose(1, 2), labels[:, None].expand(logits.shape[:2]), reduction="none").mean(1)
