from __future__ import annotations

import pytest
import torch

from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.styles import Style
from refine_motion.benchmarks.synthetic.textures import (
    KINDS,
    Blobs,
    Field,
    Glyphs,
    Noise,
    Stripes,
    Veins,
    random_texture,
)
from refine_motion.motion.grid import pixel_grid

# Strokes have edges of 2 px, and tracers of a real light sheet are spots of 2 to 5 px.
FINE = {"noise": 2e-3, "stripes": 2e-3, "blobs": 2e-3, "veins": 4e-3, "glyphs": 3e-2, "dots": 0.35}


def of_kind(kind: str, seed: int) -> Field:
    return random_texture(generator(seed), Style(kinds={kind: 1.0}))


def test_every_kind_is_drawn() -> None:
    assert {type(random_texture(generator(seed))) for seed in range(30)} == {Noise, Stripes, Blobs, Glyphs}
    made = {kind: type(of_kind(kind, 0)) for kind in KINDS}
    assert made == {
        "noise": Noise,
        "stripes": Stripes,
        "blobs": Blobs,
        "dots": Blobs,
        "glyphs": Glyphs,
        "veins": Veins,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_little_lies_above_a_quarter_cycle_per_pixel(kind: str) -> None:
    for seed in range(8):
        image = of_kind(kind, seed)(pixel_grid(128, 128)).double()
        window = torch.hann_window(128, periodic=False, dtype=torch.float64)
        image = (image - image.mean((1, 2), keepdim=True)) * window * window[:, None]
        power = torch.fft.fft2(image).abs().square().sum(0)
        frequency = torch.fft.fftfreq(128, dtype=torch.float64)
        high = torch.hypot(*torch.meshgrid(frequency, frequency, indexing="ij")) > 0.25
        assert power[high].sum() / power.sum() < FINE[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_defined_far_away_and_smooth_between_pixels(kind: str) -> None:
    for seed in range(6):
        texture = of_kind(kind, seed)
        for far in (0.0, -3000.0, 3000.0):
            colours = texture(pixel_grid(40, 200) * 0.125 + far)
            assert colours.isfinite().all()
            # An eighth of a pixel never changes a colour by more than a steep edge of 4 px would; dots are half that.
            assert colours.diff(dim=-1).abs().max() < (40 if kind == "dots" else 20)


@pytest.mark.parametrize("kind", KINDS)
def test_is_a_function_of_the_place_alone(kind: str) -> None:
    texture = of_kind(kind, 3)
    xy = pixel_grid(24, 32) * 1.7 - 9
    whole = texture(xy)
    assert whole.shape == (3, 24, 32)
    assert torch.allclose(texture(xy[:, 5:9, 3:20]), whole[:, 5:9, 3:20], atol=1e-3)
    # The caller may write into what it is given.
    whole.zero_()
    assert texture(xy).abs().max() > 1


@pytest.mark.parametrize("kind", KINDS)
def test_contrast_is_a_factor_on_the_differences(kind: str) -> None:
    def deviation(contrast: float) -> float:
        texture = random_texture(generator(5), Style(kinds={kind: 1.0}, contrast=(contrast, contrast)))
        return texture(pixel_grid(96, 96)).std(dim=(1, 2)).mean().item()

    assert deviation(0.5) == pytest.approx(0.5 * deviation(1.0), rel=0.02)
