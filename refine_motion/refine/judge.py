"""Errors of models on held-out material that need no ground truth, and how much lower one model's are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refine_motion.refine.gain import Errors, Gain, gain

Sums = NDArray[np.float64]
Model = TypeVar("Model")

# What counts for the gain, and its weight. The labels say most, as they come from more views than a model has; but they
# come from the teacher, and how frames look does not.
LABELS, LOOK = "labels", "census"
KINDS: Mapping[str, float] = {LABELS: 0.6, LOOK: 0.4}
# Measured beside them: the original chose its labels by just this error, and so looks better in it than it is. Of nine
# candidates the one with the lowest true error had a cycle error a third above the original's.
CYCLE = "cycle"
# Distance from the labels where they move against the dominant motion: what the many others could hide.
MOVING = "moving"
# A frame has so many rows and columns of blocks, in which errors are summed.
_BLOCKS = 8


class Judge(ABC, Generic[Model]):
    """Compares models with the original one on some held-out items, all by places that the original model chose.

    Args:
        units: of each item, what it shares frames with, under one name in all judges.
        floors: of each kind of error, a difference that is nothing.

    Attributes:
        weights: of each kind, how many places were summed, ``(P, B)``.
        original: of each kind, the sums of the original's errors.
    """

    weights: Mapping[str, Sums]
    original: Mapping[str, Sums]

    def __init__(self, units: Sequence[Hashable], floors: Mapping[str, float]):
        self.units, self.floors = list(units), floors

    @abstractmethod
    def errors(self, model: Model) -> Mapping[str, Sums]:
        """Sum of every kind of error in each block of each item, ``(P, B)``."""

    @abstractmethod
    def moving_share(self, pixels: float) -> float:
        """Share of the labels that move by more than this from frame to frame; 1 where there are none."""

    def gain(self, errors: Mapping[str, Sums], kinds: Mapping[str, float] = KINDS) -> Gain | None:
        """How much lower a model's errors are than the original's.

        Args:
            errors: of the model.
            kinds: what counts and how much.

        Returns:
            None where there is too little to tell.
        """
        return joint_gain([(self, errors)], kinds)

    def mean(self, errors: Mapping[str, Sums], kind: str) -> float:
        """Mean error over all places that count."""
        return float(errors[kind].sum() / max(self.weights[kind].sum(), 1))

    def summed(self, items: Sequence[Mapping[str, tuple[Tensor, Tensor, Tensor]]]) -> dict[str, Sums]:
        """Sums by kind, ``(P, B)``.

        Args:
            items: of each kind, values, which of them count, and the block of each (of :func:`block_of`), all of one
                shape.
        """
        return {
            kind: np.stack([_sums(*item[kind]) for item in items]) if items else np.zeros((0, _BLOCKS**2))
            for kind in self.floors
        }


def joint_gain(
    found: Sequence[tuple[Judge[Any], Mapping[str, Sums]]], kinds: Mapping[str, float] = KINDS
) -> Gain | None:
    """How much lower a model's errors are than the original's, by several judges together.

    Args:
        found: judges over different items, or different places in the same ones, and the model's errors by each.
        kinds: what counts and how much.

    Returns:
        None where there is too little to tell.
    """
    units = [unit for judge, _ in found for unit in judge.units]
    if not units:
        return None
    order = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
    parts = []
    for kind, share in kinds.items():
        original, other, weight = (
            np.concatenate([sums[kind] for sums in of_each])
            for of_each in (
                [judge.original for judge, _ in found],
                [errors for _, errors in found],
                [judge.weights for judge, _ in found],
            )
        )
        parts.append((share, Errors(original, other, weight, found[0][0].floors[kind])))
    return gain(parts, [order[unit] for unit in units])


def block_of(xy: Tensor, size: tuple[int, int]) -> Tensor:
    """Number of the block of a frame ``(H, W)`` in which places ``(..., 2)`` lie; int64 ``(...)``."""
    x, y = (
        (values * _BLOCKS / side).floor().long().clamp(0, _BLOCKS - 1)
        for values, side in zip(xy.unbind(dim=-1), (size[1], size[0]), strict=True)
    )
    return y * _BLOCKS + x


def _sums(errors: Tensor, mask: Tensor, block: Tensor) -> Any:
    counted = torch.where(mask, errors, 0).double().flatten()
    return torch.zeros(_BLOCKS**2, dtype=torch.float64).index_add_(0, block.flatten(), counted).numpy()
