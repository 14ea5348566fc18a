from __future__ import annotations

import pytest
import torch

from refine_motion.errors import ConfigError
from refine_motion.motion.grid import in_bounds, warp
from refine_motion.refine.augment import Augmentation, PairAugmenter, draw

NOTHING = Augmentation(jitter_probability=0, hflip_probability=0, vflip_probability=0)


def batch(count: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    a = torch.randint(0, 256, (count, 3, 10, 14), generator=generator, dtype=torch.uint8)
    b = torch.randint(0, 256, (count, 3, 10, 14), generator=generator, dtype=torch.uint8)
    flow = torch.randn(count, 2, 10, 14, generator=generator)
    return a, b, flow, (2 * torch.rand(count, 1, 10, 14, generator=generator) - 1).clamp(min=0)


def test_nothing_changes_when_nothing_is_asked_for() -> None:
    a, b, flow, weight = batch()
    out = PairAugmenter(NOTHING)(a, b, flow, weight, [1, 2, 3])
    torch.testing.assert_close(out[0], a.float())
    torch.testing.assert_close(out[1], b.float())
    assert torch.equal(out[2], flow)
    assert torch.equal(out[3], weight)


@pytest.mark.parametrize(("axis", "setting"), [(3, "hflip_probability"), (2, "vflip_probability")])
def test_a_flip_moves_labels_with_the_pixels(axis: int, setting: str) -> None:
    _, b, _, _ = batch(1)
    shift = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 10, 14)
    a = warp(b.float(), shift)
    place = 0.1 + torch.arange(140.0).view(1, 1, 10, 14)
    before = in_bounds(shift)[:, None] * place
    probabilities = {"jitter_probability": 0.0, "hflip_probability": 0.0, "vflip_probability": 0.0} | {setting: 1.0}
    fa, fb, flow, weight = PairAugmenter(Augmentation(**probabilities))(a, b, shift, before, [5])
    torch.testing.assert_close(fa, a.flip(axis))
    assert torch.equal(weight, before.flip(axis))
    difference = (warp(fb, flow) - fa).abs() * (weight > 0)
    assert difference.max() < 1e-3


def test_a_sample_does_not_depend_on_its_batch() -> None:
    a, b, flow, weight = batch()
    augment = PairAugmenter(Augmentation())
    together = augment(a, b, flow, weight, [11, 12, 13])
    for i in range(3):
        alone = augment(a[[i]], b[[i]], flow[[i]], weight[[i]], [11 + i])
        for x, y in zip(together, alone, strict=True):
            torch.testing.assert_close(x[[i]].float(), y.float())


def test_probabilities_and_ranges() -> None:
    draws = [draw(Augmentation(jitter_probability=0.3), seed) for seed in range(3000)]
    assert sum(d.jitter for d in draws) / 3000 == pytest.approx(0.3, abs=0.03)
    assert sum(d.hflip for d in draws) / 3000 == pytest.approx(0.5, abs=0.03)
    assert sum(d.vflip for d in draws) / 3000 == pytest.approx(0.1, abs=0.02)
    assert sum(d.factors_a != d.factors_b for d in draws) / 3000 == pytest.approx(0.2, abs=0.03)
    factors = torch.tensor([d.factors_a for d in draws])
    assert factors[:, :3].min() >= 0.6
    assert factors[:, :3].max() <= 1.4
    assert factors[:, 3].abs().max() <= 0.5 / 3.14159
    torch.testing.assert_close(factors.mean(dim=0), torch.tensor([1.0, 1.0, 1.0, 0.0]), atol=0.02, rtol=0)


def test_brightness_by_hand() -> None:
    settings = Augmentation(
        brightness=0.4,
        contrast=0,
        saturation=0,
        hue=0,
        hflip_probability=0,
        vflip_probability=0,
        asymmetric_probability=0,
    )
    image = torch.full((1, 3, 4, 4), 100.0)
    a, b, _, _ = PairAugmenter(settings)(image, image, torch.zeros(1, 2, 4, 4), torch.ones(1, 1, 4, 4), [3])
    torch.testing.assert_close(a, image * draw(settings, 3).factors_a[0])
    torch.testing.assert_close(a, b)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="jitter_probability"):
        Augmentation(jitter_probability=1.5)
    with pytest.raises(ConfigError, match="hue"):
        Augmentation(hue=0.6)
