"""What CorrFlow learns from: colours carried through frames, there and back (Lai and Xie, arXiv 1905.00875).

The features of each frame are computed once and serve every link in both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.motion.attention import Attention
from refine_motion.motion.label_maps import ids_to_cells, to_cells, to_pixels

# Keeps the logarithm finite where a colour has no share.
_EPSILON = 1e-8


def colour_cross_entropy(predicted: Tensor, ids: Tensor) -> Tensor:
    """Mean over the pixels of ``-log(share of the true class + 1e-8)``.

    Args:
        predicted: ``(B, L, H, W)`` shares that sum to 1.
        ids: ``(B, H, W)`` int64 in ``0..L - 1``.

    Returns:
        Scalar; ``log L`` for equal shares.
    """
    return -(predicted.gather(1, ids[:, None]) + _EPSILON).log().mean()


def truth_probability(step: int, steps: int, first: float = 0.9, last: float = 0.6) -> float:
    """How likely a frame's true colours are what is carried on, not the colours that were carried to it.

    Scheduled sampling (Bengio et al., NeurIPS 2015, arXiv 1506.03099), linear in the step.

    Args:
        step: of the training, from 0.
        steps: in which the last probability is reached; it stays from then on.
        first: probability at the start.
        last: probability at the end.
    """
    return first + (last - first) * min(step / max(steps, 1), 1.0)


def draw_truth(probability: float, frames: int, seed: int) -> list[bool]:
    """For each frame between the first and the last, whether its true colours are carried on.

    Args:
        probability: see :func:`truth_probability`.
        frames: of the clip.
        seed: of the step, so that the draw does not depend on what was drawn before.
    """
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(frames - 2, generator=generator, dtype=torch.float64) < probability).tolist()


@dataclass(frozen=True)
class Losses:
    """The parts of the loss, scalars.

    Attributes:
        similarity: sum over the frames after the first of the cross-entropy of the colours carried to them.
        cycle: sum over the lengths of the cross-entropy of the first frame's colours, carried there and back; zero
            where it does not count.
        total: what is minimised.
    """

    similarity: Tensor
    cycle: Tensor
    total: Tensor


@dataclass(frozen=True)
class ColourLoss:
    """The loss of a clip.

    Attributes:
        attention: how colours are copied from frame to frame; its ``compat`` says how they come to the cells.
        classes: L, number of colours.
        cycle_weight: weight of the cycle; at 0 it is not computed.
    """

    attention: Attention
    classes: int = 16
    cycle_weight: float = 0.1

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: the weight is negative.
        """
        if not self.cycle_weight >= 0:
            raise ConfigError(f"loss.cycle_weight must be at least 0, got {self.cycle_weight}")

    def __call__(self, features: Tensor, ids: Tensor, truth: Sequence[bool]) -> Losses:
        """The loss; gradients flow through every link of a chain.

        Args:
            features: ``(B, n, C, h, w)`` of n frames, at least 2.
            ids: ``(B, n, H, W)`` int64, the true colours of every pixel.
            truth: of length ``n - 2``, see :func:`draw_truth`.

        Raises:
            ValueError: the shapes or lengths do not fit together.
        """
        frames = features.shape[1]
        if features.shape[:2] != ids.shape[:2] or frames < 2 or len(truth) != frames - 2:
            raise ValueError(
                f"features {tuple(features.shape)}, ids {tuple(ids.shape)} and {len(truth)} choices do not fit "
                "together: of n frames, at least 2, n - 2 are chosen for"
            )
        forward = self._links(features[:, 1:], features[:, :-1])
        similarity = self._similarity(forward, ids, truth)
        if self.cycle_weight == 0:
            return Losses(similarity, similarity.new_zeros(()), similarity)
        cycle = self._cycle(forward, self._links(features[:, :-1], features[:, 1:]), ids)
        return Losses(similarity, cycle, similarity + self.cycle_weight * cycle)

    def _links(self, targets: Tensor, references: Tensor) -> tuple[Tensor, ...]:
        """Attention weights of each neighbouring pair of frames in one direction."""
        weights = self.attention.weights(targets.flatten(0, 1), references.flatten(0, 1)[:, None])
        return weights.unflatten(0, targets.shape[:2]).unbind(dim=1)

    def _similarity(self, forward: Sequence[Tensor], ids: Tensor, truth: Sequence[bool]) -> Tensor:
        carried = self._first(forward[0], ids[:, 0])
        losses = [colour_cross_entropy(carried, ids[:, 1])]
        for number, (weights, given) in enumerate(zip(forward[1:], truth, strict=True), start=1):
            carried = self._first(weights, ids[:, number]) if given else self._onward(weights, carried)
            losses.append(colour_cross_entropy(carried, ids[:, number + 1]))
        return torch.stack(losses).sum()

    def _cycle(self, forward: Sequence[Tensor], backward: Sequence[Tensor], ids: Tensor) -> Tensor:
        """Only the first frame's colours are given."""
        losses = []
        carried = self._first(forward[0], ids[:, 0])
        for length in range(1, len(forward) + 1):
            if length > 1:
                carried = self._onward(forward[length - 1], carried)
            returned = carried
            for weights in reversed(backward[:length]):
                returned = self._onward(weights, returned)
            losses.append(colour_cross_entropy(returned, ids[:, 0]))
        return torch.stack(losses).sum()

    def _first(self, weights: Tensor, ids: Tensor) -> Tensor:
        """True colours ``(B, H, W)`` of one frame, carried to every pixel of the next: ``(B, L, H, W)``."""
        labels = ids_to_cells(ids, _size(weights), self.classes, compat=self.attention.compat)
        return self._enlarged(weights, labels, ids.shape[-2:])

    def _onward(self, weights: Tensor, carried: Tensor) -> Tensor:
        """Colours that were carried to every pixel of a frame, carried to those of the next."""
        # By the pixels, as published: what was copied to the cells was enlarged, and is read at the cells again.
        return self._enlarged(weights, to_cells(carried, _size(weights)), carried.shape[-2:])

    def _enlarged(self, weights: Tensor, labels: Tensor, size: Sequence[int]) -> Tensor:
        return to_pixels(self.attention.copy(weights, labels[:, None]), (size[0], size[1]))


def _size(weights: Tensor) -> tuple[int, int]:
    """Rows and columns of the cells."""
    return weights.shape[1], weights.shape[2]
