from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.motion.embedding import RADIUS, embedding_error

LARGEST = 4 * math.hypot(RADIUS, RADIUS)


def unlike(height: int, width: int, seed: int = 0) -> Tensor:
    """Features ``(1, C, h, w)`` nearly at right angles, so long that the softmax chooses one cell."""
    found = torch.randn(1, 96, height, width, generator=torch.Generator().manual_seed(seed))
    return (100 * math.sqrt(96)) ** 0.5 * found / found.norm(dim=1, keepdim=True)


def constant(x: float, y: float, size: tuple[int, int]) -> Tensor:
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).expand(1, 2, *size).contiguous()


def by_hand(a: Tensor, b: Tensor, x: int, y: int, at: tuple[float, float]) -> float:
    """Error in cells of one cell of a whose flow leads to a place of b, one look-up after another."""
    _, channels, height, width = b.shape

    def feature(place_x: float, place_y: float) -> Tensor:
        left, top = math.floor(place_x), math.floor(place_y)
        total = torch.zeros(channels)
        for cell_x, cell_y in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
            weight = (1 - abs(place_x - cell_x)) * (1 - abs(place_y - cell_y))
            total += weight * b[0, :, min(max(cell_y, 0), height - 1), min(max(cell_x, 0), width - 1)]
        return total

    def inside(dx: int, dy: int) -> bool:
        return -0.5 <= at[0] + dx <= width - 0.5 and -0.5 <= at[1] + dy <= height - 0.5

    reach = range(-RADIUS, RADIUS + 1)
    offsets = [(dx, dy) for dx in reach for dy in reach if inside(dx, dy) and inside(-dx, -dy)]
    scores = torch.stack([a[0, :, y, x] @ feature(at[0] + dx, at[1] + dy) for dx, dy in offsets])
    mean = (scores / math.sqrt(channels)).softmax(dim=0) @ torch.tensor(offsets, dtype=torch.float32)
    return mean.norm().item()


@settings(max_examples=10, deadline=None)
@given(
    shift=st.tuples(st.integers(-2, 2), st.integers(-2, 2)),
    wrong=st.tuples(st.integers(-RADIUS, RADIUS), st.integers(-RADIUS, RADIUS)),
    cut=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_error_is_how_far_the_flow_is_off(shift: tuple[int, int], wrong: tuple[int, int], cut: tuple[int, int]) -> None:
    rows, columns = 26, 28
    a = unlike(rows, columns)
    b = a.roll((shift[1], shift[0]), dims=(2, 3))
    size = (4 * rows - cut[0], 4 * columns - cut[1])
    right = embedding_error(a, b, constant(4 * shift[0], 4 * shift[1], size), 4)
    off = embedding_error(a, b, constant(4 * (shift[0] + wrong[0]), 4 * (shift[1] + wrong[1]), size), 4)
    assert right.shape == off.shape == (1, *size)
    # Between the centres of cells whose window, 2 + 4 + 4 cells away, is inside.
    middle = (0, slice(42, 62), slice(42, 70))
    assert right[middle].max() < 1e-2
    torch.testing.assert_close(off[middle], torch.full((20, 28), 4 * math.hypot(*wrong)), atol=1e-2, rtol=0)


def test_any_place_and_the_order_of_axes_by_hand() -> None:
    generator = torch.Generator().manual_seed(1)
    a, b = 2 * torch.randn(2, 1, 16, 9, 13, generator=generator)
    for moved in ((1.75, -2.5), (5.0, 9.25), (-30.0, 0.5)):
        cells = embedding_error(a, b, constant(*moved, (9, 13)), 1)[0]
        places = [
            (x, y) for x in range(13) for y in range(9) if -0.5 <= x + moved[0] <= 12.5 and -0.5 <= y + moved[1] <= 8.5
        ]
        for x, y in places:
            wanted = by_hand(a, b, x, y, (x + moved[0], y + moved[1]))
            assert cells[y, x].item() == pytest.approx(wanted, abs=1e-4)
        known = torch.zeros(9, 13, dtype=torch.bool)
        for x, y in places:
            known[y, x] = True
        assert (cells[~known] == math.hypot(RADIUS, RADIUS)).all()


def test_flow_is_averaged_over_cells_and_errors_brought_to_pixels_between_their_centres() -> None:
    a = unlike(6, 30)
    flow = torch.zeros(1, 2, 24, 120)
    # Right on average in the left half; off by two cells in the right one.
    flow[:, 0, :, ::2], flow[:, 0, :, 1::2] = 3.0, -3.0
    flow[:, :, :, 60:] = torch.tensor([8.0, 0.0]).view(1, 2, 1, 1)
    error = embedding_error(a, a, flow, 4)[0]
    assert error[:, 20:56].max() < 1e-2
    torch.testing.assert_close(error[8:16, 66:90], torch.full((8, 24), 8.0), atol=1e-2, rtol=0)
    # From the centre of a cell to that of the next, pixels are 1/8, 3/8, 5/8 and 7/8 of the way.
    torch.testing.assert_close(error[12, 58:62], torch.tensor([1.0, 3.0, 5.0, 7.0]), atol=2e-2, rtol=0)


def test_a_surface_without_texture_speaks_against_no_flow_at_the_border_either() -> None:
    flat = 3 * torch.ones(1, 8, 10, 12)
    error = embedding_error(flat, flat, constant(0, 0, (40, 48)), 4)
    assert error.abs().max() < 1e-4


def test_out_of_the_image_and_not_a_number_is_the_largest_error() -> None:
    a = unlike(10, 10)
    assert torch.allclose(embedding_error(a, a, constant(400, 0, (40, 40)), 4), torch.tensor(LARGEST))
    assert torch.allclose(embedding_error(a, a, constant(1e30, -1e30, (40, 40)), 4), torch.tensor(LARGEST))
    flow = constant(0, 0, (40, 40))
    flow[0, 0, 17, 22] = torch.nan
    flow[0, 1, 2, 2] = torch.inf
    error = embedding_error(a, a, flow, 4)[0]
    assert error.isfinite().all()
    # A pixel in the middle of neighbouring ones.
    assert error[17, 21:23].min() > 0.7 * LARGEST
    assert error[0, 0] == pytest.approx(LARGEST)
    assert error[30:, 30:].max() < 1e-2


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_it_is_measured_in_float32(dtype: torch.dtype) -> None:
    a = unlike(6, 7)
    found = embedding_error(a.to(dtype), a.to(dtype), constant(4, 0, (24, 28)).to(dtype), 4)
    assert found.dtype == torch.float32
    assert found.isfinite().all()
