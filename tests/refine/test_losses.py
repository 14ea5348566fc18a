from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from refine_motion.refine.losses import MIN_SHARE, official_sequence_loss, sample_mean, sequence_loss, weighted_l1


def two_samples() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    flow = torch.randn(2, 2, 6, 8, generator=generator, dtype=torch.float64)
    target = torch.randn(2, 2, 6, 8, generator=generator, dtype=torch.float64)
    weight = torch.rand(2, 1, 6, 8, generator=generator, dtype=torch.float64) + 0.5
    kept = torch.rand(2, 1, 6, 8, generator=generator) < torch.tensor([0.3, 0.8]).view(2, 1, 1, 1)
    return flow, target, weight * kept


def test_sum_equals_official_raft_loss_before_normalisation(reference: Path) -> None:
    z = np.load(reference / "raft_sequence_loss.npz")
    flows, target = torch.from_numpy(z["flow_preds"]).double(), torch.from_numpy(z["flow_gt"]).double()
    weight = (torch.from_numpy(z["valid"] >= 0.5)[:, None] & (target.norm(dim=1, keepdim=True) < 400)).double()
    total = sum(0.8 ** (2 - i) * weighted_l1(f, target, weight).sum() for i, f in enumerate(flows))
    assert (total / weight.numel()).item() == pytest.approx(float(z["loss_official_raft"]), rel=1e-6)


def test_sequence_loss_equals_official_loss_times_its_normaliser(reference: Path) -> None:
    z = np.load(reference / "raft_sequence_loss.npz")
    flows, target = torch.from_numpy(z["flow_preds"]), torch.from_numpy(z["flow_gt"])
    weight = torch.from_numpy(z["valid"] >= 0.5)[:, None].float()
    kept = (weight * (target.norm(dim=1, keepdim=True) < 400)).flatten(1).sum(dim=1)
    assert (kept > MIN_SHARE * 120).all()
    alone = torch.stack([sequence_loss([f[[b]] for f in flows], target[[b]], weight[[b]], 0.8) for b in range(2)])
    official = (alone * kept).sum() / weight.numel()
    assert official.item() == pytest.approx(float(z["loss_official_raft"]), rel=1e-6)
    assert sequence_loss(list(flows), target, weight, 0.8).item() == pytest.approx(alone.mean().item(), rel=1e-6)
    # The defect of the published code, whose mask spreads over the batch, gives another number.
    assert abs(official.item() - float(z["loss_refining_code"])) > 1e-3


def test_loss_and_gradient_of_a_sample_depend_on_its_own_weights_alone() -> None:
    flow, target, weight = two_samples()

    def gradient(weight: torch.Tensor) -> tuple[float, torch.Tensor]:
        prediction = flow.clone().requires_grad_()
        loss = sequence_loss([prediction], target, weight, 0.8)
        loss.backward()
        assert prediction.grad is not None
        return loss.item(), prediction.grad

    _, both = gradient(weight)
    kept = (weight > 0).expand_as(both)
    assert (both[~kept] == 0).all()
    assert (both[kept] != 0).all()

    changed = weight.clone()
    changed[1] = 1.0 - 0.5 * changed[1]
    _, other = gradient(changed)
    assert torch.equal(both[0], other[0])
    assert not torch.equal(both[1], other[1])

    for sample in range(2):
        alone = flow[[sample]].clone().requires_grad_()
        loss = sequence_loss([alone], target[[sample]], weight[[sample]], 0.8)
        loss.backward()
        assert alone.grad is not None
        torch.testing.assert_close(alone.grad[0] / 2, both[sample])


def test_by_hand() -> None:
    flow = torch.zeros(1, 2, 2, 2)
    target = torch.tensor([[3.0, 1.0]]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    weight = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    assert weighted_l1(flow, target, weight).item() == 4.0  # (3 + 1) / 2 at two pixels
    assert sequence_loss([flow, target], target, weight, 0.5).item() == pytest.approx(0.5 * 2.0)


def test_a_weighted_mean_by_hand() -> None:
    target = torch.tensor([[2.0, 8.0], [0.0, 0.0]]).expand(1, 2, 2, 2)
    weight = torch.tensor([[[[3.0, 0.5], [0.5, 0.0]]]])
    # (3 x 2 + 0.5 x 8 + 0.5 x 0) / (3 + 0.5 + 0.5)
    assert sequence_loss([torch.zeros(1, 2, 2, 2)], target, weight, 0.8).item() == pytest.approx(2.5)
    # The scale of a sample's weights cancels; only where hardly any label is does their sum count.
    assert sequence_loss([torch.zeros(1, 2, 2, 2)], target, 9 * weight, 0.8).item() == pytest.approx(2.5)


def test_few_labels_count_as_five_percent_and_none_as_zero() -> None:
    flow, target = torch.zeros(1, 2, 10, 10), torch.ones(1, 2, 10, 10)
    one = torch.zeros(1, 1, 10, 10)
    one[0, 0, 3, 3] = 1.0
    assert sequence_loss([flow], target, one, 0.8).item() == pytest.approx(1 / 5)
    assert sequence_loss([flow], target, 2 * one, 0.8).item() == pytest.approx(2 / 5)
    assert sequence_loss([flow], target, 7 * one, 0.8).item() == pytest.approx(1.0)
    assert sequence_loss([flow], target, torch.zeros_like(one), 0.8).item() == 0.0


def test_labels_beyond_the_speed_limit_are_left_out() -> None:
    target = torch.zeros(1, 2, 4, 4)
    target[0, 0, 0, 0] = 500
    assert sequence_loss([torch.zeros(1, 2, 4, 4)], target, torch.ones(1, 1, 4, 4), 0.8) == 0


def test_weight_without_its_channel_is_refused() -> None:
    flow, target, weight = two_samples()
    with pytest.raises(ValueError, match="weight"):
        weighted_l1(flow, target, weight[:, 0])
    with pytest.raises(ValueError, match="weight"):
        weighted_l1(flow, target, weight[:1])


def test_gradient_in_float64() -> None:
    flow, target, weight = two_samples()
    assert torch.autograd.gradcheck(lambda f: weighted_l1(f, target, weight), (flow.requires_grad_(),))


def test_official_loss_equals_that_of_the_published_code(reference: Path) -> None:
    z = np.load(reference / "raft_sequence_loss.npz")
    flows, target = torch.from_numpy(z["flow_preds"]), torch.from_numpy(z["flow_gt"])
    weight = torch.from_numpy(z["valid"] >= 0.5)[:, None].float()
    for scale in (1.0, 0.3):
        found = official_sequence_loss(list(flows), target, scale * weight, 0.8).item()
        assert found == pytest.approx(float(z["loss_refining_code"]), rel=1e-6)


def test_official_loss_weights_every_pixel_by_the_masks_of_its_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(12, 1, 40, 40, generator=generator) < 0.6
    flow = torch.zeros(12, 2, 40, 40, requires_grad=True)
    official_sequence_loss([flow], torch.ones(12, 2, 40, 40), mask.float(), 0.8).backward()
    assert flow.grad is not None
    weight = -flow.grad * flow.numel()
    spread = mask.expand_as(weight)
    # 0.6 times 11/12, and a twelfth more where the pixel's own mask is on.
    assert weight[~spread].mean().item() == pytest.approx(0.553, abs=0.01)
    assert weight[spread].mean().item() == pytest.approx(0.634, abs=0.01)
    # One sample alone is the official RAFT loss: its own mask, and the mean over all pixels.
    alone = official_sequence_loss([flow[:1]], torch.ones(1, 2, 40, 40), mask[:1].float(), 0.8)
    assert alone.item() == pytest.approx(mask[:1].float().mean().item())


def test_each_sample_has_its_own_mean() -> None:
    values = torch.zeros(2, 10, 10)
    mask = torch.zeros(2, 10, 10, dtype=torch.bool)
    values[0, :, :5], mask[0, :, :5] = 3.0, True
    values[1, 0, :2], mask[1, 0, 0] = 7.0, True
    values[~mask] = torch.nan  # What is not looked at may be anything.
    # One pixel of a hundred counts as one of five.
    assert sample_mean(values, mask).item() == pytest.approx((3.0 + 7.0 / 5) / 2)
    assert sample_mean(values, torch.zeros_like(mask)) == 0
