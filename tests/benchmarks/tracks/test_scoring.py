"""Errors are in pixels of the scored size, shares and survival in those of frames of 256x256."""

from __future__ import annotations

import pytest
import torch

from refine_motion.benchmarks.tracks.scoring import error_scores, small_scale
from refine_motion.benchmarks.tracks.video import TrackVideo
from refine_motion.types import Tracks


@pytest.mark.parametrize(("away", "survives"), [(98.0, 1.0), (102.0, 0.5)])
def test_survival_counts_pixels_of_256(away: float, survives: float) -> None:
    # Of frames of 512x512 the limit of 50 px lies at 100.
    xy = torch.full((4, 1, 2), 200.0)
    seen = torch.ones(4, 1, dtype=torch.bool)
    query = torch.tensor([[0.0, 200.0, 200.0]])
    video = TrackVideo("a", (512, 512), tuple, xy, seen, seen, query, torch.zeros(1, dtype=torch.int64))
    found = xy.clone()
    found[2:, :, 0] += away
    scores = error_scores(video, Tracks(found, torch.ones(4, 1, dtype=torch.bool)))
    assert scores["survival_50"] == survives
    assert scores["ate"] == pytest.approx(away / 2)


def test_survival_counts_from_the_query() -> None:
    # Of two points, one given in the first frame and kept, the other given in frame 8 of 10 and lost at once.
    xy = torch.full((10, 2, 2), 100.0)
    valid = torch.ones(10, 2, dtype=torch.bool)
    valid[:9, 1] = False
    queries = torch.tensor([[0.0, 100.0, 100.0], [8.0, 100.0, 100.0]])
    video = TrackVideo("a", (256, 256), tuple, xy, valid, valid, queries, torch.arange(2))
    found = xy.clone()
    found[9, 1] += 99
    found[:8, 1] = torch.nan
    scores = error_scores(video, Tracks(found, torch.ones(10, 2, dtype=torch.bool)))
    assert scores["survival_50"] == pytest.approx((10 + 1) / (10 + 2))


def test_x_and_y_have_scales_of_their_own() -> None:
    assert small_scale((320, 512)).tolist() == pytest.approx([0.5, 0.8])
