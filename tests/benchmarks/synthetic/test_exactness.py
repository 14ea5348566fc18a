"""That truth and pictures of random worlds of every domain belong together, to a fraction of a grey level."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.benchmarks.synthetic.domains import DOMAINS
from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.motion.grid import pixel_grid, warp
from tests.benchmarks.synthetic.made import SIZE, in_float64, instants, own, seeds, well_inside, worlds


@settings(max_examples=30, deadline=None)
@given(worlds, instants, instants)
def test_a_point_keeps_its_colour(scene, i: int, j: int) -> None:
    flow, visible = scene.flow(i, j)
    front = scene.layers(i)
    here = pixel_grid(*SIZE, dtype=torch.float64)
    for order in front[visible].unique().tolist():
        chosen = visible & (front == order)
        before = own(scene, order, i, here[:, chosen][:, None])
        after = own(scene, order, j, (here + flow)[:, chosen][:, None])
        assert (after - before).abs().max() < 1e-3
        texture = in_float64(scene.surfaces[order].texture)
        assert (texture(after) - texture(before)).abs().max() < 0.05


@pytest.mark.parametrize("name", DOMAINS)
def test_warped_frame_has_the_same_colours(name: str) -> None:
    residuals, differences = [], []
    for seed in range(4):
        scene = random_scene(seed, SIZE, frames=20, name=name).clean()
        for i, j in ((0, 1), (3, 2)):
            flow, _ = scene.flow(i, j)
            before, after = scene.render(i).float(), scene.render(j).float()
            checked = well_inside(scene, i, j)
            assert checked.float().mean() > 0.2
            residuals.append((warp(after[None], flow[None])[0] - before).abs().mean(0)[checked].mean())
            differences.append((after - before).abs().mean(0)[checked].mean())
    residual, difference = torch.stack(residuals).mean(), torch.stack(differences).mean()
    # What is left is the loss of bilinear interpolation, which is greatest for bright dots of 2 px.
    assert residual < (4.0 if name == "particles" else 1.0)
    assert residual < difference / 3


@settings(max_examples=12, deadline=None)
@given(seeds, st.sampled_from(["fog", "thermal", "tissue", "crowd", "sports"]))
def test_warped_frame_has_the_same_colours_in_any_scene(seed: int, name: str) -> None:
    scene = random_scene(seed, SIZE, max_speed=8, frames=20, name=name).clean()
    for i, j in ((3, 2), (0, 5)):
        flow, _ = scene.flow(i, j)
        error = (warp(scene.render(j)[None].float(), flow[None])[0] - scene.render(i)).abs().mean(0)
        checked = well_inside(scene, i, j)
        assert checked.float().mean() > 0.2
        assert error[checked].mean() < 2.0


def test_wrong_flow_has_other_colours() -> None:
    for name, least in (("source", 6.0), ("fog", 6.0), ("particles", 12.0)):
        scene = random_scene(0, SIZE, name=name).clean()
        flow, visible = scene.flow(0, 1)
        error = (warp(scene.render(1)[None].float(), flow[None] + 2)[0] - scene.render(0)).abs().mean(0)
        assert error[visible].mean() > least
