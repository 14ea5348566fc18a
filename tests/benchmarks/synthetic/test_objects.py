from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.objects import KINDS, Place, Thing, random_object
from refine_motion.benchmarks.synthetic.scene import Scene
from refine_motion.benchmarks.synthetic.styles import Style
from refine_motion.benchmarks.synthetic.surface import Shadow
from refine_motion.benchmarks.synthetic.trajectory import MOTION_CLASSES
from tests.benchmarks.synthetic.made import ground, seeds

SIZE = (64, 80)
EVERY = pytest.mark.parametrize("kind", KINDS)


def thing(kind: str, seed: int, motion: str = "left", frames: int = 12, speed: float = 3.0, number: int = 1) -> Thing:
    place = Place(number, (0.0, 0.0), 18.0, 1.5, speed, 20.0, frames, motion)
    shadow = Shadow((1.0, 2.0), 0.5, 2.0)
    return random_object(generator(seed), generator(seed, 1), kind, place, Style(), shadow, "cpu")


def scene_of(made: Thing) -> Scene:
    # Points count surfaces within their object, which stands before the ground.
    return Scene(SIZE, (ground(), *made.surfaces))


@EVERY
def test_surfaces_belong_to_the_object(kind: str) -> None:
    made = thing(kind, 3, number=7)
    assert {(s.owner, s.depth, s.shadow) for s in made.surfaces} == {(7, 1.5, Shadow((1.0, 2.0), 0.5, 2.0))}
    assert all(0 <= point.surface < len(made.surfaces) for point in made.key_points)
    assert all(point.name.startswith("7/") for point in made.key_points)
    assert (len(made.surfaces) > 1) == (kind == "figure")
    assert any(s.warp is not None for s in made.surfaces) == (kind == "elastic")


@EVERY
@settings(max_examples=12, deadline=None)
@given(seed=seeds, motion=st.sampled_from(MOTION_CLASSES), frames=st.integers(2, 48), speed=st.floats(0.5, 15))
def test_no_point_is_faster_than_its_place_allows(kind: str, seed: int, motion: str, frames: int, speed: float) -> None:
    scene = scene_of(thing(kind, seed, motion, frames, speed))
    for t in (0, frames // 2, frames - 2):
        on_object = scene.layers(t) > 0
        if on_object.any():
            flow, _ = scene.flow(t, t + 1)
            assert flow[:, on_object].norm(dim=0).max() <= speed * (1 + 1e-5)


@EVERY
def test_key_points_lie_inside_of_their_surface(kind: str) -> None:
    for seed in range(6):
        made = thing(kind, seed)
        for point in made.key_points:
            shape = made.surfaces[point.surface].shape
            assert shape is not None
            assert shape.distance(torch.tensor(point.own).view(2, 1, 1)).item() > 0


def test_equal_looks_give_equal_objects() -> None:
    place = Place(1, (0.0, 0.0), 12.0, 1.0, 2.0, 20.0, 9, "up")
    one, two = (
        random_object(generator(seed), generator(9), "rigid", place, Style(), None, "cpu").surfaces[0]
        for seed in (1, 2)
    )
    xy = torch.rand((2, 5, 5), generator=generator(0)) * 20 - 10
    assert torch.equal(one.texture(xy), two.texture(xy))
    assert torch.equal(one.shape.distance(xy), two.shape.distance(xy))
    assert not torch.equal(one.trajectories[0].matrix(3), two.trajectories[0].matrix(3))


class TestFigure:
    def test_limbs_hang_together(self) -> None:
        """Joints stay joined: the ends of thigh and shin are the same place at any time."""
        made = thing("figure", 4, "right", speed=8.0)
        scene = scene_of(made)
        thigh_end, shin_end = (0.0, 0.375), (0.0, -0.35)
        unit = 18.0 / 2.1
        for t in range(12):
            poses = scene._poses(t)
            for shin, thigh in ((1, 2), (3, 4)):
                ends = []
                for order, (x, y) in ((thigh, thigh_end), (shin, shin_end)):
                    own = torch.tensor([x * unit, y * unit]).double().view(2, 1, 1)
                    ends.append(scene.surfaces[order].place(poses[order], t, own).flatten())
                assert torch.allclose(*ends, atol=1e-6)

    def test_limbs_swing_against_each_other(self) -> None:
        scene = scene_of(thing("figure", 4, "right", frames=30, speed=8.0))

        def turn(order: int, t: int) -> float:
            trunk, limb = scene._poses(t)[5], scene._poses(t)[order]
            between = torch.linalg.inv(trunk) @ limb
            return math.atan2(between[1, 0].item(), between[0, 0].item())

        for order in (2, 4, 7, 8):
            angles = torch.tensor([turn(order, t) for t in range(30)])
            assert angles.max() - angles.min() > 0.1
        left, right = (torch.tensor([turn(order, t) for t in range(30)]) for order in (2, 4))
        assert torch.corrcoef(torch.stack((left, right)))[0, 1] < -0.9

    def test_stands_upright_in_the_middle_of_the_clip(self) -> None:
        for seed in range(8):
            scene = scene_of(thing("figure", seed, "clockwise", frames=20, speed=4.0))
            trunk, head = scene._poses(10)[5][:2, 2], scene._poses(10)[6][:2, 2]
            x, y = (head - trunk).tolist()
            assert abs(math.atan2(x, -y)) < 0.9
