"""Colours change by each picture's own factors, in the order that is told."""

from __future__ import annotations

import pytest
import torch

from refine_motion.training.colours import recolour


def pictures() -> torch.Tensor:
    return 60 + 100 * torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))


def test_factors_of_one_change_nothing() -> None:
    unchanged = torch.tensor([[1.0, 1.0, 1.0, 0.0]] * 2)
    torch.testing.assert_close(recolour(pictures(), unchanged), pictures(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("which", [0, 1])
def test_each_picture_has_its_own(which: int) -> None:
    factors = torch.tensor([[1.0, 1.0, 1.0, 0.0]] * 2)
    factors[which] = torch.tensor([1.2, 0.8, 0.5, 0.25])
    changed = recolour(pictures(), factors)
    torch.testing.assert_close(changed[1 - which], pictures()[1 - which], atol=1e-3, rtol=0)
    assert (changed[which] - pictures()[which]).abs().mean() > 5


def test_brightness_then_contrast_about_the_mean() -> None:
    picture = torch.full((1, 3, 4, 4), 100.0)
    picture[..., :2] = 50.0
    changed = recolour(picture, torch.tensor([[1.2, 0.5, 1.0, 0.0]]))
    # 60 and 120 about their mean of 90.
    assert changed[0, 0, 0].tolist() == pytest.approx([75, 75, 105, 105], abs=1e-2)
