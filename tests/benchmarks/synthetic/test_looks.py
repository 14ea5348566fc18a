from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
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
from refine_motion.benchmarks.synthetic.looks.old_film import OldFilm, random_old_film
from refine_motion.benchmarks.synthetic.looks.outdoors import Fog, Lamp, Night, random_fog, random_night
from refine_motion.benchmarks.synthetic.looks.pieces import blur, kernel, random_waves, spots, vignette
from refine_motion.benchmarks.synthetic.looks.thermal import random_thermal
from refine_motion.benchmarks.synthetic.looks.tissue import random_specular
from refine_motion.benchmarks.synthetic.textures import random_texture
from refine_motion.motion.grid import pixel_grid

FACTORIES: list[Callable[[Generator], Look]] = [
    random_exposure,
    random_sensor,
    random_jpeg,
    random_fog,
    random_night,
    random_thermal,
    random_old_film,
    random_specular,
]
EVERY = pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__name__.removeprefix("random_"))


def picture(seed: int = 0, height: int = 48, width: int = 64) -> tuple[Tensor, Tensor]:
    """A texture, with a near object in the left half before a far background."""
    image = random_texture(generator(seed))(pixel_grid(height, width)).clamp(0, 255)
    return image, torch.where(torch.arange(width) < width // 2, 1.5, 5.0).expand(height, width).contiguous()


def flat(level: float, depth: float = 2.0, side: int = 256) -> tuple[Tensor, Tensor]:
    return torch.full((3, side, side), level), torch.full((side, side), depth)


@EVERY
@settings(max_examples=30, deadline=None)
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


@pytest.mark.parametrize("factory", [factory for factory in FACTORIES if factory is not random_jpeg])
def test_stays_on_the_device(factory: Callable[[Generator], Look]) -> None:
    # The device that holds no numbers refuses any that were left on the CPU.
    image, depth = (part.to("meta") for part in picture())
    assert factory(generator(1))(image, depth, 4).device.type == "meta"


@EVERY
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_same_on_a_gpu(factory: Callable[[Generator], Look]) -> None:
    image, depth = picture()
    look = factory(generator(1))
    out = look(image.cuda(), depth.cuda(), 4).cpu()
    # JPEG rounds what goes in, but whole levels are the same everywhere.
    torch.testing.assert_close(out, look(image, depth, 4), atol=1e-2, rtol=0)


def patches(image: Tensor) -> Tensor:
    return image.unfold(0, 32, 32).unfold(1, 32, 32).reshape(-1, 32 * 32)


@EVERY
def test_motion_stays_discernible(factory: Callable[[Generator], Look]) -> None:
    image, depth = picture(seed=3, height=128, width=128)
    luma = blur(image.mean(0), 2.0)
    for seed in range(6):
        shown = blur(factory(generator(seed))(image, depth, 0).mean(0), 2.0)
        # Locally the picture still follows the scene, whichever way round the tones are.
        pairs = zip(patches(luma), patches(shown), strict=True)
        alike = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1].abs() for pair in pairs])
        assert alike.median() > 0.4


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


def test_fog_takes_what_is_far() -> None:
    left = []
    for depth in (1.0, 4.0, 8.0, 40.0):
        out = Fog(0.2, (200.0, 210.0, 220.0), 0.3, random_waves(generator(1), (70, 220), 1, 0.05))(
            *flat(20.0, depth), 0
        )
        left.append((out.mean((1, 2)) - torch.tensor([200.0, 210.0, 220.0])).abs().max().item())
    assert left == sorted(left, reverse=True)
    assert left[-1] < 2


def test_even_fog_follows_the_law() -> None:
    image, depth = picture()
    out = Fog(0.2, (200.0, 210.0, 220.0), 0.0, random_waves(generator(1), (70, 220), 1, 0.05))(image, depth, 3)
    airlight = torch.tensor([200.0, 210.0, 220.0])[:, None, None]
    torch.testing.assert_close(out, airlight + (image - airlight) * torch.exp(-0.2 * depth))


def test_fog_drifts_slowly_before_a_still_scene() -> None:
    image, depth = picture(height=128, width=128)
    fog = random_fog(generator(3))
    near, far = ((fog(image, depth, t) - fog(image, depth, 0)).abs().mean() for t in (1, 20))
    assert 0 < near < 3
    assert far > 3 * near


def test_night_is_dark_pale_and_noisy() -> None:
    image, depth = flat(150.0)
    image[0] = 250
    noise = Sensor(0.5, 6, seed=1)
    out = Night(0.1, 0.4, (1.0, 1.0, 1.0), 8.0, 0.0, (), noise)(image, depth, 0)
    red, green, blue = out.mean((1, 2)).tolist()
    assert green == pytest.approx(blue, abs=0.2)
    assert red - green == pytest.approx(0.1 * 0.4 * 100, abs=0.2)
    assert out[1].std().item() == pytest.approx((0.5 * green + 9) ** 0.5, rel=0.02)


def test_a_lamp_lights_its_surroundings() -> None:
    image, depth = flat(200.0)
    lamp = Lamp((0.25, 0.5), 0.1, (0.5, 0.4, 0.3))
    quiet = Sensor(0.0, 0.0, seed=1)
    out = Night(0.1, 1.0, (1.0, 1.0, 1.0), 0.0, 0.0, (lamp,), quiet)(image, depth, 0)
    assert out[:, 128, 64].tolist() == pytest.approx([120, 100, 80], abs=0.5)
    assert out[:, 128, 250].tolist() == pytest.approx([20] * 3, abs=0.1)


def test_thermal_has_one_band_and_may_be_either_way_round() -> None:
    image, depth = picture()
    hot = replace(random_thermal(generator(1)), white_hot=True)
    out = hot(image, depth, 0)
    assert torch.equal(out[0], out[1])
    assert torch.equal(out[0], out[2])
    torch.testing.assert_close(replace(hot, white_hot=False)(image, depth, 0), 255 - out)


def test_thermal_columns_stay_while_noise_is_new() -> None:
    thermal = replace(random_thermal(generator(2)), columns=4.0, noise=4.0, unevenness=0.0)
    frames = torch.stack([thermal(*flat(100.0), t)[0] for t in range(2)])
    profile = frames.mean(1)
    assert torch.corrcoef(profile)[0, 1] > 0.95
    rest = frames - profile[:, None]
    assert abs(torch.corrcoef(rest.flatten(1))[0, 1]) < 0.02
    assert rest.std() > 2


def test_film_is_one_tone_and_dust_lasts_one_frame() -> None:
    clean = replace(random_old_film(generator(1)), tone=(1.0, 0.9, 0.7), grain=0.0, flicker=0.0, scratches=(), dust=5.0)
    frames = [clean(*flat(120.0), t) for t in range(6)]
    for frame in frames:
        torch.testing.assert_close(frame[2], frame[0] * 0.7)
    still = replace(clean, dust=0.0)(*flat(120.0), 0)
    specks = torch.stack([(frame - still)[0].abs() > 10 for frame in frames])
    assert 0 < specks.float().mean() < 0.02
    # No place is dirty in two frames out of six but by a rare chance.
    assert (specks.sum(0) > 1).sum() < 0.2 * specks.sum()


def test_film_grain_is_as_strong_as_asked_and_coarser_than_a_pixel() -> None:
    film = OldFilm((1.0, 1.0, 1.0), 1.0, 1.0, 0.0, 10.0, 0.0, (), 0.0, seed=1)
    grain = film(*flat(127.5), 0)[0] - 127.5
    assert grain.std().item() == pytest.approx(10, rel=0.03)
    assert 0.3 < (grain[:, 1:] * grain[:, :-1]).mean() / grain.var() < 0.7
    assert abs((grain[:, 3:] * grain[:, :-3]).mean() / grain.var()) < 0.05
    assert film(*flat(0.0), 0)[0].std() < 4


def test_film_flickers_from_frame_to_frame() -> None:
    film = OldFilm((1.0, 1.0, 1.0), 1.0, 1.0, 0.0, 0.0, 0.05, (), 0.0, seed=1)
    level = torch.tensor([film(*flat(100.0, side=16), t).mean() for t in range(200)])
    assert level.std().item() == pytest.approx(5, rel=0.2)


def test_highlights_stay_with_the_light() -> None:
    specular = random_specular(generator(2))
    frames = []
    for shift in (0, 12):
        image, depth = flat(60.0)
        image[:, :, shift::40] = 100
        frames.append(specular(image, depth, 0)[0] > 150)
    assert (frames[0] & frames[1]).sum() > 0.9 * (frames[0] | frames[1]).sum()
    assert 0.001 < frames[0].float().mean() < 0.15
    later = specular(*flat(60.0), 1)[0] > 150
    assert not torch.equal(later, frames[0])
    assert (later & frames[0]).sum() > 0.5 * frames[0].sum()


def test_waves_are_a_unit_relief_with_its_slope() -> None:
    waves = random_waves(generator(4), (30, 80), wind=1.0, churn=0.05)
    like = torch.zeros(800, 900)
    height = waves.height(like, 3)
    assert height.mean().item() == pytest.approx(0, abs=0.1)
    assert height.std().item() == pytest.approx(1, abs=0.1)
    slope = waves.slope(like, 3)
    assert slope.square().sum(0).mean().item() == pytest.approx(2, abs=0.2)
    down, along = torch.gradient(height)
    for mine, measured in zip(slope, (along, down), strict=True):
        assert torch.corrcoef(torch.stack((mine.flatten(), measured.flatten())))[0, 1] > 0.999


def test_waves_drift_with_the_wind() -> None:
    waves = random_waves(generator(4), (30, 80), wind=2.0, churn=0.0)
    first, second = (waves.height(torch.zeros(64, 64), t) for t in (0, 1))
    along, down = waves.slope(torch.zeros(64, 64), 0)
    # Least squares of brightness constancy.
    system = torch.stack((along.flatten(), down.flatten()), dim=1)
    speed = torch.linalg.lstsq(system, (first - second).flatten()[:, None]).solution
    scale = torch.gradient(first)[1].norm() / along.norm()
    assert (speed / scale).norm().item() == pytest.approx(2, rel=0.1)


def test_blur_keeps_the_mean_and_spreads_as_asked() -> None:
    dot = torch.zeros(1, 33, 33)
    dot[0, 16, 16] = 1
    spread = blur(dot, 1.5)
    x = torch.arange(33) - 16.0
    assert spread.sum().item() == pytest.approx(1)
    assert (spread[0].sum(0) * x.square()).sum().item() ** 0.5 == pytest.approx(1.5, rel=0.05)
    torch.testing.assert_close(spread, spread.mT)
    torch.testing.assert_close(blur(torch.ones(3, 2, 5), 2.0), torch.ones(3, 2, 5))
    middle, *sides = kernel(0.7)
    assert middle + 2 * sum(sides) == pytest.approx(1)


def test_vignette_and_spots() -> None:
    shade = vignette(torch.zeros(3, 31, 41), 0.4)
    assert shade[15, 20].item() == pytest.approx(1)
    assert shade[[0, -1], [0, -1]].tolist() == pytest.approx([0.6, 0.6])
    (spot,) = spots(torch.tensor([[0.5, 0.25]]), torch.tensor([[2.0, 4.0]]), torch.zeros(41, 41))
    assert spot[10, 20].item() == pytest.approx(1)
    assert spot[10, 22].item() == pytest.approx(spot[14, 20].item()) == pytest.approx(0.6065, abs=1e-3)


if __name__ == "__main__":
    print(digest())
