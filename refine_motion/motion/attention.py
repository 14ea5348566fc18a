"""Copying labels between frames by attention: what its restricted and its full form have in common.

"Self-supervised Learning for Video Correspondence Flow", Lai and Xie, BMVC 2019, arXiv 1905.00875; several references
in one softmax as in MAST, Lai et al., CVPR 2020, arXiv 2002.07793; the best k as in "Space-Time Correspondence as a
Contrastive Random Walk", Jabri et al., NeurIPS 2020, arXiv 2006.14613.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.motion.compat import FIXED, Compat


@dataclass(frozen=True)
class Attention(ABC):
    """Each cell of a target frame looks at cells of one or several reference frames and copies their labels.

    Attributes:
        temperature: the logits are divided by it.
        top_k: only so many candidates of a cell, over all references, count; None for all.
        compat: rules of the official code, or right ones.
    """

    temperature: float = 1.0
    top_k: int | None = None
    compat: Compat = FIXED

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: the temperature is not positive, or no candidate would count.
        """
        if not self.temperature > 0:
            raise ConfigError(f"attention.temperature must be above 0, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"attention.top_k must be at least 1, or null for all, got {self.top_k}")

    @abstractmethod
    def logits(self, target: Tensor, references: Tensor) -> Tensor:
        """How well each target cell fits each of its candidates.

        Args:
            target: ``(B, C, h, w)`` features.
            references: ``(B, n, C, h, w)`` features of n reference frames.

        Returns:
            ``(B, h, w, n, J, K)``, float32 or wider; the last two axes are the candidates' places. The products are
            taken in autocast's type where it is on.

        Raises:
            ValueError: the shapes do not fit together.
        """

    @abstractmethod
    def copy(self, weights: Tensor, labels: Tensor) -> Tensor:
        """The references' labels, brought to the target's cells.

        Args:
            weights: of :meth:`weights`.
            labels: ``(B, n, L, h, w)``, one map for each reference, float.

        Returns:
            ``(B, L, h, w)`` in the type of the weights: sums of labels, so that distributions stay distributions.
        """

    def weights(self, target: Tensor, references: Tensor) -> Tensor:
        """The share that each candidate has in a target cell: one softmax over all references.

        Args:
            target: ``(B, C, h, w)`` features.
            references: ``(B, n, C, h, w)`` features of n reference frames.

        Returns:
            ``(B, h, w, n, J, K)``, float32 or wider, the last three axes summing to 1.

        Raises:
            ValueError: the shapes do not fit together.
        """
        return self._softmax(self.logits(target, references))

    def attend(self, target: Tensor, references: Tensor, labels: Tensor) -> Tensor:
        """:meth:`weights` and :meth:`copy` in one, for weights that are used once.

        Args:
            target: ``(B, C, h, w)`` features.
            references: ``(B, n, C, h, w)`` features of n reference frames.
            labels: ``(B, n, L, h, w)``.

        Returns:
            ``(B, L, h, w)``.

        Raises:
            ValueError: the shapes do not fit together.
        """
        return self.copy(self.weights(target, references), labels)

    def _scale(self, target: Tensor) -> Tensor:
        """The target's features such that their dot products are the logits."""
        channels = target.shape[1] if self.compat.scaled else 1
        return target * (channels**-0.5 / self.temperature)

    def _softmax(self, logits: Tensor) -> Tensor:
        candidates = logits.flatten(3)
        if self.top_k is None or self.top_k >= candidates.shape[-1]:
            return candidates.softmax(dim=-1).view_as(logits)
        best, place = candidates.topk(self.top_k, dim=-1)
        return torch.zeros_like(candidates).scatter(-1, place, best.softmax(dim=-1)).view_as(logits)


def check_features(target: Tensor, references: Tensor) -> None:
    """Refuse features that do not fit together.

    Raises:
        ValueError: they are not ``(B, C, h, w)`` and ``(B, n, C, h, w)``.
    """
    if references.ndim != 5 or target.shape != references[:, 0].shape:
        raise ValueError(
            "features must be (B, C, h, w) of the target and (B, n, C, h, w) of the references, got "
            f"{tuple(target.shape)} and {tuple(references.shape)}"
        )


def at_least_float32(values: Tensor) -> Tensor:
    """The values in float32, or as they are where they are wider."""
    return values if values.dtype == torch.float64 else values.float()
