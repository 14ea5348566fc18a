from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.scene import Scene, Sprite, random_scene
from refine_motion.benchmarks.synthetic.shapes import Ellipse
from refine_motion.benchmarks.synthetic.textures import random_texture
from refine_motion.benchmarks.synthetic.trajectory import Trajectory, Wave
from refine_motion.motion.grid import pixel_grid, warp

SIZE = (72, 96)
seeds = st.integers(min_value=0, max_value=2**31)


def moving(x: float = 0.0, y: float = 0.0, start: tuple[float, float] = (0.0, 0.0)) -> Trajectory:
    return Trajectory(Wave(start[0], x), Wave(start[1], y))


def inner(scene: Scene, i: int, j: int) -> Tensor:
    """Visible pixels of frame i that land among pixels of their own layer in frame j: away from every edge."""
    flow, visible = scene.flow(i, j)
    for t, shift in ((i, torch.zeros_like(flow)), (j, flow)):
        own = torch.stack([scene.layers(t) == layer for layer in range(len(scene.sprites) + 1)]).float()
        # The same layer in the 3x3 neighbourhoods of all four pixels around the point.
        deep = 1 - torch.nn.functional.max_pool2d(1 - own[None], 3, 1, 1)
        at_point = warp(deep, shift[None])[0]
        visible &= at_point.gather(0, scene.layers(i).long()[None])[0] > 0.999
    return visible


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_warped_frame_has_the_same_colours(seed: int) -> None:
    scene = random_scene(seed, SIZE, max_speed=8, frames=20)
    for i, j in ((0, 1), (3, 1), (0, 5)):
        flow, _ = scene.flow(i, j)
        error = (warp(scene.render(j)[None].float(), flow[None])[0] - scene.render(i)).abs().mean(0)
        checked = inner(scene, i, j)
        assert checked.float().mean() > 0.2
        assert error[checked].mean() < 2.0


def test_wrong_flow_has_other_colours() -> None:
    scene = random_scene(0, SIZE)
    flow, visible = scene.flow(0, 1)
    error = (warp(scene.render(1)[None].float(), flow[None] + 2)[0] - scene.render(0)).abs().mean(0)
    assert error[visible].mean() > 6.0


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_there_and_back_ends_where_it_began(seed: int) -> None:
    scene = random_scene(seed, SIZE, max_speed=8, frames=20)
    flow, visible = scene.flow(0, 4)
    back, _ = scene.flow(4, 0)
    # The flow of one layer is affine in the pixel, so bilinear sampling of it is exact inside that layer.
    checked = inner(scene, 0, 4)
    returned = warp(back[None], flow[None])[0]
    assert torch.hypot(*(flow + returned))[checked].max() < 0.01
    assert checked.sum() > 0.4 * visible.sum()


@pytest.mark.parametrize(("x", "y"), [(1.0, 0.0), (0.37, -2.81), (-7.0, 3.3)])
def test_translation_is_exact(x: float, y: float) -> None:
    texture = random_texture(generator(5))
    scene = Scene(SIZE, texture, (), camera=moving(-x, -y))
    flow, visible = scene.flow(2, 5)
    assert torch.allclose(flow, 3 * torch.tensor([x, y]).view(2, 1, 1).expand_as(flow), atol=1e-5)
    target = pixel_grid(*SIZE) + flow
    inside = (target[0] >= 0) & (target[0] <= SIZE[1] - 1) & (target[1] >= 0) & (target[1] <= SIZE[0] - 1)
    assert torch.equal(visible, inside)


def test_whole_pixel_translation_moves_the_image() -> None:
    scene = Scene(SIZE, random_texture(generator(6)), (), camera=moving(-3, -2))
    before, after = scene.render(0).int(), scene.render(1).int()
    assert (after[:, 2:, 3:] - before[:, :-2, :-3]).abs().max() <= 1


def test_sprite_moves_and_hides_what_is_behind() -> None:
    source = generator(7)
    disc = Sprite(random_texture(source), Ellipse(10, 10), moving(4, 0, start=(-17.5, 0.5)))
    scene = Scene(SIZE, random_texture(source), (disc,))
    flow, visible = scene.flow(0, 1)
    x, y = pixel_grid(*SIZE)
    inside, covered_later = torch.hypot(x - 30, y - 36) < 10, torch.hypot(x - 34, y - 36) < 10
    # Pixel centres exactly on the outline may fall to either side.
    sure = (torch.hypot(x - 30, y - 36) - 10).abs().minimum((torch.hypot(x - 34, y - 36) - 10).abs()) > 1e-3
    assert torch.equal((flow[0] > 2)[sure], inside[sure])
    assert torch.allclose(flow[0, inside & sure], torch.tensor(4.0), atol=1e-5)
    assert flow[1].abs().max() < 1e-5
    assert torch.equal(visible[sure], (inside | ~covered_later)[sure])


def test_front_sprite_wins() -> None:
    source = generator(8)
    back = Sprite(random_texture(source), Ellipse(20, 20), moving(1, 0, start=(0.5, 0.5)))
    front = Sprite(random_texture(source), Ellipse(8, 8), moving(-1, 0, start=(0.5, 0.5)))
    flow, _ = Scene(SIZE, random_texture(source), (back, front)).flow(0, 1)
    assert flow[0, 36, 48].item() == pytest.approx(-1)
    assert flow[0, 36, 60].item() == pytest.approx(1)
    assert flow[0, 36, 90].item() == pytest.approx(0)


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(min_value=0.5, max_value=12), st.integers(min_value=2, max_value=60))
def test_speed_bound(seed: int, max_speed: float, frames: int) -> None:
    scene = random_scene(seed, SIZE, max_speed, frames)
    for t in (0, frames - 1):
        flow, _ = scene.flow(t, t + 1)
        assert torch.hypot(*flow).max() <= max_speed * (1 + 1e-5)


def test_speeds_use_the_range_they_are_given() -> None:
    fastest = torch.stack(
        [torch.hypot(*random_scene(seed, SIZE, max_speed=8).flow(0, 1)[0]).max() for seed in range(12)]
    )
    assert fastest.median() > 2.5


def test_static_scene_is_visible_everywhere() -> None:
    scene = random_scene(3, SIZE, max_speed=0)
    flow, visible = scene.flow(0, 7)
    assert visible.all()
    assert flow.abs().max() < 1e-6
    assert torch.equal(scene.render(0), scene.render(7))


def test_same_seed_same_scene() -> None:
    first, again = (random_scene(11, SIZE, noise=2, drift=0.05) for _ in range(2))
    assert torch.equal(first.render(1), again.render(1))
    assert torch.equal(first.flow(0, 1)[0], again.flow(0, 1)[0])
    assert not torch.equal(first.render(1), random_scene(12, SIZE, noise=2, drift=0.05).render(1))


def test_frames_are_colourful() -> None:
    frames = torch.stack([random_scene(seed, SIZE).render(0) for seed in range(12)]).float()
    assert frames.std(dim=(1, 2, 3)).mean() > 35
    assert (frames.amax(1) - frames.amin(1)).mean() > 35


def test_noise_and_drift_have_the_size_asked_for() -> None:
    clean, noisy = random_scene(4, SIZE), random_scene(4, SIZE, noise=3)
    difference = noisy.render(0).float() - clean.render(0).float()
    middle = (clean.render(0) > 20) & (clean.render(0) < 235)
    assert difference[middle].std().item() == pytest.approx(math.hypot(3, 0.4), abs=0.25)
    assert not torch.equal(noisy.render(0).float() - clean.render(0), noisy.render(1).float() - clean.render(1))

    drifting = random_scene(4, SIZE, max_speed=0, frames=60, drift=0.1)
    means = torch.stack([drifting.render(t).float().mean() for t in range(0, 90, 5)]) / clean.render(0).float().mean()
    assert 0.88 <= means.min() < means.max() <= 1.12
    assert means.max() - means.min() > 0.05


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_gives_the_same_scene() -> None:
    here, there = random_scene(9, SIZE), random_scene(9, SIZE, device="cuda")
    assert (here.render(1).int() - there.render(1).cpu().int()).abs().float().mean() < 0.1
    assert torch.allclose(here.flow(0, 1)[0], there.flow(0, 1)[0].cpu(), atol=1e-3)
