"""The few data types that several rooms share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Evidence:
    """What is known, without ground truth, about each stored displacement. All fields share one shape.

    Attributes:
        cycle_error: ``|f(x) + b(x + f(x))|`` in pixels, the forward-backward residual.
        speed: ``|f(x)|`` in pixels.
        backward_speed: ``|b(x)|`` in pixels, at ``x`` itself (not warped), as the paper's rule wants it.
        colour_error: mean absolute colour difference between ``x`` and ``x + f(x)``, grey levels of 255.
        gradient: image gradient magnitude at ``x``, grey levels per pixel (low where motion is ambiguous).
        spread: distance in pixels between the views of the teacher that ``f`` is the mean of; 0 where it had one view.
        boundary: 1 near a motion boundary, 0 elsewhere; see :func:`refine_motion.motion.boundary.near_boundary`.
        embedding_error: distance in pixels from where an embedding finds the best match; see
            :func:`refine_motion.motion.embedding.embedding_error`. None where no embedding was asked.
    """

    cycle_error: Tensor
    speed: Tensor
    backward_speed: Tensor
    colour_error: Tensor
    gradient: Tensor
    spread: Tensor
    boundary: Tensor
    embedding_error: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Evidence:
        """The same change of every field that there is."""
        changed: dict[str, Any] = {n: None if values is None else change(values) for n, values in vars(self).items()}
        return Evidence(**changed)

    def __getitem__(self, index: Tensor) -> Evidence:
        """Evidence of the entries that ``index`` (mask or positions) picks."""
        return self.map(lambda values: values[index])

    def joined(self, other: Evidence) -> Evidence:
        """These entries ``(N,)`` and then those of another, in the fields that both have."""
        both: dict[str, Any] = {
            name: None if mine is None or theirs is None else torch.cat((mine, theirs))
            for (name, mine), theirs in zip(vars(self).items(), vars(other).values(), strict=True)
        }
        return Evidence(**both)

    def to(self, device: torch.device | str) -> Evidence:
        """The same evidence on another device."""
        return self.map(lambda values: values.to(device))


@dataclass(frozen=True)
class Tracks:
    """Points followed through a clip.

    Attributes:
        xy: ``(T, N, 2)`` float32, x and y in pixels; not a number in frames before a point's query.
        visible: ``(T, N)`` bool, True where the point is seen.
        confidence: ``(T, N)`` float32 in 0..1, of an estimate; see :func:`refine_motion.motion.confidence.confidence`.
        cycle_error: ``(T, N)`` float32, of an estimate: how far apart the ways there and back were in the step that led
            to this frame, in pixels.
    """

    xy: Tensor
    visible: Tensor
    confidence: Tensor | None = None
    cycle_error: Tensor | None = None
