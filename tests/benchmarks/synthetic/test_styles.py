from __future__ import annotations

import colorsys

import pytest
import torch

from refine_motion.benchmarks.synthetic.domains import DOMAINS
from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.styles import Style, palette
from refine_motion.benchmarks.synthetic.textures import KINDS


@pytest.mark.parametrize("seed", range(5))
def test_colours_lie_within_the_style(seed: int) -> None:
    style = Style(hue=(0.25, 0.4), saturation=(0.5, 0.8), lightness=(70.0, 150.0))
    colours = palette(generator(seed), 5, style)
    assert colours.shape == (5, 3)
    assert (colours.mean(1) >= 70 - 1e-3).all()
    assert (colours.mean(1) <= 150 + 1e-3).all()
    for colour in colours.tolist():
        hue, saturation, _ = colorsys.rgb_to_hsv(*(value / 255 for value in colour))
        assert 0.15 < hue < 0.5
        assert saturation > 0.3


def test_lightness_is_spread_and_grey_is_grey() -> None:
    colours = palette(generator(1), 4, Style(saturation=(0.0, 0.0), lightness=(40.0, 200.0)))
    assert torch.allclose(colours, colours[:, :1])
    assert colours[:, 0].sort().values.tolist() == pytest.approx([60.0, 100.0, 140.0, 180.0])


def test_domains_name_kinds_that_exist() -> None:
    for domain in DOMAINS.values():
        for style in (domain.style, domain.ground):
            assert set(style.kinds) <= set(KINDS)
