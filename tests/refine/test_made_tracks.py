"""Clips of pieces that move: exact tracks, whatever hides them, and motion within its bounds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.motion.grid import pixel_grid, sample
from refine_motion.refine import made_tracks
from refine_motion.refine.made_tracks import random_clip


def smooth(height: int, width: int, seed: int) -> Tensor:
    """A picture with colours of its own at every place, and no edges."""
    x, y = pixel_grid(height, width)
    phase = torch.arange(3.0).view(3, 1, 1) + seed
    waves = torch.sin(x / 9 + phase) + torch.cos(y / 7 - 2 * phase) + torch.sin((x + y) / 11 + 3 * phase)
    return (127.5 + 40 * waves).clamp(0, 255).byte()


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(24, 80),
    width=st.integers(24, 80),
    length=st.integers(2, 12),
    seed=st.integers(0, 2**40),
)
def test_what_is_seen_keeps_its_colour(height: int, width: int, length: int, seed: int) -> None:
    pictures = [smooth(height, width, 0), smooth(40, 56, 1), smooth(64, 32, 2)]
    clip = random_clip(pictures, length, 200, seed)
    assert clip.frames.shape == (length, 3, height, width)
    assert clip.frames.dtype == torch.uint8
    assert clip.xy.shape == (length, 200, 2)
    assert clip.inside.shape == clip.visible.shape == (length, 200)
    assert clip.xy.isfinite().all()
    assert not (clip.visible & ~clip.inside).any()
    sides = torch.tensor([width - 1.0, height - 1.0])
    assert torch.equal(clip.inside, ((clip.xy >= -1e-4) & (clip.xy <= sides + 1e-4)).all(dim=-1))
    # All are seen where they start.
    assert clip.visible[0].all()
    colours = torch.stack(
        [
            sample(frame[None].float(), xy.T[None, :, None], "border")[0, :, 0].T
            for frame, xy in zip(clip.frames, clip.xy, strict=True)
        ]
    )
    away = (colours - colours[0]).abs().amax(dim=-1)[clip.visible]
    # But for those at an edge, which mix with what lies beside it.
    assert away.quantile(0.8) < 8


def test_a_point_is_hidden_just_where_a_piece_lies_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red pieces before blue ground: what is no longer blue there is hidden."""
    monkeypatch.setattr(made_tracks, "_FEWEST", 4)
    blue, red = torch.zeros(2, 3, 64, 96, dtype=torch.uint8)
    blue[2], red[0] = 255, 255
    hidden = seen = 0
    for seed in range(12):
        # So many that none of these pieces is blue.
        clip = random_clip([blue] + 100_000 * [red], 8, 400, seed)
        for frame, xy, inside, visible in zip(clip.frames, clip.xy, clip.inside, clip.visible, strict=True):
            first, now = (
                sample(image[None].float(), place.T[None, :, None], "border")[0, :, 0]
                for image, place in ((clip.frames[0], clip.xy[0]), (frame, xy))
            )
            # But for places at an edge, which are of both colours.
            sharp = (first[2] > 250) & inside & ((now[0] > 250) | (now[2] > 250))
            assert torch.equal((now[0] > 250)[sharp], ~visible[sharp])
            hidden, seen = hidden + int((~visible)[sharp].sum()), seen + int(visible[sharp].sum())
    assert hidden > 300
    assert seen > hidden


def test_speeds_reach_their_bound_and_slow_ones_are_as_frequent_as_fast_ones() -> None:
    """Camera and piece together are at most twice as fast as either, and the way is limited."""
    picture = smooth(192, 256, 0)
    clips = [random_clip([picture], 8, 32, seed) for seed in range(60)]
    steps = torch.stack([clip.xy.diff(dim=0).norm(dim=-1) for clip in clips])
    # A piece is seen by a camera that turns and grows it by up to a quarter.
    assert steps.max() < 2.5 * 16
    assert (steps.amax(dim=(1, 2)) > 8).float().mean() > 0.2
    medians = steps.mean(dim=1).median(dim=1).values
    assert (medians < 1).float().mean() > 0.2
    assert (medians > 4).float().mean() > 0.1


def test_the_same_seed_makes_the_same_clip_and_another_one_another() -> None:
    pictures = [smooth(40, 48, 0), smooth(40, 48, 1)]
    first, again, other = (random_clip(pictures, 8, 4, seed) for seed in (1, 1, 2))
    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(a, b)
        assert a.shape == c.shape
    assert not torch.equal(first.xy, other.xy)
    assert not torch.equal(first.frames, other.frames)


def test_a_picture_goes_on_mirrored() -> None:
    """Beyond its border a picture of a ramp comes back, so that no empty place is ever seen."""
    ramp = torch.arange(64).expand(3, 48, 64).byte() + 100
    clips = [random_clip([ramp], 12, 4, seed) for seed in range(10)]
    assert all(int(clip.frames.min()) >= 100 for clip in clips)
