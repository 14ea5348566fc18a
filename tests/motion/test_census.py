from __future__ import annotations

import torch
from torch.autograd import gradcheck

from refine_motion.motion.census import census_error


def texture(height: int = 24, width: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 255


def flow_of(x: float, y: float, height: int = 24, width: int = 32) -> torch.Tensor:
    return torch.tensor([x, y], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, height, width)


def test_the_true_motion_has_no_error_and_another_has() -> None:
    b = texture()
    a = b.roll((-2, -3), dims=(-2, -1))  # What is at x in a is at x + (3, 2) in b.
    inner = (..., slice(6, -6), slice(6, -6))
    assert census_error(a, b, flow_of(3, 2))[inner].max() < 1e-9
    assert census_error(a, b, flow_of(2, 2))[inner].mean() > 0.3


def test_brightness_does_not_matter_and_contrast_hardly() -> None:
    a = texture() / 2
    assert census_error(a, a + 20, flow_of(0, 0)).max() < 1e-9
    assert census_error(a, 1.5 * a, flow_of(0, 0)).mean() < 0.01


def test_one_neighbour_by_hand() -> None:
    # Only the pixel in the middle differs: by 3 grey levels in a, by none in b.
    a, b = torch.zeros(1, 3, 15, 15, dtype=torch.float64), torch.zeros(1, 3, 15, 15, dtype=torch.float64)
    a[..., 7, 7] = 3.0
    error = census_error(a, b, torch.zeros(1, 2, 15, 15, dtype=torch.float64))[0]
    squared = 9 / (9 + 0.81)
    one = squared / (squared + 0.1)
    # It has 48 neighbours that differ; each of these has it for one neighbour; all others see nothing.
    torch.testing.assert_close(error[7, 7].item(), 48 * one / 49, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(error[4, 10].item(), one / 49, atol=1e-6, rtol=1e-6)
    assert error[3, 7] == 0


def test_uint8_frames_and_range() -> None:
    a, b = (texture(seed=seed).byte() for seed in (0, 1))
    error = census_error(a, b, flow_of(0.3, 0.2).float())
    assert error.dtype == torch.float32
    assert 0.3 < error.mean() < 1


def test_gradient_in_the_flow() -> None:
    a, b = texture(9, 9), texture(9, 9, seed=1)
    flow = (torch.rand(1, 2, 9, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.2) * 0.5
    assert gradcheck(lambda f: census_error(a, b, f), (flow.requires_grad_(),))
