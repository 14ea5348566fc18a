from __future__ import annotations

import pytest
import torch

from refine_motion.models.raft import raft_small
from refine_motion.motion.propagate import propagate
from refine_motion.propagation.flow import FlowMatcher
from refine_motion.propagation.settings import PropagationSettings
from tests.propagation.made import Steady, disc, numbered, texture


def matcher(x: float, y: float) -> FlowMatcher:
    return FlowMatcher(Steady(x, y), PropagationSettings(iters=3))


def test_masks_move_by_whole_pixels() -> None:
    first = disc(40, 60, 15, 12, 7)
    for time, labels in enumerate(propagate(matcher(3, 2), first, numbered(6, 40, 60))):
        # Sampling rounds places a little.
        torch.testing.assert_close(labels, first.roll((2 * time, 3 * time), dims=(1, 2)), atol=1e-4, rtol=0)


def test_half_a_pixel_is_a_mean() -> None:
    first = torch.zeros(2, 5, 8)
    first[1, :, 3] = 1
    first[0] = 1 - first[1]
    found = list(propagate(matcher(0.5, 0), first, numbered(2, 5, 8)))[1]
    torch.testing.assert_close(found[1, 2], torch.tensor([0, 0, 0, 0.5, 0.5, 0, 0, 0]))


def test_what_comes_in_has_the_label_of_the_edge() -> None:
    first = torch.zeros(2, 5, 8)
    first[1, :, 0] = 1
    first[0] = 1 - first[1]
    found = list(propagate(matcher(2, 0), first, numbered(3, 5, 8)))[-1]
    torch.testing.assert_close(found[1, 2], torch.tensor([1.0, 1, 1, 1, 1, 0, 0, 0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.sum(dim=0), torch.ones(5, 8))


def test_points_go_with_the_flow() -> None:
    points = torch.tensor([[10.25, 20.5], [55.0, 3.0]], dtype=torch.float64)
    found = torch.stack([each.double() for each in propagate(matcher(1.5, -0.5), points, numbered(8, 40, 60))])
    expected = points + torch.arange(8)[:, None, None] * torch.tensor([1.5, -0.5])
    # The second one leaves the picture.
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("labels", [disc(40, 60, 15, 12, 7), torch.tensor([[10.0, 20.0]])])
def test_each_frame_is_encoded_once(labels: torch.Tensor) -> None:
    model = Steady(1, 0)
    list(propagate(FlowMatcher(model, PropagationSettings()), labels, numbered(7, 40, 60)))
    assert model.encoded == 7


def test_a_real_model() -> None:
    torch.manual_seed(0)
    real = FlowMatcher(raft_small().eval(), PropagationSettings(iters=1))
    *_, last = propagate(real, disc(130, 140, 60, 60, 30), [texture(130, 140, seed) for seed in range(2)])
    assert not last.requires_grad
    torch.testing.assert_close(last.sum(dim=0), torch.ones(130, 140))
    assert real.about == "raft_small: flow to the frame before, 1 iterations, soft labels"
