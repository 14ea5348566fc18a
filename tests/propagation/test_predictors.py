from __future__ import annotations

import pytest
import torch

from refine_motion.errors import ConfigError
from refine_motion.propagation.embedding import EmbeddingMatcher
from refine_motion.propagation.flow import FlowMatcher
from refine_motion.propagation.identity import IdentityMatcher
from refine_motion.propagation.predictors import MaskPropagation, PointPropagation
from refine_motion.propagation.settings import PropagationSettings
from tests.propagation.made import Pixels, Steady, numbered, texture


def random_ids(height: int, width: int) -> torch.Tensor:
    numbers = torch.tensor([0, 3, 7, 250], dtype=torch.uint8)
    return numbers[torch.randint(0, 4, (height, width), generator=torch.Generator().manual_seed(0))]


def test_numbers_stay_what_they_are() -> None:
    first = random_ids(40, 61)
    for mask in MaskPropagation(IdentityMatcher())(first, numbered(3, 40, 61)):
        assert mask.dtype == torch.uint8
        assert torch.equal(mask, first)
    moved = list(MaskPropagation(FlowMatcher(Steady(4, 0), PropagationSettings()))(first, numbered(2, 40, 61)))[1]
    assert torch.equal(moved[:, 4:], first[:, :-4])


def test_a_mask_without_background() -> None:
    first = torch.full((8, 8), 5, dtype=torch.uint8)
    assert torch.equal(list(MaskPropagation(IdentityMatcher())(first, numbered(2, 8, 8)))[1], first)


def test_points_in_pixels_of_their_own_size() -> None:
    first = torch.tensor([[10.0, 20.0], [30.5, 39.5]], dtype=torch.float64)
    found = PointPropagation(FlowMatcher(Steady(2, 1), PropagationSettings()))(first, numbered(4, 40, 60))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, first + torch.arange(4)[:, None, None] * torch.tensor([2.0, 1.0]).double())


def test_points_by_frames_of_another_size() -> None:
    # Steps of the flow are in pixels of 120 x 120.
    model = Steady(2, 1.5)
    first = torch.tensor([[10.0, 20.0]], dtype=torch.float64)
    # The number is told by a block that survives resizing.
    frames = numbered(2, 40, 60)
    frames[1] = 1
    found = PointPropagation(FlowMatcher(model, PropagationSettings()), side=120)(first, frames)
    torch.testing.assert_close(found[0], first)
    torch.testing.assert_close(found[1], first + torch.tensor([1.0, 0.5]).double())


def test_frames_that_would_be_too_small() -> None:
    with pytest.raises(ConfigError, match="side 3: the model needs frames of at least 4 px"):
        PointPropagation(EmbeddingMatcher(Pixels(), PropagationSettings()), side=3)


@pytest.mark.parametrize("side", [None, 64])
def test_points_without_an_estimate_are_negative(side: int | None) -> None:
    matcher = EmbeddingMatcher(Pixels(), PropagationSettings(radius=1))
    first = torch.tensor([[500.0, 20.0], [20.0, 20.0]], dtype=torch.float64)
    found = PointPropagation(matcher, side)(first, texture(48, 60).expand(3, -1, -1, -1))
    assert (found[1:, 0] == -1).all()
    assert (found[1:, 1] > 0).all()
