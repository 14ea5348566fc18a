from __future__ import annotations

import pytest
import torch

from refine_motion.benchmarks.synthetic.stream import TrackClips


@pytest.fixture(scope="module")
def clips() -> TrackClips:
    return TrackClips(3, (64, 80), 5, 40, 20.0, seed=4, domain="particles")


def test_a_clip(clips: TrackClips) -> None:
    clip = clips[0]
    assert clip["frames"].shape == (5, 3, 64, 80)
    assert clip["frames"].dtype == torch.uint8
    assert clip["xy"].shape == (5, 40, 2)
    first = clip["xy"][0]
    assert ((first >= 0) & (first <= torch.tensor([79.0, 63.0]))).all()
    assert clip["visible"][0].all()
    # No point is faster than asked for.
    assert clip["xy"].diff(dim=0).norm(dim=-1).max() <= 20.0


def test_the_same_in_any_process_and_new_at_every_index(clips: TrackClips) -> None:
    again = TrackClips(3, (64, 80), 5, 40, 20.0, seed=4, domain="particles")[1]
    for key, value in clips[1].items():
        assert torch.equal(again[key], value)
    assert not torch.equal(clips[0]["frames"], clips[1]["frames"])
    assert not torch.equal(clips[0]["xy"][0], clips[1]["xy"][0])


def test_no_more_than_there_are(clips: TrackClips) -> None:
    assert len(clips) == 3
    with pytest.raises(IndexError, match="3 is outside"):
        clips[3]
