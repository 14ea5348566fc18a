"""The few data types that several rooms share."""

from __future__ import annotations

from dataclasses import dataclass, fields

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
    """

    cycle_error: Tensor
    speed: Tensor
    backward_speed: Tensor
    colour_error: Tensor
    gradient: Tensor
    spread: Tensor
    boundary: Tensor

    def __getitem__(self, index: Tensor) -> Evidence:
        """Evidence of the entries that ``index`` (mask or positions) picks."""
        return Evidence(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device | str) -> Evidence:
        """The same evidence on another device."""
        return Evidence(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


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
