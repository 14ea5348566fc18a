from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.refine.baselines import CycleLoss, WarpLoss, smoothness
from refine_motion.refine.losses import official_sequence_loss, sequence_loss
from refine_motion.refine.objectives import Batch, Objective, PseudoLabels, over_iterations

SHIFT = 3.0


class Shifting:
    """A student of one parameter: everything moves right by it, and back by what it is told."""

    def __init__(self, shift: float, back: float | None = None):
        self.shift = torch.tensor(shift, dtype=torch.float64, requires_grad=True)
        self.back = -self.shift if back is None else torch.tensor(back, dtype=torch.float64, requires_grad=True)
        self.first: Tensor | None = None

    def flow_sequence(self, a: Tensor, b: Tensor, iters: int) -> list[Tensor]:
        # The first call of a step is the way there.
        if self.first is None:
            self.first = a
        value = self.shift if a is self.first else self.back
        flow = torch.stack((value.expand(a.shape[-2:]), 0 * value.expand(a.shape[-2:])))[None]
        return [flow + 1, flow] if iters == 2 else [flow]

    def flow(self, a: Tensor, b: Tensor, iters: int) -> Tensor:
        return self.flow_sequence(a, b, iters)[-1]


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 8, 16, generator=generator, dtype=torch.float64)
    b = torch.nn.functional.interpolate(coarse, (32, 64), mode="bicubic").clamp(0, 1) * 255
    # Cut, so that nothing comes round.
    return Batch(b.roll(-3, dims=-1)[..., 4:-4], b[..., 4:-4], torch.zeros(1, 2, 32, 56), torch.zeros(1, 1, 32, 56))


def loss_of(objective: Objective, student: Any, iters: int = 1) -> Tensor:
    return objective(student, batch(), iters, 0.8)[0]


@pytest.mark.parametrize("photometric", ["l1", "census"])
def test_warping_is_without_error_at_the_true_motion_and_pulls_towards_it(photometric: str) -> None:
    objective = WarpLoss(photometric, smoothness=0.0, occlusion=False)
    # But at the edge, which is continued by its last pixel.
    assert loss_of(objective, Shifting(SHIFT)) < 0.005
    for shift, sign in ((SHIFT - 0.7, -1), (SHIFT + 0.7, 1)):
        student = Shifting(shift)
        loss = loss_of(objective, student)
        assert loss > 0.01
        loss.backward()
        assert student.shift.grad is not None
        assert sign * student.shift.grad > 0


def test_labels_do_not_matter_to_the_baselines() -> None:
    for objective in (WarpLoss(), WarpLoss("census"), CycleLoss()):
        losses = []
        for weight in (0.0, 1.0):
            given = batch()
            given = Batch(given.image_a, given.image_b, given.flow + 7, given.weight + weight)
            losses.append(objective(Shifting(2.0), given, 1, 0.8)[0].item())  # type: ignore[arg-type]
        assert losses[0] == losses[1]


def test_what_is_hidden_has_no_photometric_loss() -> None:
    # The ways contradict one another everywhere: nothing is left to compare.
    student = Shifting(SHIFT - 1.0, back=9.0)
    assert loss_of(WarpLoss(smoothness=0.0), student) == 0
    assert loss_of(WarpLoss(smoothness=0.0, occlusion=False), Shifting(SHIFT - 1.0, back=9.0)) > 0


def test_smoothness_by_hand() -> None:
    flow = torch.zeros(1, 2, 4, 5, dtype=torch.float64)
    image = torch.zeros(1, 3, 4, 5, dtype=torch.float64)
    assert smoothness(flow + 3.0, image) == 0
    flow[:, 0, :, 2:] = 6.0  # One step of 6 px in one of two channels, at one of 4 places along x.
    assert smoothness(flow, image).item() == pytest.approx(6.0 / 2 / 4)
    image[..., 2:] = 25.5  # An edge of a tenth at the same place.
    assert smoothness(flow, image).item() == pytest.approx(6.0 / 2 / 4 * 0.36787944, rel=1e-5)
    turned = smoothness(flow.transpose(-1, -2), image.transpose(-1, -2))
    assert turned.item() == pytest.approx(smoothness(flow, image).item())


def test_the_cycle_loss_is_zero_for_opposite_ways_and_both_are_trained() -> None:
    assert loss_of(CycleLoss(), Shifting(2.0, back=-2.0)) == 0
    student = Shifting(2.0, back=-1.0)
    loss = loss_of(CycleLoss(), student)
    assert loss.item() == pytest.approx(0.5, rel=0.1)  # One pixel on one of two axes; less where it leaves the frame.
    loss.backward()
    assert student.shift.grad is not None
    assert student.back.grad is not None
    assert student.shift.grad > 0
    assert student.back.grad > 0


def test_pseudo_labels_are_the_sequence_loss_of_either_kind() -> None:
    given = batch()
    given = Batch(given.image_a, given.image_b, given.flow + 1.5, given.weight + 1)
    flows = Shifting(2.0).flow_sequence(given.image_a, given.image_b, 2)
    for leaking, loss in ((False, sequence_loss), (True, official_sequence_loss)):
        found, flow = PseudoLabels(leaking)(Shifting(2.0), given, 2, 0.8)  # type: ignore[arg-type]
        assert found.item() == pytest.approx(loss(flows, given.flow, given.weight, 0.8).item())
        assert torch.equal(flow, flows[-1])


def test_iterations_are_weighted_and_gamma_does_not_scale() -> None:
    losses = [torch.tensor(3.0), torch.tensor(1.0)]
    assert over_iterations(losses, 0.5).item() == pytest.approx((0.5 * 3 + 1) / 1.5)
    assert over_iterations([torch.tensor(2.0)] * 5, 0.3).item() == pytest.approx(2.0)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="photometric"):
        WarpLoss("ssim")
    with pytest.raises(ConfigError, match="smoothness"):
        WarpLoss(smoothness=-1.0)
