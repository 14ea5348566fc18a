from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.looks.base import Look, apply
from refine_motion.benchmarks.synthetic.looks.camera import (
    Exposure,
    Jpeg,
    Sensor,
    random_exposure,
    random_jpeg,
    random_sensor,
)
from refine_motion.benchmarks.synthetic.textures import random_texture
from refine_motion.motion.grid import pixel_grid

FACTORIES: list[Callable[[Generator], Look]] = [random_exposure, random_sensor, random_jpeg]
EVERY = pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__name__.removeprefix("random_"))


def picture(seed: int = 0, height: int = 48, width: int = 64) -> tuple[Tensor, Tensor]:
    """A texture, with a near object in the left half before a far background."""
    image = random_texture(generator(seed))(pixel_grid(height, width)).clamp(0, 255)
    return image, torch.where(torch.arange(width) < width // 2, 1.5, 5.0).expand(height, width).contiguous()


def flat(level: float, depth: float = 2.0, side: int = 256) -> tuple[Tensor, Tensor]:
    return torch.full((3, side, side), level), torch.full((side, side), depth)


@EVERY
@given(seed=st.integers(0, 2**40), t=st.integers(0, 1000), height=st.integers(9, 40), width=st.integers(9, 40))
def test_any_scene_any_size(factory: Callable[[Generator], Look], seed: int, t: int, height: int, width: int) -> None:
    image, depth = picture(seed, height, width)
    before = image.clone(), depth.clone()
    look = factory(generator(seed))
    out = look(image, depth, t)
    assert out.shape == image.shape
    assert out.dtype == torch.float32
    assert out.data_ptr() != image.data_ptr()
    assert torch.equal(image, before[0])
    assert torch.equal(depth, before[1])
    assert out.isfinite().all()
    assert -50 <= out.min() <= out.max() <= 305
    assert torch.equal(out, factory(generator(seed))(image, depth, t))


def digest() -> str:
    image, depth = picture()
    return " ".join(f"{factory(generator(5))(image, depth, 7).double().sum().item():.3f}" for factory in FACTORIES)


def test_same_in_another_process() -> None:
    found = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True).stdout
    assert found.strip() == digest()


@EVERY
def test_varies_from_scene_to_scene(factory: Callable[[Generator], Look]) -> None:
    image, depth = picture()
    first, second = (factory(generator(seed))(image, depth, 0) for seed in (1, 2))
    assert not torch.equal(first, second)


def test_looks_follow_one_another() -> None:
    image, depth = picture()
    exposure, sensor = random_exposure(generator(1)), random_sensor(generator(2))
    assert torch.equal(apply([exposure, sensor], image, depth, 3), sensor(exposure(image, depth, 3), depth, 3))
    assert apply([], image, depth, 3) is image


def test_exposure_without_change_is_the_identity() -> None:
    image, depth = picture()
    out = Exposure(swing=0, turn=1, phase=0, bend=0, contrast=1, shade=0)(image, depth, 5)
    torch.testing.assert_close(out, image, atol=1e-4, rtol=0)


def test_exposure_swings_and_shades() -> None:
    image, depth = flat(100.0, side=65)
    exposure = Exposure(swing=0.1, turn=torch.pi / 2, phase=0.0, bend=0.0, contrast=1.0, shade=0.3)
    middle = [exposure(image, depth, t)[0, 32, 32].item() for t in range(4)]
    assert middle == pytest.approx([100, 110, 100, 90])
    assert exposure(image, depth, 0)[:, 0, 0].tolist() == pytest.approx([70] * 3)


def test_a_bend_lifts_grey_between_black_and_white() -> None:
    ramp = torch.linspace(0, 255, 256).expand(3, 1, 256)
    out = Exposure(swing=0, turn=1, phase=0, bend=0.25, contrast=1, shade=0)(ramp, ramp[0], 0)[0, 0]
    assert out[[0, -1]].tolist() == pytest.approx([0, 255])
    assert (out.diff() > 0).all()
    assert (out - ramp[0, 0])[1:-1].min() > 0


@pytest.mark.parametrize("level", [0.0, 50.0, 200.0])
def test_sensor_noise_is_as_large_as_asked(level: float) -> None:
    image, depth = flat(level)
    noise = Sensor(gain=0.1, read=10, seed=3)(image, depth, 0) - level
    assert noise.mean().item() == pytest.approx(0, abs=0.05)
    assert noise.std().item() == pytest.approx((0.1 * level + 1) ** 0.5, rel=0.01)
    # White: neither neighbours nor channels know of one another.
    for pair in ((noise[..., 1:], noise[..., :-1]), (noise[:, 1:], noise[:, :-1]), (noise[1:], noise[:-1])):
        assert abs((pair[0] * pair[1]).mean() / noise.var()) < 0.01


def test_sensor_noise_is_new_in_every_frame_and_seed() -> None:
    image, depth = flat(0.0)
    first = Sensor(1.0, 1.0, seed=3)(image, depth, 0)
    for other in (Sensor(1.0, 1.0, seed=3)(image, depth, 1), Sensor(1.0, 1.0, seed=4)(image, depth, 0)):
        assert abs((first * other).mean()) < 0.01


def test_jpeg_is_close_and_better_with_quality() -> None:
    image, depth = picture(height=128, width=128)
    errors = [(Jpeg(quality)(image, depth, 0) - image).abs().mean() for quality in (95, 60, 20)]
    assert 0 < errors[0] < errors[1] < errors[2] < 10
    out = Jpeg(60)(image, depth, 0)
    assert torch.equal(out, out.round())


if __name__ == "__main__":
    print(digest())
