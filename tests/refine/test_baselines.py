from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.models.base import FlowModel
from refine_motion.models.load import load_model
from refine_motion.motion.cycle import cycle_error
from refine_motion.motion.grid import in_bounds
from refine_motion.refine.baselines import CycleLoss, WarpLoss, smoothness
from refine_motion.refine.losses import official_sequence_loss, sequence_loss
from refine_motion.refine.objectives import Batch, Objective, PseudoLabels, over_iterations

SHIFT = 3.0


class Told:
    """A student that says what it is told: flows there, one per iteration, and one flow back."""

    def __init__(self, there: list[Tensor], back: Tensor):
        self.there, self.back = there, back
        self.first: Tensor | None = None

    def encode(self, frames: Tensor) -> Tensor:
        self.first = None
        return frames

    def match(self, a: Tensor, b: Tensor, iters: int) -> list[Tensor]:
        # The first call of a step is the way there.
        if self.first is None:
            self.first = a
        return self.there if a is self.first else [self.back] * len(self.there)

    def flow_sequence(self, a: Tensor, b: Tensor, iters: int) -> list[Tensor]:
        return self.there


class Shifting(Told):
    """A student of one parameter: everything moves right by it, and back by what it is told."""

    def __init__(self, shift: float, back: float | None = None, earlier: tuple[float, ...] = ()):
        self.shift = torch.tensor(shift, dtype=torch.float64, requires_grad=True)
        self.backshift = -self.shift if back is None else torch.tensor(back, dtype=torch.float64, requires_grad=True)
        super().__init__([right(self.shift + off) for off in (*earlier, 0.0)], right(self.backshift))


def right(value: Tensor | float, height: int = 32, width: int = 56) -> Tensor:
    x = torch.as_tensor(value, dtype=torch.float64).expand(height, width)
    return torch.stack((x, 0 * x))[None]


def texture(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 8, 16, generator=generator, dtype=torch.float64)
    return torch.nn.functional.interpolate(coarse, (32, 64), mode="bicubic").clamp(0, 1) * 255


def batch() -> Batch:
    b = texture()
    # Cut, so that nothing comes round.
    return unlabelled(b.roll(-3, dims=-1)[..., 4:-4], b[..., 4:-4])


def unlabelled(a: Tensor, b: Tensor) -> Batch:
    return Batch(a, b, torch.zeros_like(a[:, :2]), torch.zeros_like(a[:, :1]))


def loss_of(objective: Objective, student: Any, given: Batch | None = None, gamma: float = 0.8) -> Tensor:
    given = batch() if given is None else given
    return objective(student, given, len(student.there), gamma)[0]


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


def test_brightness_constancy_by_hand() -> None:
    # Colours differ by 51 of 255 everywhere, whatever moves; the flow is constant.
    given = unlabelled(torch.full((2, 3, 8, 8), 100.0), torch.full((2, 3, 8, 8), 151.0))
    student = Told([right(0.5, 8, 8).repeat(2, 1, 1, 1)], right(-0.5, 8, 8).repeat(2, 1, 1, 1))
    assert loss_of(WarpLoss(), student, given).item() == pytest.approx(0.2)


@pytest.mark.parametrize("photometric", ["l1", "census"])
def test_what_is_hidden_or_outside_has_no_photometric_loss(photometric: str) -> None:
    # Both ways agree in the left half alone, and the last 3 columns leave the frame.
    back = right(-SHIFT)
    back[..., 28:] = 0.0
    objective = WarpLoss(photometric, smoothness=0.0)
    given = batch()
    before = loss_of(objective, Told([right(SHIFT)], back), given)
    assert before < 1e-6
    changed = given.image_b.clone()
    # 3 columns further on, and as far as the census and the interpolation reach.
    changed[..., 28 + 3 :] = 255 - changed[..., 28 + 3 :]
    other = unlabelled(given.image_a, changed)
    visible = loss_of(WarpLoss(photometric, smoothness=0.0, occlusion=False), Told([right(SHIFT)], back), other)
    assert visible > 0.05
    reach = {"l1": 1e-6, "census": visible.item() / 4}
    assert loss_of(objective, Told([right(SHIFT)], back), other) < reach[photometric]


def test_what_leaves_the_frame_has_no_photometric_loss_even_where_both_ways_agree() -> None:
    given = batch()
    # Outside the frame the way back reads as zero, with which a short way there agrees.
    for shift, back in ((SHIFT, -SHIFT), (0.4, 0.0)):
        changed = given.image_a.clone()
        changed[..., -1:] = 255 - changed[..., -1:]
        for occlusion in (False, True):
            objective, student = WarpLoss(smoothness=0.0, occlusion=occlusion), Told([right(shift)], right(back))
            loss = loss_of(objective, student, given).item()
            assert loss_of(objective, student, unlabelled(changed, given.image_b)).item() == pytest.approx(loss)


def test_hidden_is_what_breaks_the_rule_of_unflow() -> None:
    # Lengths 10 and 10 + e allow 0.01 x (20 + e) + 0.5 pixels, which is 0.7071 at most.
    for error, counts in ((0.704, True), (0.710, False)):
        loss = loss_of(WarpLoss(smoothness=0.0), Shifting(10.0, back=-10.0 - error))
        assert (loss > 0) == counts


def test_hiding_has_no_gradient() -> None:
    student = Shifting(SHIFT - 0.5, back=-SHIFT)
    loss_of(WarpLoss(), student).backward()
    assert student.shift.grad is not None
    assert student.backshift.grad is None


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


def test_smoothness_counts_by_its_weight_and_by_the_edges_of_the_first_frame() -> None:
    given = batch()
    flow = torch.rand(1, 2, 32, 56, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    bare, rough = (loss_of(WarpLoss(smoothness=s), Told([flow], -flow), given) for s in (0.0, 2.0))
    assert (rough - bare).item() == pytest.approx(2 * smoothness(flow, given.image_a).item())
    assert smoothness(flow, given.image_a).item() != pytest.approx(smoothness(flow, given.image_b).item())


def test_the_cycle_loss_is_zero_for_opposite_ways_and_both_are_trained() -> None:
    assert loss_of(CycleLoss(), Shifting(2.0, back=-2.0)) == 0
    student = Shifting(2.0, back=-1.0)
    loss = loss_of(CycleLoss(), student)
    assert loss.item() == pytest.approx(0.5)  # One pixel on one of two axes, wherever it stays in the frame.
    loss.backward()
    assert student.shift.grad is not None
    assert student.backshift.grad is not None
    assert student.shift.grad > 0
    assert student.backshift.grad > 0


def test_the_cycle_closes_where_the_way_back_is_read_at_the_far_end() -> None:
    # What moves by x / 4 from x has come from 4 x / 5, so that the way back from y is -y / 5.
    x = torch.arange(56, dtype=torch.float64).expand(32, 56)
    there, back = (torch.stack((way, 0 * way))[None] for way in (x / 4, -x / 5))
    assert loss_of(CycleLoss(), Told([there], back)) < 1e-9
    assert (cycle_error(there, back)[in_bounds(there)] < 1e-9).all()


def test_an_iteration_that_leaves_the_frame_sees_its_edge_where_the_final_flow_stays() -> None:
    plain = torch.full((1, 3, 32, 56), 200.0, dtype=torch.float64)
    student = Told([right(100.0), right(0.0)], right(0.0))
    assert loss_of(WarpLoss(), student, unlabelled(plain, plain)) < 1e-9


def test_an_iteration_counts_for_the_cycle_where_it_stays_in_the_frame_itself() -> None:
    at_rest, away = right(0.0), right(100.0)
    assert loss_of(CycleLoss(), Told([away, at_rest], at_rest)) == 0
    # One pixel on one of two axes, at the first of two iterations.
    found = loss_of(CycleLoss(), Told([right(1.0), away], at_rest), gamma=0.5).item()
    assert found == pytest.approx(0.5 * 0.5 / 1.5)


@pytest.mark.parametrize("objective", [WarpLoss(smoothness=0.1), WarpLoss("census", 0.1), CycleLoss()])
def test_gradient_in_float64(objective: Objective) -> None:
    generator = torch.Generator().manual_seed(3)
    # Nowhere at a whole pixel, where a bilinear value has a kink, nor at the bounds of the frame or of the rule.
    there, back = (0.2 + 0.1 * torch.rand(1, 2, 6, 7, generator=generator, dtype=torch.float64) for _ in range(2))
    images = torch.rand(2, 1, 3, 6, 7, generator=generator, dtype=torch.float64) * 255

    def loss(there: Tensor, back: Tensor) -> Tensor:
        student: Any = Told([there], back)
        return objective(student, unlabelled(*images), 1, 0.8)[0]

    if isinstance(objective, CycleLoss):
        assert torch.autograd.gradcheck(loss, (there.requires_grad_(), back.requires_grad_()))
    else:
        assert torch.autograd.gradcheck(lambda f: loss(f, -f.detach()), (there.requires_grad_(),))


BASELINES = [WarpLoss(), WarpLoss(occlusion=False), WarpLoss("census", smoothness=0.2), CycleLoss()]


@pytest.mark.parametrize("objective", BASELINES)
def test_every_iteration_counts_by_gamma(objective: Objective) -> None:
    # Hidden is what the final flow says; so the two ways agree for that one alone.
    both = loss_of(objective, Shifting(2.0, back=-2.2, earlier=(0.5,)), gamma=0.4)
    final = loss_of(objective, Shifting(2.0, back=-2.2), gamma=0.4)
    early = Shifting(2.0, back=-2.2, earlier=(0.5, 0.5))
    first = (loss_of(objective, early, gamma=1.0) * 3 - final) / 2
    assert first.item() != pytest.approx(final.item(), rel=0.05)
    assert both.item() == pytest.approx(((0.4 * first + final) / 1.4).item())


@pytest.mark.parametrize("objective", BASELINES)
def test_a_batch_is_the_mean_of_its_samples(objective: Objective) -> None:
    # However much of each is visible: equal under gradient accumulation and over processes.
    frames = [(c * texture(seed)[..., 4:-4], c * texture(seed + 9)[..., 4:-4]) for seed, c in ((0, 1.0), (1, 0.4))]
    there, back = [right(2.0), right(11.0)], [right(-2.0), right(-11.5)]
    back[1][..., 25:] = 40.0
    alone = [loss_of(objective, Told([t], b), unlabelled(*f)) for t, b, f in zip(there, back, frames, strict=True)]
    assert alone[0].item() != pytest.approx(alone[1].item(), rel=0.05)
    given = unlabelled(*(torch.cat(images) for images in zip(*frames, strict=True)))
    together = loss_of(objective, Told([torch.cat(there)], torch.cat(back)), given)
    assert together.item() == pytest.approx((sum(alone, torch.zeros(())) / 2).item())


def test_a_few_visible_pixels_count_as_five_percent_and_none_as_zero() -> None:
    # Of 200 pixels, two stay in the frame: 51 of 255 grey levels off, and 9.5 pixels from closing on one of two axes.
    given = unlabelled(torch.full((1, 3, 10, 20), 100.0), torch.full((1, 3, 10, 20), 151.0))
    there = torch.full((1, 2, 10, 20), 100.0)
    there[:, 0, 4, :2], there[:, 1] = 9.5, 0.0
    back = torch.zeros(1, 2, 10, 20)
    assert loss_of(WarpLoss(smoothness=0.0, occlusion=False), Told([there], back), given).item() == pytest.approx(0.04)
    assert loss_of(CycleLoss(), Told([there], back), given).item() == pytest.approx(9.5 / 2 * 0.2)
    away = Told([there + 100], back)
    assert loss_of(WarpLoss(smoothness=0.0), away, given) == loss_of(CycleLoss(), away, given) == 0


def test_labels_do_not_matter_to_the_baselines() -> None:
    for objective in (WarpLoss(), WarpLoss("census"), CycleLoss()):
        given = batch()
        labelled = Batch(given.image_a, given.image_b, given.flow + 7, given.weight + 1)
        losses = [loss_of(objective, Shifting(2.0), one) for one in (given, labelled)]
        assert losses[0] == losses[1]


def test_pseudo_labels_are_the_sequence_loss_of_either_kind() -> None:
    given = batch()
    given = Batch(given.image_a, given.image_b, given.flow + 1.5, given.weight + 1)
    student: Any = Shifting(2.0, earlier=(1.0,))
    for leaking, loss in ((False, sequence_loss), (True, official_sequence_loss)):
        found, flow = PseudoLabels(leaking)(student, given, 2, 0.8)
        assert found.item() == pytest.approx(loss(student.there, given.flow, given.weight, 0.8).item())
        assert flow is student.there[-1]


@pytest.mark.parametrize("objective", [PseudoLabels(), *BASELINES])
def test_a_network_learns_of_it_and_its_flow_is_the_one_that_it_gives(objective: Objective) -> None:
    student: FlowModel = load_model("raft_small", "embedded")
    given = batch()
    images = (torch.nn.functional.interpolate(image.float(), scale_factor=4) for image in vars(given).values())
    given = Batch(*images)
    given = Batch(given.image_a, given.image_b, given.flow, given.weight + 1)
    loss, flow = objective(student, given, 2, 0.8)
    torch.testing.assert_close(flow, student.flow(given.image_a, given.image_b, 2), atol=1e-3, rtol=1e-3)
    loss.backward()
    gradients = [p.grad for p in student.parameters()]
    # Without exception, as processes that learn together wait for all of them.
    assert all(g is not None and g.isfinite().all() for g in gradients)
    assert any(bool(g.any()) for g in gradients if g is not None)


def test_iterations_are_weighted_and_gamma_does_not_scale() -> None:
    losses = [torch.tensor(3.0), torch.tensor(1.0)]
    assert over_iterations(losses, 0.5).item() == pytest.approx((0.5 * 3 + 1) / 1.5)
    assert over_iterations([torch.tensor(2.0)] * 5, 0.3).item() == pytest.approx(2.0)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="photometric"):
        WarpLoss("ssim")
    with pytest.raises(ConfigError, match="smoothness"):
        WarpLoss(smoothness=-1.0)
