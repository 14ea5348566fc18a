"""Self-supervision that needs no pseudo-label: what the paper compares itself with (arXiv 2401.00850, section 5).

Neither formulas nor weights of its baselines are published; these are the common ones of the field.
"""

from __future__ import annotations

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.models.base import FlowModel, FrameFeatures
from refine_motion.motion.census import census_error
from refine_motion.motion.cycle import cycle_error, cycle_threshold
from refine_motion.motion.grid import in_bounds, length, warp
from refine_motion.refine.losses import sample_mean
from refine_motion.refine.objectives import Batch, Objective, over_iterations

PHOTOMETRIC = ("l1", "census")
# UnFlow's rule for what is hidden in the other frame.
_ALPHA, _BETA = 0.01, 0.5
# Of colour differences between 0 and 1: an edge of a tenth of the range lets a third of the smoothness through.
_EDGE = 10.0


class WarpLoss(Objective):
    """Brightness or census constancy with edge-aware smoothness (UnFlow, Meister et al., AAAI 2018; UFlow; ARFlow).

    The loss is taken of every iteration's flow. Where the student's own final flows, there and back, contradict one
    another, a pixel counts as hidden and has no photometric loss.

    Args:
        photometric: ``l1``, the mean colour difference between 0 and 1, or ``census``.
        smoothness: weight of the smoothness; flow is measured in pixels there.
        occlusion: leave hidden pixels out; it takes the student's iterations a second time.

    Raises:
        ConfigError: an unknown kind, or a negative weight.
    """

    def __init__(self, photometric: str = "l1", smoothness: float = 0.05, occlusion: bool = True):
        if photometric not in PHOTOMETRIC or smoothness < 0:
            raise ConfigError(
                f"WarpLoss: photometric must be one of {', '.join(PHOTOMETRIC)} and smoothness not negative, "
                f"got {photometric!r} and {smoothness}"
            )
        self.photometric, self.smoothness, self.occlusion = photometric, smoothness, occlusion

    def __call__(self, student: FlowModel, batch: Batch, iters: int, gamma: float) -> tuple[Tensor, Tensor]:
        """See :class:`~refine_motion.refine.objectives.Objective`; labels are not looked at."""
        a, b = batch.image_a, batch.image_b
        features_a, features_b = _encode(student, a, b)
        flows = student.match(features_a, features_b, iters)
        final = flows[-1].detach()
        seen = in_bounds(final)
        if self.occlusion:
            with torch.no_grad():
                back = student.match(features_b, features_a, iters)[-1]
            threshold = cycle_threshold(length(final), length(back), _ALPHA, _BETA)
            seen = seen & (cycle_error(final, back) <= threshold)
        with torch.autocast(a.device.type, enabled=False):
            losses = [
                sample_mean(self._errors(a, b, flow), seen) + self.smoothness * smoothness(flow, a) for flow in flows
            ]
        return over_iterations(losses, gamma), flows[-1]

    def _errors(self, a: Tensor, b: Tensor, flow: Tensor) -> Tensor:
        if self.photometric == "census":
            return census_error(a, b, flow)
        return (warp(b.to(flow), flow, "border") - a).abs().mean(dim=1) / 255


class CycleLoss(Objective):
    """The way there and back should end where it began; both ways are trained.

    Every iteration of the forward flow is measured against the final backward flow, where it stays in the frame.
    """

    def __call__(self, student: FlowModel, batch: Batch, iters: int, gamma: float) -> tuple[Tensor, Tensor]:
        """See :class:`~refine_motion.refine.objectives.Objective`; labels are not looked at."""
        features_a, features_b = _encode(student, batch.image_a, batch.image_b)
        flows = student.match(features_a, features_b, iters)
        back = student.match(features_b, features_a, iters)[-1]
        with torch.autocast(back.device.type, enabled=False):
            # By axis, as the other losses: the length has no gradient where the cycle closes.
            losses = [
                sample_mean((flow + warp(back, flow)).abs().mean(dim=1), in_bounds(flow.detach())) for flow in flows
            ]
        return over_iterations(losses, gamma), flows[-1]


def _encode(student: FlowModel, a: Tensor, b: Tensor) -> tuple[FrameFeatures, FrameFeatures]:
    """Features of both frames of each pair, for both ways."""
    features = student.encode(torch.cat((a, b)))
    return features[: len(a)], features[len(a) :]


def smoothness(flow: Tensor, image: Tensor) -> Tensor:
    """Mean first difference of the flow along both axes, each times ``exp(-10 |difference of the image|)``.

    Args:
        flow: ``(B, 2, H, W)`` in pixels.
        image: ``(B, 3, H, W)``, 0..255, whose edges may be edges of the flow.

    Returns:
        Scalar, in pixels.
    """
    total = flow.new_zeros(())
    for axis in (-1, -2):
        step = flow.diff(dim=axis).abs().mean(dim=1)
        edge = (image.to(flow) / 255).diff(dim=axis).abs().mean(dim=1)
        total = total + (step * torch.exp(-_EDGE * edge)).mean()
    return total
