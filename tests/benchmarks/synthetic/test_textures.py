from __future__ import annotations

import pytest
import torch

from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.textures import Blobs, Noise, Stripes, random_texture
from refine_motion.motion.grid import pixel_grid


def test_every_kind_is_drawn() -> None:
    assert {type(random_texture(generator(seed))) for seed in range(30)} == {Noise, Stripes, Blobs}


@pytest.mark.parametrize("seed", range(12))
def test_little_lies_above_a_quarter_cycle_per_pixel(seed: int) -> None:
    texture = random_texture(generator(seed))
    image = texture(pixel_grid(128, 128)).double()
    window = torch.hann_window(128, periodic=False, dtype=torch.float64)
    image = (image - image.mean((1, 2), keepdim=True)) * window * window[:, None]
    power = torch.fft.fft2(image).abs().square().sum(0)
    frequency = torch.fft.fftfreq(128, dtype=torch.float64)
    high = torch.hypot(*torch.meshgrid(frequency, frequency, indexing="ij")) > 0.25
    assert power[high].sum() / power.sum() < 2e-3


@pytest.mark.parametrize("seed", range(12))
def test_defined_far_away_and_smooth_between_pixels(seed: int) -> None:
    texture = random_texture(generator(seed))
    for far in (0.0, -3000.0, 3000.0):
        colours = texture(pixel_grid(40, 200) * 0.125 + far)
        assert colours.isfinite().all()
        # An eighth of a pixel never changes a colour by more than a steep edge of 4 px would.
        assert colours.diff(dim=-1).abs().max() < 20
