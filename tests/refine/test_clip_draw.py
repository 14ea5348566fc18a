from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from refine_motion.errors import ConfigError
from refine_motion.refine.clip_augment import ClipAugmentation
from refine_motion.refine.clip_draw import draw
from tests.refine.clips import EVERYTHING


def test_shares_and_ranges() -> None:
    settings = ClipAugmentation(crop=(20, 24))
    draws = [draw(settings, seed, (200, 240)) for seed in range(1500)]

    def share(*chosen: bool) -> float:
        return sum(chosen) / len(draws)

    assert share(*(d.backwards for d in draws)) == pytest.approx(0.5, abs=0.05)
    assert share(*(d.view.hflip for d in draws)) == pytest.approx(0.5, abs=0.05)
    assert share(*(d.view.vflip for d in draws)) == pytest.approx(0.1, abs=0.03)
    assert share(*(d.view.scale != (1, 1) for d in draws)) == pytest.approx(0.8, abs=0.04)
    assert share(*(d.look.colours is not None for d in draws)) == pytest.approx(0.8, abs=0.04)
    assert share(*(d.look.grey for d in draws)) == pytest.approx(0.1, abs=0.03)
    assert share(*(d.look.blur is not None for d in draws)) == pytest.approx(0.25, abs=0.04)
    assert share(*(d.look.noise is not None for d in draws)) == pytest.approx(0.25, abs=0.04)
    assert share(*(d.look.pattern is not None for d in draws)) == pytest.approx(0.25, abs=0.04)
    assert share(*(d.look.jpeg is not None for d in draws)) == pytest.approx(0.3, abs=0.04)
    assert share(*(len(d.occluders) > 0 for d in draws)) == pytest.approx(0.5, abs=0.05)
    assert {len(d.occluders) for d in draws} == {0, 1, 2, 3}

    scales = torch.tensor([d.view.scale for d in draws if d.view.scale != (1, 1)])
    size, stretch = scales.prod(dim=1).sqrt(), scales[:, 0] / scales[:, 1]
    assert 0.8 <= size.min() < 0.82 < 1.45 < size.max() <= 1.5
    assert size.log().mean().item() == pytest.approx((math.log(0.8) + math.log(1.5)) / 2, abs=0.02)
    assert 1 / 1.15 - 1e-6 <= stretch.min() < 0.88 < 1.13 < stretch.max() <= 1.15 + 1e-6
    angles = torch.tensor([math.degrees(d.view.angle) for d in draws])
    assert -10 <= angles.min() < -9.5 < 9.5 < angles.max() <= 10
    colours = torch.tensor([d.look.colours for d in draws if d.look.colours is not None])
    assert 0.6 <= colours[:, :3].min() < 0.62 < 1.38 < colours[:, :3].max() <= 1.4
    assert 0.155 < colours[:, 3].abs().max() <= 0.5 / math.pi
    sides = torch.tensor([o.sides for d in draws for o in d.occluders])
    assert 0.05 <= sides.min() < 0.06 < 0.29 < sides.max() <= 0.3


def test_crops_of_upright_frames_are_upright() -> None:
    settings = ClipAugmentation(crop=(20, 24))
    assert draw(settings, 0, (200, 240)).view.size == (20, 24)
    assert draw(settings, 0, (240, 200)).view.size == (24, 20)
    assert draw(settings, 0, (200, 200)).view.size == (20, 24)


def test_one_setting_does_not_change_the_draws_of_another() -> None:
    for seed in range(30):
        full = draw(EVERYTHING, seed, (44, 52))
        reduced = draw(
            replace(EVERYTHING, occluder_probability=0, blur_probability=0, reverse_probability=0), seed, (44, 52)
        )
        assert reduced.view == full.view
        assert replace(full.look, blur=None) == reduced.look
        assert not reduced.backwards
        assert draw(replace(EVERYTHING, affine_probability=0), seed, (44, 52)).occluders == full.occluders


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reverse_probability", 1.5),
        ("jpeg_probability", -0.1),
        ("blur_probability", math.nan),
        ("brightness", 1.1),
        ("hue", 0.6),
        ("scale", (0.0, 1.0)),
        ("scale", (1.5, 0.8)),
        ("scale", (0.8, 1.0, 1.5)),
        ("stretch", 0.9),
        ("rotation", 90.0),
        ("jpeg_quality", (0.0, 50.0)),
        ("noise_sigma", (-1.0, 5.0)),
        ("pattern_sigma", (5.0, 300.0)),
        ("blur_sigma", (0.0, 1.0)),
        ("occluders", 0),
        ("occluder_size", (0.1, 3.0)),
        ("occluder_travel", -1.0),
        ("crop", (0, 64)),
        ("crop", (64,)),
    ],
)
def test_impossible_settings_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^augment\.{name} must be .*, got") as error:
        ClipAugmentation(**{name: value})
    assert "\n" not in str(error.value)
