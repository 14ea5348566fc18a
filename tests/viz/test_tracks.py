from __future__ import annotations

import torch

from refine_motion.types import Tracks
from refine_motion.viz.tracks import draw_tracks, error_colours, start_colours

SIZE = (100, 160)
RED, GREEN = torch.tensor([[255, 0, 0], [0, 255, 0]], dtype=torch.uint8)
COLOURS = torch.stack((RED, GREEN))


def tracks() -> Tracks:
    xy = torch.stack([torch.tensor([[20.0 + 5 * t, 50], [120, 60]]) for t in range(9)])
    visible = torch.ones(9, 2, dtype=torch.bool)
    visible[-1, 1] = False
    return Tracks(xy, visible)


def drawn(time: int) -> torch.Tensor:
    return draw_tracks(torch.full((3, *SIZE), 128, dtype=torch.uint8), tracks(), time, COLOURS)


def test_seen_points_are_filled_and_hidden_ones_hollow() -> None:
    picture = drawn(8)
    assert torch.equal(picture[:, 50, 60], RED)
    assert torch.equal(picture[:, 60, 120], torch.full((3,), 128, dtype=torch.uint8))
    ring = picture[:, 55:66, 115:126].int()
    assert (ring[1] - ring[0]).max() > 100
    assert torch.equal(drawn(7)[:, 60, 120], GREEN)


def test_tails_lead_back() -> None:
    picture = drawn(8).int()
    reddish = (picture[0] - picture[1] > 30)[50]
    assert reddish[25:60].all()
    assert not reddish[66:].any()
    # The tail fades.
    assert picture[0, 50, 54] > picture[0, 50, 27]
    first = drawn(0).int()
    assert not (first[0] - first[1] > 30)[50, 30:].any()


def test_points_before_their_query_are_not_drawn() -> None:
    found = tracks()
    found.xy[:5, 0] = torch.nan
    frame = torch.full((3, *SIZE), 128, dtype=torch.uint8)
    assert (draw_tracks(frame, found, 4, COLOURS)[:, :, :80] == 128).all()
    assert torch.equal(draw_tracks(frame, found, 6, COLOURS)[:, 50, 50], RED)


def test_colours_by_start_differ_from_left_to_right_and_darken_downwards() -> None:
    left, right, below = start_colours(torch.tensor([[40.0, 50], [60, 50], [40, 80]])).int()
    assert (left - right).abs().max() > 150
    assert below.max() < left.max()
    assert start_colours(torch.tensor([[7.0, 3]])).shape == (1, 3)


def test_colours_by_error_brighten() -> None:
    sums = error_colours(torch.tensor([0.0, 1.0, 2.0, 4.0, 99.0]), 4.0).int().sum(dim=1)
    assert sums.diff()[:3].gt(0).all()
    assert sums[3] == sums[4]
