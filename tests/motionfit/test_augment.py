from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.motionfit.augment import ActionAugmentation, draw_clips

HEIGHT, WIDTH = 30, 36
# A stored 1 is a fifth of a pixel, so that the motions below are stored without rounding.
LIMIT = 127 * 0.2
PLAIN: dict[str, Any] = {"jitter_probability": 0.0, "grey_probability": 0.0}
NO_STRENGTH: dict[str, Any] = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)
STILL: dict[str, Any] = {**PLAIN, "scale": (1.0, 1.0), "ratio": (1.0, 1.0), "hflip_probability": 0.0}
STRONG = ActionAugmentation((20, 24), (0.3, 1.0), (0.6, 1.6), 0.5, 1.0, grey_probability=0.5)


def ramp(height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """RGB whose red is x and whose green is y, ``(3, H, W)`` uint8."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack((x, y, torch.zeros_like(x))).to(torch.uint8)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """RGB of ``(..., 3, T, H, W)`` uint8, flow of ``(..., 2, T, H, W)`` int8."""
    generator = torch.Generator().manual_seed(seed)
    if shape[-4] == 3:
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return torch.randint(-127, 128, shape, generator=generator, dtype=torch.int8)


def batch(frame: Tensor, frames: int = 2) -> Tensor:
    """One sample of one clip that stands still, ``(1, 1, C, T, H, W)``."""
    return frame[None, None, :, None].repeat(1, 1, 1, frames, 1, 1)


# In units of LIMIT / 127, a fifth of a pixel; the turns have a cosine of 4/5 and a sine of 3/5.
MOTIONS = {
    "translation": lambda dx, dy: (17 + 0 * dx, -8 + 0 * dy),
    "turn": lambda dx, dy: (-dx - 3 * dy, 3 * dx - dy),
    "turn back": lambda dx, dy: (-dx + 3 * dy, -3 * dx - dy),
    "squeeze": lambda dx, dy: (-5 * dx, -6 * dy),
}


@pytest.mark.parametrize("crop", [(40, 50), (24, 36), (12, 10)], ids=["larger", "similar", "smaller"])
@pytest.mark.parametrize("motion", MOTIONS.values(), ids=MOTIONS)
def test_flow_is_that_of_the_augmented_video(motion: Any, crop: tuple[int, int]) -> None:
    """Where pixels of the view come from is read off a ramp; where they go to is worked out from that alone."""
    chosen = ActionAugmentation(crop, (0.4, 1.0), (0.6, 1.6), hflip_probability=0.5, **PLAIN)
    y, x = ramp()[1].double(), ramp()[0].double()
    stored = torch.stack(motion(x - 17, y - 14))
    assert stored.abs().max() <= 127
    rows, columns = torch.meshgrid(*(torch.arange(side).double() for side in crop), indexing="ij")
    signs = set()
    for seed in range(8):
        source = chosen.augment(batch(ramp()), [seed], LIMIT)[0, 0, :2, 0].double()
        flow = chosen.augment(batch(stored.to(torch.int8)), [seed], LIMIT)[0, 0, :, 0].double()
        # At the edges of a crop the outermost pixels are repeated, which no map of places describes.
        source_x, source_y, out_x, out_y, u, v = (
            values[3:-3, 3:-3].flatten() for values in (*source, columns, rows, *flow)
        )
        moved = torch.stack(motion(source_x - 17, source_y - 14)) * LIMIT / 127
        wanted = torch.stack(
            (
                line(source_x, out_x, source_x + moved[0]) - out_x,
                line(source_y, out_y, source_y + moved[1]) - out_y,
            )
        )
        torch.testing.assert_close(torch.stack((u, v)), wanted, rtol=0, atol=1e-4)
        signs.add(bool(source[0, 0, 0] > source[0, 0, -1]))
    assert signs == {False, True}


def line(places: Tensor, values: Tensor, at: Tensor) -> Tensor:
    """The straight line through ``values`` at ``places``, at other places."""
    design = torch.stack((places, torch.ones_like(places)), dim=1)
    slope, start = torch.linalg.lstsq(design, values[:, None]).solution.flatten()
    torch.testing.assert_close(slope * places + start, values, rtol=0, atol=1e-4)
    return slope * at + start


@pytest.mark.parametrize("channels", [2, 3])
class TestBothKinds:
    def test_the_same_draw_over_time(self, channels: int) -> None:
        frame = noise(6, 2, channels, 1, HEIGHT, WIDTH)
        seen = STRONG.augment(frame.repeat(1, 1, 1, 4, 1, 1), range(6), LIMIT)
        assert torch.equal(seen, seen[:, :, :, :1].expand_as(seen))

    def test_by_the_seed_and_not_the_batch(self, channels: int) -> None:
        clips = noise(6, 2, channels, 3, HEIGHT, WIDTH)
        before = clips.clone()
        seen = STRONG.augment(clips, range(6), LIMIT)
        assert torch.equal(clips, before)
        assert (seen.dtype, seen.shape) == (torch.float32, (6, 2, channels, 3, 20, 24))
        for number in range(6):
            alone = STRONG.augment(clips[number : number + 1], [number], LIMIT)
            assert torch.equal(alone[0], seen[number])
        first = STRONG.augment(clips[:, :1], range(6), LIMIT)
        assert torch.equal(first, seen[:, :1])
        assert not torch.equal(STRONG.augment(clips[:1], [1], LIMIT), seen[:1])

    def test_clips_of_a_sample_are_drawn_each(self, channels: int) -> None:
        one = noise(1, 1, channels, 1, HEIGHT, WIDTH)
        seen = STRONG.augment(one.repeat(1, 3, 1, 1, 1, 1), [0], LIMIT)[0]
        assert not any(torch.equal(seen[a], seen[b]) for a, b in ((0, 1), (0, 2), (1, 2)))

    def test_float32_under_autocast(self, channels: int) -> None:
        clips = noise(2, 2, channels, 2, HEIGHT, WIDTH)
        small = ActionAugmentation((12, 12))
        with torch.autocast("cpu", torch.bfloat16):
            seen, tested = small.augment(clips, [0, 1], LIMIT), small.centre(clips, 3, LIMIT)
        assert torch.equal(seen, small.augment(clips, [0, 1], LIMIT))
        assert torch.equal(tested, small.centre(clips, 3, LIMIT))

    def test_nothing_to_do(self, channels: int) -> None:
        clips = noise(2, 2, channels, 2, HEIGHT, WIDTH)
        wanted = clips.float() if channels == 3 else clips.double() * LIMIT / 127
        chosen = ActionAugmentation((HEIGHT, WIDTH), **STILL)
        for seen in (chosen.augment(clips, [0, 1], LIMIT), chosen.centre(clips, 1, LIMIT)[:, :, 0]):
            torch.testing.assert_close(seen, wanted.float(), rtol=0, atol=1e-5)

    def test_a_mirror_alone(self, channels: int) -> None:
        clips = noise(1, 1, channels, 2, HEIGHT, WIDTH)
        chosen = ActionAugmentation((HEIGHT, WIDTH), **{**STILL, "hflip_probability": 1.0})
        plain = ActionAugmentation((HEIGHT, WIDTH), **STILL).augment(clips, [0], LIMIT)
        if channels == 2:
            plain = plain * torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1)
        assert torch.equal(chosen.augment(clips, [0], LIMIT), plain.flip(-1))


class TestCentre:
    @pytest.mark.parametrize("tall", [False, True])
    def test_both_ends_and_the_middle(self, tall: bool) -> None:
        frame = ramp(21, 30) if not tall else ramp(30, 21)
        chosen = ActionAugmentation((21, 21))
        seen = chosen.centre(batch(frame), 3, LIMIT)[0, 0, :, :, 0]
        along, across = (0, 1) if not tall else (1, 0)
        for crop, start in zip(seen, (0, 4, 9), strict=True):
            steps = torch.arange(21.0)
            wanted = (start + steps).expand(21, 21), steps[:, None].expand(21, 21)
            assert torch.equal(crop[along], wanted[0].T if tall else wanted[0])
            assert torch.equal(crop[across], wanted[1].T if tall else wanted[1])
        assert torch.equal(chosen.centre(batch(frame), 1, LIMIT)[0, 0, 0, :, 0], seen[1])

    def test_enlarged(self) -> None:
        """24 of 32 columns at one and a half times the size: by pixel edges, x is shown at ``1.5 (x + 0.5) - 0.5``."""
        chosen = ActionAugmentation((24, 36))
        seen = chosen.centre(batch(ramp(16, 32)), 3, LIMIT)[0, 0, :, 0, 0]
        wanted = (torch.arange(36.0) + 0.5) / 1.5 - 0.5
        for crop, start in zip(seen, (0, 4, 8), strict=True):
            torch.testing.assert_close(crop[:, 1:-1], (start + wanted[1:-1]).expand(24, 34), rtol=0, atol=1e-5)
        flow = torch.tensor([20, 30], dtype=torch.int8).view(2, 1, 1).expand(2, 16, 32)
        seen = chosen.centre(batch(flow), 3, LIMIT)
        assert seen.shape == (1, 1, 3, 2, 2, 24, 36)
        wanted = torch.tensor([6.0, 9.0]).view(2, 1, 1, 1).expand(2, 2, 24, 36)
        torch.testing.assert_close(seen[0, 0], wanted.expand(3, 2, 2, 24, 36), rtol=0, atol=1e-5)

    def test_nothing_to_spare(self) -> None:
        clips = noise(1, 2, 3, 2, 20, 30)
        seen = ActionAugmentation((20, 30)).centre(clips, 3, LIMIT)
        assert torch.equal(seen, clips.float()[:, :, None].expand_as(seen))

    @pytest.mark.parametrize("crops", [0, 2, 5])
    def test_other_numbers_are_refused(self, crops: int) -> None:
        with pytest.raises(ConfigError, match=f"crops must be 1, the middle, or 3, both ends and the .* got {crops}"):
            STRONG.centre(noise(1, 1, 3, 1, 20, 20), crops, LIMIT)


class TestColours:
    def test_contrast_is_about_the_mean_of_the_clip(self) -> None:
        clips = torch.full((4, 1, 3, 2, 8, 8), 50, dtype=torch.uint8)
        clips[:, :, :, 1] = 150
        chosen = ActionAugmentation((8, 8), **{**STILL, "jitter_probability": 1.0}, brightness=0, saturation=0, hue=0)
        first, second = chosen.augment(clips, range(4), LIMIT)[:, 0].mean(dim=(1, 3, 4)).unbind(dim=1)
        torch.testing.assert_close(first + second, torch.full((4,), 200.0), rtol=0, atol=1e-2)
        factors = (second - first) / 100
        assert (factors.amin() > 0.6) & (factors.amax() < 1.4)
        assert len({round(factor, 3) for factor in factors.tolist()}) == 4

    def test_no_strength_changes_nothing(self) -> None:
        clips = noise(2, 1, 3, 2, 8, 8)
        chosen = ActionAugmentation((8, 8), **{**STILL, "jitter_probability": 1.0}, **NO_STRENGTH)
        torch.testing.assert_close(chosen.augment(clips, [0, 1], LIMIT), clips.float(), rtol=0, atol=1e-3)

    @pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
    def test_each_strength_changes_something(self, name: str) -> None:
        clips = noise(2, 1, 3, 2, 8, 8)
        strengths = NO_STRENGTH | {name: 0.4}
        chosen = ActionAugmentation((8, 8), **{**STILL, "jitter_probability": 1.0}, **strengths)
        seen = chosen.augment(clips, [0, 1], LIMIT)
        assert ((seen - clips).abs().mean(dim=(1, 2, 3, 4, 5)) > 1).all()
        assert (seen.amin() > -1e-3) & (seen.amax() < 255.001)

    def test_grey(self) -> None:
        clips = noise(40, 1, 3, 1, 8, 8)
        seen = ActionAugmentation((8, 8), **{**STILL, "grey_probability": 0.5}).augment(clips, range(40), LIMIT)
        grey = (seen[:, :, :1] == seen).flatten(1).all(dim=1)
        assert 10 < grey.sum() < 30
        assert torch.equal(seen[~grey], clips[~grey].float())
        weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1, 1)
        wanted = (clips[grey] * weights).sum(dim=2, keepdim=True).expand(-1, -1, 3, -1, -1, -1)
        torch.testing.assert_close(seen[grey], wanted, rtol=0, atol=1e-3)


FRAMES = st.tuples(st.integers(4, 300), st.integers(4, 300))
SHARES = st.floats(0.05, 1, allow_subnormal=False)
RATIOS = st.floats(0.3, 3, allow_subnormal=False)


@settings(deadline=None, max_examples=60)
@given(FRAMES, FRAMES, st.tuples(SHARES, SHARES), st.tuples(RATIOS, RATIOS), st.integers(0, 1000))
def test_crops_are_in_bounds(
    frame: tuple[int, int],
    crop: tuple[int, int],
    scale: tuple[float, float],
    ratio: tuple[float, float],
    seed: int,
) -> None:
    scale, ratio = (min(scale), max(scale)), (min(ratio), max(ratio))
    for drawn in draw_clips(ActionAugmentation(crop, scale, ratio), seed, 4, frame):
        top, left, height, width = drawn.box
        assert min(top, left) >= 0
        assert min(height, width) >= 1
        assert top + height <= frame[0]
        assert left + width <= frame[1]
        # Sides are rounded, by half a pixel at most.
        assert (height - 0.5) * (width - 0.5) <= scale[1] * frame[0] * frame[1] + 1e-6 or min(height, width) == 1
        if height < frame[0] and width < frame[1]:
            assert (height + 0.51) * (width + 0.51) >= scale[0] * frame[0] * frame[1]
        stretch = crop[0] / crop[1] / ratio[1], crop[0] / crop[1] / ratio[0]
        if min(height, width) > 1:
            assert (width + 0.51) / (height - 0.51) * stretch[1] >= 1
            assert (width - 0.51) / (height + 0.51) * stretch[0] <= 1


def test_draws_fill_their_ranges_on_their_own() -> None:
    chosen = ActionAugmentation((50, 100), (0.1, 0.2), (0.5, 2.0), hflip_probability=0.25, grey_probability=0.5)
    drawn = [clip for seed in range(400) for clip in draw_clips(chosen, seed, 2, (400, 800))]
    top, left, height, width = torch.tensor([clip.box for clip in drawn]).double().unbind(dim=1)
    places = (
        (height * width / 320_000 - 0.1) / 0.1,
        (width / height / 2).log2() / 2 + 0.5,
        top / (400 - height),
        left / (800 - width),
    )
    parts = torch.tensor([0, 0.25, 0.5, 0.75, 1], dtype=torch.float64)
    for values in places:
        torch.testing.assert_close(values.quantile(parts), parts, rtol=0, atol=0.07)
    chances = [torch.tensor([clip.mirrored for clip in drawn]).double()]
    chances.append(torch.tensor([clip.colours is not None for clip in drawn]).double())
    chances.append(torch.tensor([clip.grey for clip in drawn]).double())
    for values, share in zip(chances, (0.25, 0.8, 0.5), strict=True):
        assert values.mean().item() == pytest.approx(share, abs=0.06)
    colours = torch.tensor([clip.colours or (1, 1, 1, 0) for clip in drawn]).double() - torch.tensor([1, 1, 1, 0])
    torch.testing.assert_close(
        colours.abs().amax(dim=0), torch.tensor([0.4, 0.4, 0.4, 0.1]).double(), rtol=0.02, atol=0
    )
    related = torch.stack([*places, *chances, *colours.T]).corrcoef() - torch.eye(11)
    assert related.abs().max() < 0.15


def test_crops_reach_both_edges() -> None:
    chosen = ActionAugmentation((20, 30), (1.0, 1.0), (1.0, 1.0))
    for frame, starts in ((20, 31), {(0, 0), (0, 1)}), ((21, 30), {(0, 0), (1, 0)}):
        drawn = draw_clips(chosen, 0, 40, frame)
        assert {clip.box[:2] for clip in drawn} == starts
        assert {clip.box[2:] for clip in drawn} == {(20, 30)}


def test_detail_that_a_small_crop_has_no_pixels_for_is_averaged() -> None:
    stripes = torch.zeros(3, 64, 64, dtype=torch.uint8)
    stripes[:, :, ::4] = 255
    seen = ActionAugmentation((16, 16)).centre(batch(stripes), 1, LIMIT)
    plain = torch.nn.functional.interpolate(stripes[None].float(), (16, 16), mode="bilinear")
    # A quarter of it is white; looked up without a blur, none of it.
    assert plain.mean() == 0
    assert 40 < seen[..., 2:-2].mean() < 90


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"crop": (0, 112)}, r"crop must be height and width of at least 1 pixel, got \(0, 112\)"),
        ({"scale": (0.0, 1.0)}, r"scale must be two shares .* the smaller first, got \(0\.0, 1\.0\)"),
        ({"scale": (0.9, 0.5)}, r"scale must be .* got \(0\.9, 0\.5\)"),
        ({"scale": (0.5, 1.1)}, r"scale must be .* got \(0\.5, 1\.1\)"),
        ({"ratio": (0.0, 1.0)}, r"ratio must be two positive numbers, the smaller first, got \(0\.0, 1\.0\)"),
        ({"ratio": (2.0, 1.0)}, r"ratio must be .* got \(2\.0, 1\.0\)"),
        ({"ratio": (1.0, math.nan)}, r"ratio must be .* got \(1\.0, nan\)"),
        ({"hflip_probability": 1.5}, r"hflip_probability must be between 0 and 1, got 1\.5"),
        ({"contrast": -0.1}, r"contrast must be between 0 and 1, got -0\.1"),
        ({"hue": 0.6}, r"hue must be between 0 and 0\.5, got 0\.6"),
    ],
)
def test_settings_that_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=rf"^augment\.{told}$"):
        ActionAugmentation(**wrong)


@pytest.mark.parametrize(
    "clips",
    [
        torch.zeros(1, 1, 4, 2, 8, 8, dtype=torch.uint8),
        torch.zeros(1, 3, 2, 8, 8, dtype=torch.uint8),
        torch.zeros(1, 1, 2, 2, 8, 8),
    ],
)
def test_clips_that_are_refused(clips: Tensor) -> None:
    with pytest.raises(ValueError, match=r"clips must be \(B, N, 3, T, H, W\) uint8, of RGB, or .* of flow, got \(1, "):
        STRONG.augment(clips, [0], LIMIT)
    with pytest.raises(ValueError, match="clips must be"):
        STRONG.centre(clips, 1, LIMIT)


def test_seeds_that_are_refused() -> None:
    with pytest.raises(ValueError, match="2 seeds for 3 samples"):
        STRONG.augment(noise(3, 1, 3, 1, 8, 8), [0, 1], LIMIT)
