from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from refine_motion.benchmarks.synthetic.domains import DOMAINS, TARGETS, domain
from refine_motion.benchmarks.synthetic.scene import Scene
from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.errors import ConfigError

SIZE = (64, 80)


def scenes(name: str, count: int = 6) -> list[Scene]:
    return [random_scene(seed, SIZE, frames=9, name=name) for seed in range(count)]


def contrast(image: Tensor) -> float:
    return image.float().std(dim=(1, 2)).mean().item()


def test_eight_targets_and_the_source() -> None:
    assert TARGETS == ("fog", "night", "thermal", "particles", "tissue", "crowd", "sports", "old_film")
    assert set(DOMAINS) == {"source", *TARGETS}
    for name, found in DOMAINS.items():
        assert domain(name) is found
        assert found.name == name
        assert found.about
    with pytest.raises(ConfigError, match=r"'mist'.*known domains: source, fog.*old_film"):
        domain("mist")


@pytest.mark.parametrize("name", DOMAINS)
def test_every_domain_renders(name: str) -> None:
    for scene in scenes(name, 3):
        frames = [scene.render(t) for t in (0, 8)]
        assert all(frame.shape == (3, *SIZE) and frame.dtype == torch.uint8 for frame in frames)
        assert not torch.equal(*frames)
        assert contrast(frames[0]) > 3
        flow, visible = scene.flow(0, 1)
        assert flow.isfinite().all()
        assert visible.float().mean() > 0.4


def test_fog_takes_contrast() -> None:
    for scene in scenes("fog"):
        assert contrast(scene.render(2)) < 0.8 * contrast(scene.clean().render(2))


def test_night_is_dark_dull_and_noisy() -> None:
    for scene in scenes("night"):
        image, clean = scene.render(2).float(), scene.clean().render(2).float()
        assert image.mean() < 70
        assert contrast(image) < 0.7 * contrast(clean)

    def roughness(frame: Tensor) -> Tensor:
        return frame.float().diff(dim=-1).diff(dim=-1).std()

    noisy = torch.stack([roughness(s.render(2)) / contrast(s.render(2)) for s in scenes("night")])
    plain = torch.stack([roughness(s.clean().render(2)) / contrast(s.clean().render(2)) for s in scenes("night")])
    assert noisy.mean() > 2 * plain.mean()


def test_thermal_has_one_band() -> None:
    for scene in scenes("thermal"):
        image = scene.render(2)
        assert torch.equal(image[0], image[1])
        assert torch.equal(image[0], image[2])


def test_particles_are_bright_dots_on_black_that_swirl() -> None:
    for scene in scenes("particles"):
        image = scene.render(2).float()
        assert image.median() < 25
        assert image.flatten().quantile(0.99) > 90
        flow, _ = scene.flow(0, 4)
        # A camera's motion is the same everywhere but for its slow turning.
        assert (flow - flow.mean((1, 2), keepdim=True)).norm(dim=0).max() > 0.5


def test_tissue_is_red_and_elastic() -> None:
    for scene in scenes("tissue"):
        red, green, blue = scene.clean().render(2).float().mean((1, 2)).tolist()
        assert red > 1.3 * max(green, blue)
        flow, _ = scene.flow(0, 4)
        # Rigid and affine motion has no second differences.
        bend = flow[:, :, 2:] - 2 * flow[:, :, 1:-1] + flow[:, :, :-2]
        ground = scene.layers(0)[:, 1:-1] == 0
        assert bend[:, ground].abs().median() > 1e-4


def test_a_crowd_is_many_alike() -> None:
    for scene in scenes("crowd"):
        objects = scene.surfaces[1:]
        assert len({surface.owner for surface in objects}) >= 26
        assert all(torch.equal(s.texture(here()), objects[0].texture(here())) for s in objects)
        # Several are seen at once, and they are small.
        sizes = scene.masks(4).flatten().bincount(minlength=41)[1:]
        assert (sizes > 0).sum() >= 10
        assert sizes.max() < 0.05 * math.prod(SIZE)
        assert torch.equal(objects[0].texture(here()), objects[-1].texture(here()))


def here() -> Tensor:
    return torch.rand((2, 4, 4), generator=torch.Generator().manual_seed(0)) * 8 - 4


def test_sports_are_fast_and_blurred() -> None:
    assert domain("sports").max_speed > domain("fog").max_speed
    for scene in scenes("sports"):
        assert scene.exposures > 1
        assert scene.shutter > 0
        assert not torch.equal(scene.clean().render(2), scene.render(2))
        assert {len(name.split("/")) for name in (point.name for point in scene.key_points)} == {2}
        assert {point.name.split("/")[1] for point in scene.key_points} == {
            *("head", "left hand", "right hand", "left foot", "right foot", "left knee", "right knee")
        }
    speeds = {
        name: torch.stack([torch.hypot(*s.flow(0, 1)[0]).mean() for s in scenes(name)]).mean()
        for name in ("sports", "night")
    }
    assert speeds["sports"] > 2 * speeds["night"]


def test_old_film_has_one_tone_and_shakes() -> None:
    for scene in scenes("old_film"):
        image = scene.render(2).float()
        bands = torch.corrcoef(image.flatten(1))
        assert bands.min() > 0.95
        # The whole picture goes to and fro, at another pace than anything in it.
        steps = torch.stack([scene.flow(t, t + 1)[0].mean((1, 2)) for t in range(8)])
        assert (steps.diff(dim=0).abs().amax() > 0.3).item()


def test_clean_scenes_of_equal_domains_differ_in_looks_alone() -> None:
    for name in TARGETS:
        scene = random_scene(3, SIZE, name=name)
        assert scene.looks
        assert scene.clean().looks == ()
        assert scene.clean().exposures == 1
