from __future__ import annotations

import pytest
import torch

from refine_motion.labels.blend import blend, doubts, shares


def scene(height: int = 96, width: int = 128) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two frames of a texture that moves by (3, 0), and the true flow; what leaves on one side enters on the other."""
    b = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255
    flow = torch.zeros(1, 2, height, width)
    flow[:, 0] = 3.0
    return b.roll(-3, dims=-1), b, flow


def test_one_view_is_returned_as_it_is() -> None:
    a, b, flow = scene()
    found = blend(a, b, [(flow, -flow)])
    assert found.forward is flow
    assert not found.spread.any()
    assert found.shares == (1.0,)


def test_where_a_view_is_wrong_the_other_one_counts() -> None:
    a, b, flow = scene()
    left, right = flow.clone(), flow.clone()
    left[..., :64] += 2.0
    right[..., 64:] += 2.0
    found = blend(a, b, [(left, -flow), (right, -flow)])
    # Except where the areas that are looked at hold both.
    for part in (slice(16, 44), slice(84, 108)):
        torch.testing.assert_close(found.forward[..., part], flow[..., part], atol=0.05, rtol=0)
        assert found.spread[..., part].max() < 0.3
    assert (found.forward - flow).abs().max() <= 2.0
    torch.testing.assert_close(found.backward, -flow)


def test_census_tells_views_apart_that_are_both_consistent() -> None:
    a, b, flow = scene()
    found = blend(a, b, [(flow + 1, -flow - 1), (flow, -flow)])
    assert found.shares[1] > 0.95
    torch.testing.assert_close(found.forward[..., 20:-20], flow[..., 20:-20], atol=0.05, rtol=0)


def test_the_cycle_tells_views_apart_that_look_alike() -> None:
    grey = torch.full((1, 3, 96, 128), 100.0)
    _, _, flow = scene()
    found = blend(grey, grey, [(flow, -flow), (flow, -flow + 2)])
    middle = found.forward[..., 40:80]
    torch.testing.assert_close(middle, flow[..., 40:80])
    assert found.shares[0] > 0.9


def test_order_does_not_matter_and_directions_are_treated_alike() -> None:
    a, b, flow = scene()
    noise = torch.randn(4, 1, 2, 96, 128, generator=torch.Generator().manual_seed(1))
    one, two = (flow + noise[0], -flow + noise[1]), (flow + 0.3 * noise[2], -flow + 0.3 * noise[3])
    found, swapped = blend(a, b, [one, two]), blend(a, b, [two, one])
    torch.testing.assert_close(found.forward, swapped.forward)
    torch.testing.assert_close(found.spread, swapped.spread)
    assert found.shares == (swapped.shares[1], swapped.shares[0])
    assert abs(sum(found.shares) - 1) < 1e-6
    turned = blend(b, a, [one[::-1], two[::-1]])
    torch.testing.assert_close(turned.forward, found.backward)
    torch.testing.assert_close(turned.backward, found.forward)


def test_spread_by_hand() -> None:
    grey = torch.full((1, 3, 40, 40), 100.0)
    zero = torch.zeros(1, 2, 40, 40)
    up = zero.clone()
    up[:, 1] = 4.0
    # Alike in census and, clamped at 5 px, in the cycle: equal weights, so 2 px from the mean on both sides. Not below,
    # where the second one leaves the frame and its cycle closes by itself.
    far = torch.full_like(zero, 9.0)
    found = blend(grey, grey, [(zero, far), (up, far)])
    torch.testing.assert_close(found.forward[..., :20, :], up[..., :20, :] / 2)
    torch.testing.assert_close(found.spread[:, :20], torch.full((1, 20, 40), 2.0))


def test_shares_are_those_of_the_blend_and_grow_evenly_with_what_is_doubted() -> None:
    a, b, flow = scene()
    views = [(flow, -flow), (flow + 1, -flow - 1), (flow, -flow + 1)]
    found = doubts(a, b, views)
    assert found.shape == (3, 2, 96, 128)
    assert shares(found) == list(blend(a, b, views).shares)
    # In the middle, the last view is at fault for its cycle alone: 1 px on both axes, in units of half a pixel.
    middle = found[..., 20:76, 24:104]
    torch.testing.assert_close(middle[2, 0] - middle[0, 0], torch.full((56, 80), 2 * 2**0.5), atol=1e-3, rtol=0)
    by_hand = torch.tensor([0.0, 2.0]).neg().softmax(0).tolist()
    assert shares(torch.tensor([0.0, 2.0]).view(2, 1, 1, 1).expand(2, 2, 3, 3)) == pytest.approx(by_hand)
