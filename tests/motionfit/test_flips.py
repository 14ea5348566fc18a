from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.motionfit.flips import flip_flow

HEIGHT, WIDTH = 7, 10
SPEEDS, PLACES = (st.floats(*bounds, allow_subnormal=False) for bounds in ((-30, 30), (-5, 15)))


def translation(u: float, v: float) -> Tensor:
    """``(2, H, W)``."""
    return torch.tensor([u, v], dtype=torch.float64).view(2, 1, 1).expand(2, HEIGHT, WIDTH)


def rotation(angle: float, x: float, y: float) -> Tensor:
    """Flow of all pixels when they turn about a place, ``(2, H, W)``."""
    rows, columns = torch.meshgrid(torch.arange(HEIGHT).double(), torch.arange(WIDTH).double(), indexing="ij")
    dx, dy = columns - x, rows - y
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.stack((cos * dx - sin * dy - dx, sin * dx + cos * dy - dy))


def clip(*frames: Tensor) -> Tensor:
    return torch.stack(frames, dim=1)


@given(SPEEDS, SPEEDS)
def test_translation(u: float, v: float) -> None:
    """What moved to the right moves to the left in a mirror, and as much down as before."""
    flow = clip(translation(u, v), translation(2 * u, -v))
    wanted = clip(translation(-u, v), translation(-2 * u, -v))
    torch.testing.assert_close(flip_flow(flow), wanted, rtol=0, atol=1e-6)


@given(st.floats(-1, 1, allow_subnormal=False), PLACES, PLACES)
def test_rotation(angle: float, x: float, y: float) -> None:
    """A mirror turns it the other way, about the mirrored place."""
    flow = clip(rotation(angle, x, y), rotation(angle / 2, x, y))
    wanted = clip(*(rotation(-each, WIDTH - 1 - x, y) for each in (angle, angle / 2)))
    torch.testing.assert_close(flip_flow(flow), wanted, rtol=0, atol=1e-6)


def test_twice_is_nothing() -> None:
    batch = torch.randn(3, 2, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    assert torch.equal(flip_flow(flip_flow(batch)), batch)
    assert torch.equal(flip_flow(batch)[1], flip_flow(batch[1]))
    assert torch.equal(flip_flow(batch)[:, 1], batch[:, 1].flip(-1))
    assert torch.equal(flip_flow(batch)[:, 0], -batch[:, 0].flip(-1))


@pytest.mark.parametrize("shape", [(1, 3, 4, 5, 6), (3, 2, 5, 6), (2, 5, 6)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"clips of flow must be \(\.\.\., 2, T, H, W\), got"):
        flip_flow(torch.zeros(shape))
