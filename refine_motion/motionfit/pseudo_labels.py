"""Labels that a model gives to videos without any, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from refine_motion.errors import LabelError


@dataclass(frozen=True)
class PseudoLabels:
    """A label of each of M clips or videos.

    Attributes:
        ids: ``(M,)`` int64, a cluster or a class, from 0.
        confidence: ``(M,)`` float32 in 0..1. Of different kinds of labels it means different things, so a threshold
            for one is none for another.
    """

    ids: Tensor
    confidence: Tensor


def posterior_labels(logits: Tensor) -> PseudoLabels:
    """The classes of a classifier themselves, which is plain self-training: the one most probable over all clips.

    Args:
        logits: ``(M, N, K)`` of N clips of each.

    Returns:
        Of several most probable classes the first; as confidence, the mean over the clips of its probability.

    Raises:
        LabelError: a logit is not finite.
    """
    if not logits.isfinite().all():
        raise LabelError("logits are not all finite: the model that made them has diverged; train it anew")
    # In double precision, so that probabilities of thousands of classes add up.
    confidence, ids = logits.detach().double().softmax(dim=-1).mean(dim=1).max(dim=-1)
    return PseudoLabels(ids, confidence.float())
