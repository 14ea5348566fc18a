"""Attention of every cell to all cells: the baseline of the restricted one, in the plainest form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from refine_motion.motion.attention import Attention, at_least_float32, check_features


@dataclass(frozen=True)
class FullAttention(Attention):
    """Each target cell looks at every reference cell; memory is quadratic in the number of cells."""

    def logits(self, target: Tensor, references: Tensor) -> Tensor:
        """See :meth:`refine_motion.motion.attention.Attention.logits`.

        Returns:
            ``(B, h, w, n, h, w)``: the last two axes are (row, column) of the reference cell.
        """
        check_features(target, references)
        return at_least_float32(torch.einsum("bcyx,bncjk->byxnjk", self._scale(target), references))

    def copy(self, weights: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`refine_motion.motion.attention.Attention.copy`."""
        with torch.autocast(weights.device.type, enabled=False):
            return torch.einsum("byxnjk,bnljk->blyx", weights, labels.to(weights.dtype))
