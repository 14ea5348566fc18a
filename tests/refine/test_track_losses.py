from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from refine_motion.refine.track_losses import matching_loss, score_map_loss, track_sequence_loss, visibility_loss


def test_sequence_loss_by_hand() -> None:
    target = torch.zeros(1, 2, 1, 2)
    early, late = target + torch.tensor([2.0, 4.0]), target + 1.0
    valid = torch.ones(1, 2, 1)
    # Means over x and y are 3 and 1; the earlier one counts half, and both are divided by their number.
    assert track_sequence_loss([early, late], target, valid, 0.5).item() == pytest.approx((0.5 * 3 + 1) / 2, rel=1e-5)


def test_what_is_not_valid_may_be_no_number() -> None:
    target = torch.zeros(1, 2, 1, 2)
    target[0, 1] = torch.nan
    valid = torch.tensor([[[1.0], [0.0]]])
    places = torch.ones(1, 2, 1, 2, requires_grad=True)
    loss = track_sequence_loss([places], target, valid)
    loss.backward()
    assert loss.item() == pytest.approx(1, rel=1e-5)
    assert places.grad.isfinite().all()
    assert places.grad[0, 1].abs().sum() == 0
    assert score_map_loss([torch.zeros(1, 2, 1, 4, 5)], target, valid, valid).isfinite()


def test_visibility_loss_balances_both_kinds() -> None:
    logits = torch.tensor([[[3.0, 1.0, -2.0, 5.0]]])
    visible = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    valid = torch.tensor([[[1.0, 1.0, 1.0, 0.0]]])
    wanted = (math.log1p(math.exp(-3)) + math.log1p(math.exp(-1))) / 2 + math.log1p(math.exp(-2))
    assert visibility_loss(logits, visible, valid).item() == pytest.approx(wanted, rel=1e-5)


def test_score_map_loss_is_that_of_a_map_of_ones_and_zeros() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(1, 2, 3, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2)]
    target = torch.tensor([[[[1.2, 2.6], [4.4, 0.0], [5.6, 1.0]], [[0.0, 0.0], [-0.6, 1.0], [3.0, 3.0]]]])
    visible = torch.tensor([[[1.0, 1, 1], [1, 1, 0]]])
    # The others are outside or hidden.
    hits = [(0, 0, 3, 1), (0, 1, 0, 4), (1, 0, 0, 0)]
    scores = torch.stack([m[0, s, n] for m in maps for s, n, _, _ in hits])
    ones = torch.zeros(6, 4, 5, dtype=torch.bool)
    for number, (_, _, y, x) in enumerate(hits * 2):
        ones[number, y, x] = True
    # That at -0.6 rounds to -1.
    wanted = F.softplus(-scores[ones]).mean() + F.softplus(scores[~ones]).mean()
    found = score_map_loss(maps, target, visible, torch.ones_like(visible))
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(1, 2, 2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[[[1.0, 2.0], [3.0, 0.0]], [[0.0, 0.0], [2.0, 1.0]]]], dtype=torch.float64)
    seen = torch.ones(1, 2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda m: score_map_loss([m], target, seen, seen), (maps,))
    places = torch.randn(1, 2, 2, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: track_sequence_loss([p, 2 * p], target, seen), (places,))


def test_no_point_that_counts() -> None:
    nothing = torch.zeros(1, 2, 1)
    assert score_map_loss([torch.randn(1, 2, 1, 3, 4)], torch.zeros(1, 2, 1, 2), nothing, nothing) == 0


def test_matching_loss_by_hand() -> None:
    """Two cells of one feature each: the first frame's is 4, so scores of the second are 8 and 0."""
    maps = torch.zeros(1, 2, 4, 2, 2)
    maps[0, 0, 0, 0, 0] = 4.0
    maps[0, 1, 0, 0, 1] = 4.0
    visible = torch.ones(1, 2, 1)
    # Found in the right upper cell; a quarter of the way down, the lower cell counts a quarter.
    target = torch.tensor([[[[0.0, 0.0]], [[1.0, 0.25]]]])
    total = math.log(math.exp(8) + 3)
    assert matching_loss(maps, target, visible).item() == pytest.approx(0.75 * (total - 8) + 0.25 * total, rel=1e-5)


@pytest.mark.parametrize("place", [(1.5, 0.5), (float("nan"), 0.0), (-0.1, 0.0)])
def test_what_is_outside_or_hidden_matches_nothing(place: tuple[float, float]) -> None:
    maps = torch.rand(1, 2, 4, 2, 2, requires_grad=True)
    target = torch.tensor([[[[0.0, 0.0]], [list(place)]]])
    loss = matching_loss(maps, target, torch.ones(1, 2, 1))
    loss.backward()
    assert loss.item() == 0
    assert maps.grad.abs().sum() == 0
    hidden = matching_loss(maps, torch.zeros(1, 2, 1, 2), torch.tensor([[[1.0], [0.0]]]))
    assert hidden.item() == 0


def test_matching_loss_has_exact_gradients() -> None:
    torch.manual_seed(0)
    maps = torch.rand(1, 3, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.rand(1, 3, 2, 2, dtype=torch.float64) * 2
    assert torch.autograd.gradcheck(lambda m: matching_loss(m, target, torch.ones(1, 3, 2)), maps)
