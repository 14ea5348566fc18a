from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from refine_motion.refine.clip_occluders import Occluder, hidden, occlude
from tests.refine.clips import NOTHING, augment, batch, centres, everywhere


@pytest.mark.parametrize("seed", range(8))
def test_points_are_hidden_exactly_where_occluders_are_painted(seed: int) -> None:
    clips = everywhere(batch(1)[0])
    out = augment(replace(NOTHING, occluder_probability=1), clips, seed)
    painted = (out.frames != clips[0]).any(dim=2).flatten(2)
    assert 0.002 < painted.float().mean() < 0.7
    assert torch.equal(out.visible, ~painted)
    assert torch.equal(out.valid, ~painted[:, :1].expand_as(painted))
    assert torch.equal(out.xy, clips[1])


def test_points_between_pixels_are_hidden_with_the_nearest() -> None:
    covered = torch.zeros(1, 4, 6, dtype=torch.bool)
    covered[0, 1, 2] = True
    xy = torch.tensor([[[2.0, 1.0], [2.4, 0.6], [1.6, 1.4], [2.6, 1.0], [2.0, 1.6], [1.0, 2.0], [99.0, math.nan]]])
    shown = torch.ones(1, 7, dtype=torch.bool)
    shown[0, 6] = False
    assert hidden(covered, xy, shown)[0].tolist() == [True, True, True, False, False, False, False]
    shown[0, 1] = False
    assert hidden(covered, xy, shown)[0].tolist() == [True, False, True, False, False, False, False]


@pytest.mark.parametrize("ellipse", [True, False])
def test_an_occluder_has_its_size_and_moves_in_a_straight_line(ellipse: bool) -> None:
    frames = batch(1, frames=5, height=100, width=120)[0][0].float()
    occluder = Occluder(ellipse, False, (0.5, 0.5), (0.4, -0.2), (0.3, 0.2), (0.5, 0.5))
    painted, covered = occlude(frames, (occluder,))
    middles = centres(covered[:, None].expand(-1, 3, -1, -1).float())[:, 0]
    expected = torch.tensor([59.5, 49.5]) + torch.linspace(-0.5, 0.5, 5)[:, None] * torch.tensor([48.0, -20.0])
    torch.testing.assert_close(middles, expected, atol=0.3, rtol=0)
    area = 30 * 20 * (math.pi / 4 if ellipse else 1)
    assert covered.sum(dim=(1, 2)).float().tolist() == pytest.approx([area] * 5, rel=0.06)
    assert torch.equal(painted[~covered[:, None].expand_as(frames)], frames[~covered[:, None].expand_as(frames)])
    colour = painted.transpose(0, 1)[:, covered]
    torch.testing.assert_close(colour, frames.mean(dim=(0, 2, 3))[:, None].expand_as(colour))


def test_a_texture_moves_with_its_occluder() -> None:
    frames = batch(1, frames=3, height=60, width=80)[0][0].float()
    occluder = Occluder(False, True, (0.5, 0.5), (0.2, 0.1), (0.4, 0.3), (0.4, 0.5))
    painted, covered = occlude(frames, (occluder,))
    cuts = [painted[t][:, covered[t]] for t in range(3)]
    assert torch.equal(cuts[0], cuts[1])
    assert torch.equal(cuts[1], cuts[2])
    assert cuts[0].std() > 50
    assert (painted != frames).any(dim=1)[covered].all(), "shows what it hides"


def test_later_occluders_are_in_front() -> None:
    frames = batch(1)[0][0].float()
    back = Occluder(False, True, (0.5, 0.5), (0.0, 0.0), (0.8, 0.8), (0.5, 0.5))
    front = replace(back, textured=False, sides=(0.4, 0.4))
    both, covered = occlude(frames, (back, front))
    _, small = occlude(frames, (front,))
    assert torch.equal(covered, occlude(frames, (back,))[1])
    assert both.transpose(0, 1)[:, small].std(dim=1).max() < 1e-3


# How it looks.
