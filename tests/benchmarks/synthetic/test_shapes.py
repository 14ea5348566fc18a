from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.shapes import Capsule, Ellipse, Polygon, Shape, Star, random_shape
from refine_motion.motion.grid import pixel_grid


@settings(max_examples=30, deadline=None)
@given(st.integers(min_value=0, max_value=10**6), st.floats(min_value=2, max_value=30))
def test_nothing_lies_outside_the_radius(seed: int, size: float) -> None:
    shape = random_shape(generator(seed), size)
    assert shape.radius == pytest.approx(size)
    xy = pixel_grid(81, 81) - 40
    inside = shape.distance(xy) > 0
    assert torch.hypot(*xy)[inside].max() <= shape.radius * (1 + 1e-5)
    assert inside[40, 40]


@settings(max_examples=30, deadline=None)
@given(st.integers(min_value=0, max_value=10**6), st.integers(min_value=0, max_value=99))
def test_the_middle_is_opaque(seed: int, hundredths: int) -> None:
    distance = random_shape(generator(seed), 20).distance(pixel_grid(61, 61) - 30 + hundredths / 100)
    deep = -torch.nn.functional.max_pool2d(-(distance > 0)[None].float(), 5, 1, 2)[0] > 0
    assert distance[deep].min() > 0.5


@pytest.mark.parametrize(
    "shape",
    [
        Ellipse(30, 12),
        Star(25, 0.2, 5),
        Capsule(20, 9),
        Polygon(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]), 15, 15 * 2**0.5),
    ],
)
def test_distance_grows_by_one_per_unit_across_the_edge(shape: Shape) -> None:
    xy = pixel_grid(161, 161) * 0.5 - 40
    distance = shape.distance(xy)
    edge = (distance.abs() < 1)[1:-1, 1:-1]
    slope = torch.hypot(distance[1:-1, 2:] - distance[1:-1, :-2], distance[2:, 1:-1] - distance[:-2, 1:-1])
    assert slope[edge].median().item() == pytest.approx(1, abs=0.05)


def test_capsule_is_all_near_a_line() -> None:
    shape = Capsule(half=10, thickness=4)
    assert shape.radius == 14
    xy = torch.tensor([[0, 3, 0, 0, 3, 4], [0, 7, 14, 15, 14, 10]]).double().view(2, 1, 6)
    assert shape.distance(xy)[0].tolist() == pytest.approx([4, 1, 0, -1, -1, 0])


@settings(max_examples=20, deadline=None)
@given(st.integers(min_value=0, max_value=10**6))
def test_distance_is_the_same_in_either_precision(seed: int) -> None:
    shape, xy = random_shape(generator(seed), 20), pixel_grid(41, 41, dtype=torch.float64) - 20.3
    assert (shape.distance(xy) - shape.distance(xy.float())).abs().max() < 1e-4
