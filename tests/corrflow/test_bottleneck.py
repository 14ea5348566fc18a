from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor

from refine_motion.corrflow.bottleneck import Bottleneck, draw_channels, draw_jitter
from refine_motion.corrflow.lab import rgb_to_lab
from refine_motion.errors import ConfigError

ALWAYS = Bottleneck(dropout_probability=0.0, jitter_probability=1.0)
DROP = Bottleneck(dropout_probability=1.0, jitter_probability=0.0)


def clips(batch: int = 3, frames: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (batch, frames, 3, 12, 10), generator=generator, dtype=torch.uint8)


class TestChannels:
    def test_shares(self) -> None:
        """All kept 0.3, one or two dropped 0.35 each, every channel alike; the others scaled by 3 / 2 or 3."""
        draws = Counter(draw_channels(Bottleneck(), seed) for seed in range(20_000))
        share = {factors: count / 20_000 for factors, count in draws.items()}
        expected = {(1.0, 1.0, 1.0): 0.3}
        for channel in range(3):
            expected[tuple(0.0 if c == channel else 1.5 for c in range(3))] = 0.35 / 3
            expected[tuple(3.0 if c == channel else 0.0 for c in range(3))] = 0.35 / 3
        # Four standard deviations of a share of 0.3.
        assert share == pytest.approx(expected, abs=0.013)

    def test_the_same_in_all_frames_of_the_batch(self) -> None:
        kept = set()
        for seed in range(20):
            seen = DROP.hide(clips(), [1, 2, 3], seed)
            factors = torch.tensor(draw_channels(DROP, seed))
            assert torch.equal(seen, clips() * factors.view(3, 1, 1))
            kept.add(tuple(factors.tolist()))
        assert len(kept) > 3


class TestJitter:
    def test_share_and_range(self) -> None:
        draws = [draw_jitter(Bottleneck(), seed, 3) for seed in range(5000)]
        factors = torch.tensor([d for d in draws if d])
        assert len(factors) / 5000 == pytest.approx(0.1, abs=0.017)
        assert factors.shape[1:] == (3, 4)
        low, high = factors.flatten(0, 1).aminmax(dim=0)
        torch.testing.assert_close(low, torch.tensor([0.9, 0.9, 0.9, -0.1]), rtol=0, atol=0.002)
        torch.testing.assert_close(high, torch.tensor([1.1, 1.1, 1.1, 0.1]), rtol=0, atol=0.002)

    def test_every_frame_on_its_own(self) -> None:
        still = clips(1, 1).expand(1, 3, -1, -1, -1)
        seen = ALWAYS.hide(still, [5], 0)[0]
        assert (seen[0] - seen[1]).abs().max() > 1
        assert (seen[1] - seen[2]).abs().max() > 1
        assert seen.min() >= 0
        assert seen.max() <= 255

    def test_a_clip_does_not_depend_on_its_batch(self) -> None:
        some = Bottleneck(jitter_probability=0.5)
        together = some.hide(clips(), [11, 12, 14], 3)
        for number, seed in enumerate((11, 12, 14)):
            alone = some.hide(clips()[number : number + 1], [seed], 3)
            torch.testing.assert_close(alone[0], together[number])
        changed = [bool(draw_jitter(some, seed, 4)) for seed in (11, 12, 14)]
        assert any(changed)
        assert not all(changed)

    def test_of_no_strength(self) -> None:
        none = Bottleneck(dropout_probability=0, jitter_probability=1, brightness=0, contrast=0, saturation=0, hue=0)
        torch.testing.assert_close(none.hide(clips(), [1, 2, 3], 0), clips().float(), rtol=0, atol=0.01)


def test_targets_are_not_changed() -> None:
    frames = clips().float()
    before = frames.clone()
    seen = Bottleneck(dropout_probability=1, jitter_probability=1).hide(frames, [1, 2, 3], 0)
    assert torch.equal(frames, before)
    assert not torch.equal(seen, before)


class TestInputs:
    def test_rgb_is_seen_as_it_is(self) -> None:
        assert torch.equal(Bottleneck().prepare(clips()), clips().float())

    def test_grey(self) -> None:
        seen = Bottleneck(inputs="grey").prepare(clips())
        assert torch.equal(seen[:, :, 0], seen[:, :, 1])
        assert torch.equal(seen[:, :, 0], seen[:, :, 2])
        weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
        torch.testing.assert_close(seen[:, :, 0], (clips() * weights).sum(dim=2))

    def test_lab(self) -> None:
        seen = Bottleneck(inputs="lab").prepare(clips())
        assert seen.shape == clips().shape
        lab = rgb_to_lab(clips())
        torch.testing.assert_close(seen[:, :, 0], lab[:, :, 0] * 2.55)
        torch.testing.assert_close(seen[:, :, 1:], lab[:, :, 1:] / 128 * 255)
        grey = Bottleneck(inputs="lab").prepare(torch.full((1, 1, 3, 4, 4), 255, dtype=torch.uint8))
        torch.testing.assert_close(grey[0, 0, :, 0, 0], torch.tensor([255.0, 0, 0]), rtol=0, atol=0.1)

    def test_training_hides_of_the_same_input(self) -> None:
        lab = Bottleneck(inputs="lab", dropout_probability=0, jitter_probability=0)
        assert torch.equal(lab.hide(clips(), [1, 2, 3], 0), lab.prepare(clips()))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inputs": "hsv"}, r"bottleneck\.inputs must be one of rgb, grey, lab, got 'hsv'"),
        ({"dropout_probability": 1.5}, r"bottleneck\.dropout_probability must be between 0 and 1"),
        ({"hue": 0.6}, r"bottleneck\.hue must be between 0 and 0\.5"),
        ({"contrast": float("nan")}, r"bottleneck\.contrast"),
    ],
)
def test_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Bottleneck(**values)
