from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.motion.grid import brought_to, in_bounds, pixel_grid, sample, warp


@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_identity_warp_returns_the_image(height: int, width: int) -> None:
    image = torch.rand(1, 2, height, width, dtype=torch.float64)
    assert (warp(image, torch.zeros(1, 2, height, width, dtype=torch.float64)) - image).abs().max() < 1e-6


@given(dx=st.integers(-3, 3), dy=st.integers(-3, 3))
def test_whole_pixel_translation_moves_pixels(dx: int, dy: int) -> None:
    image = torch.rand(1, 1, 12, 9, dtype=torch.float64)
    flow = torch.tensor([dx, dy], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 12, 9)
    warped = warp(image, flow)
    inside = in_bounds(flow)
    expected = torch.roll(image, (-dy, -dx), dims=(2, 3))
    torch.testing.assert_close(warped[0, 0][inside[0]], expected[0, 0][inside[0]])
    assert warped[0, 0][~inside[0]].abs().max().item() < 1e-9 if (~inside).any() else True


def test_values_between_pixels_are_bilinear_and_zero_outside() -> None:
    image = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    xy = torch.tensor([[0.5, 0.5], [0.0, 0.5], [-0.5, 0.0], [-1.0, 0.0]]).T.reshape(1, 2, 1, 4)
    torch.testing.assert_close(sample(image, xy).flatten(), torch.tensor([4.0, 3.0, 0.5, 0.0]))
    torch.testing.assert_close(sample(image, xy, "border").flatten(), torch.tensor([4.0, 3.0, 1.0, 1.0]))


def test_one_pixel_wide_images_are_sampled_without_nan() -> None:
    xy = torch.tensor([[0.0, 0.5, 2.0]]).expand(2, 3).reshape(1, 2, 1, 3).clone()
    xy[:, 1] = 0
    torch.testing.assert_close(sample(torch.ones(1, 1, 1, 1), xy).flatten(), torch.tensor([1.0, 0.5, 0.0]))


def test_gradients_of_sampling() -> None:
    image = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    xy = (torch.rand(1, 2, 3, 3, dtype=torch.float64) * 3 + 0.3).requires_grad_()
    assert torch.autograd.gradcheck(sample, (image, xy))


def test_bounds_include_the_edge_pixel_centres() -> None:
    flow = torch.zeros(1, 2, 3, 4)
    flow[0, 0, 0, 0] = 3.0
    flow[0, 0, 1, 0] = 3.01
    flow[0, 1, 0, 1] = -0.01
    assert in_bounds(flow).logical_not().nonzero().tolist() == [[0, 0, 1], [0, 1, 0]]


def test_frames_keep_the_ratio_of_their_sides_where_it_is_another() -> None:
    # 16:9 and 5:3 count as the same, as in the paper's code.
    assert brought_to((1080, 1920), (768, 1280)) == (768, 1280)
    assert brought_to((1920, 1080), (768, 1280)) == (1322, 744)
    assert brought_to((480, 640), (256, 448)) == (293, 391)
    assert brought_to((100, 100), (100, 110)) == (100, 110)
    assert brought_to((100, 100), (100, 111)) == (105, 105)
    assert brought_to((192, 256), (288, 512), enlarge=False) == (192, 256)
    assert brought_to((1080, 1920), (288, 512), enlarge=False) == (288, 512)
    assert brought_to((3, 30000), (10, 10)) == (1, 1000)


def test_grid_holds_pixel_centres() -> None:
    grid = pixel_grid(2, 3)
    assert grid[0].tolist() == [[0, 1, 2], [0, 1, 2]]
    assert grid[1].tolist() == [[0, 0, 0], [1, 1, 1]]
    with pytest.raises(RuntimeError):
        pixel_grid(-1, 3)
