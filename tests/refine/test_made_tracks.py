"""Clips of a frame that moves: the same size, exact tracks, in view throughout, whole pixels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.refine.made_tracks import random_shift


@settings(max_examples=40, deadline=None)
@given(height=st.integers(20, 96), width=st.integers(20, 96), length=st.integers(2, 48), seed=st.integers(0, 2**40))
def test_points_stay_on_the_same_pixel_of_the_frame(height: int, width: int, length: int, seed: int) -> None:
    # Each pixel of the frame says where it is.
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    frame = torch.stack((x, y, torch.zeros_like(x))).byte()
    frames, xy = random_shift(frame, length, 16, seed)
    assert frames.shape == (length, 3, height, width)
    assert xy.shape == (length, 16, 2)
    assert torch.equal(frames[0], frame)
    assert (xy >= 0).all()
    assert (xy <= torch.tensor([width - 1.0, height - 1.0])).all()
    steps = xy.diff(dim=0)
    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)
    nearest = xy[0].round().long()
    for frame_now, places in zip(frames, xy, strict=True):
        moved = (places - xy[0]).round().long()
        there = nearest + moved
        inside = ((there >= 0) & (there < torch.tensor([width, height]))).all(dim=-1)
        seen = frame_now[:2, there[inside, 1], there[inside, 0]].long()
        assert torch.equal(seen.T, nearest[inside])


def test_speeds_span_their_range_and_the_way_stays_within_half_the_frame() -> None:
    frame = torch.zeros(3, 192, 256, dtype=torch.uint8)
    ways = torch.stack([random_shift(frame, 8, 1, seed)[1][:, 0] for seed in range(200)])
    speeds = (ways[:, -1] - ways[:, 0]).norm(dim=-1) / 7
    assert speeds.min() < 1.3
    assert 10 < speeds.max() <= 12.3
    assert speeds.median().item() == pytest.approx(12**0.5, rel=0.25)


def test_the_same_seed_makes_the_same_clip_and_another_one_another() -> None:
    frame = torch.randint(256, (3, 40, 48), dtype=torch.uint8)
    first, again, other = (random_shift(frame, 8, 4, seed) for seed in (1, 1, 2))
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
