"""What the student is trained to do: the interface, and the paper's own objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from refine_motion.models.base import FlowModel
from refine_motion.refine.losses import official_sequence_loss, sequence_loss


@dataclass(frozen=True)
class Batch:
    """Augmented frame pairs and their labels.

    Attributes:
        image_a: ``(B, 3, H, W)``, 0..255.
        image_b: ``(B, 3, H, W)``, 0..255.
        flow: ``(B, 2, H, W)`` pseudo-labels in pixels.
        weight: ``(B, 1, H, W)`` of the labels, 0 where there is none.
    """

    image_a: Tensor
    image_b: Tensor
    flow: Tensor
    weight: Tensor


class Objective(ABC):
    """A loss of one batch."""

    @abstractmethod
    def __call__(self, student: FlowModel, batch: Batch, iters: int, gamma: float) -> tuple[Tensor, Tensor]:
        """Run the student and measure it.

        Args:
            student: in training mode.
            batch: what it is trained on.
            iters: iterations of the student.
            gamma: weight of each earlier iteration relative to the next, in (0, 1].

        Returns:
            The loss, a scalar, and the student's final flow ``(B, 2, H, W)`` in pixels.
        """


class PseudoLabels(Objective):
    """The student reproduces the labels (arXiv 2401.00850); without any rule in the data it is plain self-training.

    Args:
        leaking: take the loss of the published code, whose mask leaks over the batch and whose mean is over all pixels,
            so that the two can be compared.
    """

    def __init__(self, leaking: bool = False):
        self.leaking = leaking

    def __call__(self, student: FlowModel, batch: Batch, iters: int, gamma: float) -> tuple[Tensor, Tensor]:
        """See :class:`Objective`."""
        flows = student.flow_sequence(batch.image_a, batch.image_b, iters)
        loss = official_sequence_loss if self.leaking else sequence_loss
        return loss(flows, batch.flow, batch.weight, gamma), flows[-1]


def over_iterations(losses: Sequence[Tensor], gamma: float) -> Tensor:
    """``sum_i gamma^(I - 1 - i) loss_i``, divided by the sum of these weights, so that gamma does not scale it.

    Args:
        losses: scalars, coarse to fine.
        gamma: in (0, 1].
    """
    weights = [gamma ** (len(losses) - 1 - number) for number in range(len(losses))]
    return sum((w * loss for w, loss in zip(weights, losses, strict=True)), losses[0] * 0) / sum(weights)
