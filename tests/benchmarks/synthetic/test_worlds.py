from __future__ import annotations

import functools
import hashlib
import math
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.benchmarks.synthetic.domains import DOMAINS, TARGETS
from refine_motion.benchmarks.synthetic.scene import Scene
from refine_motion.benchmarks.synthetic.stream import FlowPairs
from refine_motion.benchmarks.synthetic.trajectory import MOTION_CLASSES, Trajectory, Wave
from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.errors import ConfigError
from tests.benchmarks.synthetic.made import at_rest, seeds

SIZE = (64, 80)
HEADINGS = {"right": (1.0, 0.0), "down": (0.0, 1.0), "left": (-1.0, 0.0), "up": (0.0, -1.0)}


class TestSpeed:
    @settings(max_examples=25, deadline=None)
    @given(
        seeds,
        st.sampled_from(list(DOMAINS)),
        st.none() | st.floats(min_value=0.5, max_value=12),
        st.integers(min_value=2, max_value=60),
        st.sampled_from([(72, 96), (40, 100)]),
    )
    def test_no_point_is_faster_than_the_bound(
        self, seed: int, name: str, max_speed: float | None, frames: int, size: tuple[int, int]
    ) -> None:
        scene = random_scene(seed, size, max_speed, frames, name)
        bound = DOMAINS[name].max_speed if max_speed is None else max_speed
        for t in (0, frames // 2, frames - 1):
            flow, _ = scene.flow(t, t + 1)
            assert torch.hypot(*flow).max() <= bound * (1 + 1e-5)

    @pytest.mark.parametrize("name", DOMAINS)
    def test_speeds_use_the_range_they_are_given(self, name: str) -> None:
        fastest = torch.stack(
            [torch.hypot(*random_scene(seed, SIZE, 8.0, name=name).flow(0, 1)[0]).max() for seed in range(8)]
        )
        # Slow scenes are meant to be frequent in the source, and of a vortex few points are as fast as its bound.
        slow = name in ("source", "particles")
        assert fastest.median() > 8 * (0.08 if slow else 0.15)
        assert fastest.max() > 8 * (0.15 if slow else 0.25)


class TestSeeds:
    def test_same_seed_same_scene(self) -> None:
        first, again = (random_scene(11, SIZE) for _ in range(2))
        assert torch.equal(first.render(1), again.render(1))
        assert torch.equal(first.flow(0, 1)[0], again.flow(0, 1)[0])
        assert not torch.equal(first.render(1), random_scene(12, SIZE).render(1))

    def test_same_in_another_process(self) -> None:
        found = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True).stdout
        assert found.split() == digests(5)

    def test_different_seeds_and_domains_differ(self) -> None:
        found = digests(5) + digests(6)
        assert len(set(found)) == len(found)

    def test_the_size_decides_how_much_is_seen_and_not_what(self) -> None:
        assert [s.owner for s in random_scene(3, (64, 80)).surfaces] == [
            s.owner for s in random_scene(3, (128, 160)).surfaces
        ]

    def test_unknown_domain(self) -> None:
        with pytest.raises(ConfigError, match=r"no synthetic domain is called 'mars'; known domains: source, fog"):
            random_scene(0, SIZE, name="mars")


@functools.cache
def digests(seed: int) -> list[str]:
    """Of frames and truth of a scene, and of a training pair, for each domain."""
    found = []
    for name in DOMAINS:
        scene = random_scene(seed, (32, 48), frames=9, name=name)
        pair = FlowPairs(9, (32, 48), seed=seed, domain=name)[4]
        tracks = scene.tracks(torch.tensor([[0.0, 10.0, 12.5]]), [0, 7])
        for parts in (
            (scene.render(0), scene.render(7), *scene.flow(0, 7), tracks.xy, scene.points(7)[0]),
            pair.values(),
        ):
            digest = hashlib.sha256()
            for part in parts:
                digest.update(part.contiguous().numpy().tobytes())
            found.append(digest.hexdigest())
    return found


class TestMotionClass:
    """What the last object does, as told by tracks of its points alone, seen by a camera that does not move."""

    @pytest.mark.parametrize(("speed", "frames"), [(4.0, 9), (None, 9), (4.0, 24), (None, 48)])
    def test_is_what_is_seen(self, speed: float | None, frames: int) -> None:
        for name in ("source", "night"):
            for seed in range(16):
                scene = random_scene(seed, SIZE, speed, frames, name)
                assert scene.motion_class is not None
                assert_moves(scene.motion_class, main_tracks(scene, frames))

    def test_without_objects_nothing_is_said(self) -> None:
        scene = random_scene(2, SIZE, name="particles")
        assert scene.motion_class is None
        assert scene.key_points == ()
        assert len(scene.surfaces) == 1

    def test_every_class_is_drawn(self) -> None:
        for name in ("source", "night"):
            found = {random_scene(seed, SIZE, frames=33, name=name).motion_class for seed in range(60)}
            assert found == set(MOTION_CLASSES)


def main_tracks(scene: Scene, frames: int) -> Tensor:
    """``(T, N, 2)`` of the pixels of the largest part of the last object in the middle of the clip."""
    last = scene.surfaces[-1].owner
    parts = [surface for surface in scene.surfaces if surface.owner == last]
    # Which side is up is that of the middle of the clip.
    camera = Trajectory(angle=Wave(scene.camera.angle((frames - 1) / 2)))
    scene = replace(at_rest(scene), camera=camera, surfaces=(scene.surfaces[0], *parts))
    middle = frames // 2
    layers = scene.layers(middle)
    largest = layers[layers > 0].mode().values
    y, x = (layers == largest).nonzero().T
    queries = torch.stack((torch.full_like(x, middle), x, y), dim=1)[:: max(1, len(x) // 100)]
    return scene.tracks(queries, range(frames)).xy.double()


def assert_moves(motion: str, xy: Tensor) -> None:
    middle = xy.mean(1)
    away = middle[-1] - middle[0]
    # The best affine map from the points of the first frame to those of each frame.
    first = torch.cat((xy[0] - middle[0], torch.ones(xy.shape[1], 1).double()), dim=1)
    maps = torch.linalg.lstsq(first.expand(len(xy), -1, -1), xy).solution[:, :2].transpose(1, 2)
    if motion in HEADINGS:
        along = (away @ torch.tensor(HEADINGS[motion]).double() / away.norm()).item()
        # The middle of its pixels is not the point that it turns about.
        assert along > math.cos(math.pi / 3)
    elif motion in ("clockwise", "anticlockwise"):
        turned = 0.0
        for before, after in pairwise(maps):
            step = after @ torch.linalg.inv(before)
            turned += math.atan2((step[1, 0] - step[0, 1]).item(), (step[0, 0] + step[1, 1]).item())
        # Clockwise as seen on the screen, whose y points down: from x towards y.
        assert (turned if motion == "clockwise" else -turned) > 0.01
    elif motion in ("grow", "shrink"):
        growth = 0.5 * math.log((torch.linalg.det(maps[-1]) / torch.linalg.det(maps[0])).item())
        assert (growth if motion == "grow" else -growth) > 0.01
    else:
        # To and fro: a longer way than from one end to the other.
        assert away.norm() < 0.6 * middle.diff(dim=0).norm(dim=1).sum()


class TestVariety:
    def test_frames_are_colourful(self) -> None:
        frames = torch.stack([random_scene(seed, (72, 96)).clean().render(0) for seed in range(12)]).float()
        assert frames.std(dim=(1, 2, 3)).mean() > 35
        assert (frames.amax(1) - frames.amin(1)).mean() > 35

    def test_the_source_has_a_bit_of_everything(self) -> None:
        scenes = [random_scene(seed, (48, 64)) for seed in range(40)]
        surfaces = [surface for scene in scenes for surface in scene.surfaces[1:]]
        assert 0.1 < sum(scene.exposures > 1 for scene in scenes) / 40 < 0.4
        assert 0.15 < sum(scene.surfaces[1].shadow is not None for scene in scenes) / 40 < 0.5
        assert {len(scene.looks) for scene in scenes} == {2, 3}
        assert any(surface.warp is not None for surface in surfaces)
        assert any(len(surface.trajectories) > 2 for surface in surfaces)
        assert {max(s.owner for s in scene.surfaces) for scene in scenes} == set(range(2, 10))

    @pytest.mark.parametrize("name", TARGETS)
    def test_objects_are_in_depth_order_and_in_front_of_the_ground(self, name: str) -> None:
        for seed in range(3):
            depths = [surface.depth for surface in random_scene(seed, SIZE, name=name).surfaces]
            assert depths == sorted(depths, reverse=True)
            assert min(depths) >= 1


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    print(*digests(5))
