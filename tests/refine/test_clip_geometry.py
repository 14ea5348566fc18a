from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.motion.grid import pixel_grid
from refine_motion.refine.clip_draw import draw
from refine_motion.refine.clip_geometry import View, aim, inside
from tests.refine.clips import NOTHING, augment, batch, centres


def blobs(xy: torch.Tensor, height: int, width: int, sigma: float) -> torch.Tensor:
    """Frames ``(T, 3, H, W)`` with a smooth blob at each of three points ``(T, 3, 2)``, one in each channel."""
    distance = pixel_grid(height, width) - xy[..., None, None]
    return 255 * torch.exp(-distance.square().sum(dim=2) / (2 * sigma**2))


@pytest.mark.parametrize("crop", [None, (60, 70)])
def test_points_stay_on_their_pixels(crop: tuple[int, int] | None) -> None:
    settings = replace(
        NOTHING,
        crop=crop,
        reverse_probability=0.5,
        hflip_probability=0.5,
        vflip_probability=0.5,
        affine_probability=0.9,
        scale=(0.6, 1.6),
        stretch=1.4,
        rotation=30,
    )
    generator = torch.Generator().manual_seed(1)
    checked = 0
    for seed in range(50):
        xy = torch.rand(6, 3, 2, generator=generator) * torch.tensor([109.0, 95.0])
        known = torch.ones(1, 6, 3, dtype=torch.bool)
        out = augment(settings, (blobs(xy, 96, 110, sigma=2.5)[None], xy[None], known, known), seed)
        size = out.frames.shape[-2:]
        # Only where the whole blob is on the view: four sigma, as large as the scale makes it.
        margin = 10 * max(draw(settings, seed, (96, 110)).view.scale)
        whole = inside(out.xy[0] - margin, tuple(int(s - 2 * margin) for s in size))
        error = (centres(out.frames[0]) - out.xy[0]).abs().amax(dim=-1)
        assert (error[whole] < 0.05).all()
        checked += int(whole.sum())
    assert checked > 50


def test_twice_the_size_is_the_resize_of_the_house() -> None:
    image = torch.rand(2, 3, 9, 13, generator=torch.Generator().manual_seed(0)) * 255
    view = aim((9, 13), (18, 26), (0.5, 0.5))
    expected = F.interpolate(image, (18, 26), mode="bilinear", align_corners=False)
    torch.testing.assert_close(view.see(image), expected, atol=1e-2, rtol=0)
    torch.testing.assert_close(
        view.move(torch.tensor([[0.0, -0.5], [12.0, 8.5]])), torch.tensor([[0.5, -0.5], [24.5, 17.5]])
    )


def test_shrinking_leaves_no_aliases_and_blurs_no_side_that_stays() -> None:
    # Every other line is white; upright lines and lying ones.
    upright = (255.0 * (torch.arange(90) % 2)).expand(1, 3, 60, 90)
    lying = (255.0 * (torch.arange(60) % 2)).view(60, 1).expand(1, 3, 60, 90)
    both = View((20, 30), (45.0, 30.0), (1 / 3, 1 / 3))
    narrower = View((60, 30), (45.0, 30.0), (1 / 3, 1.0))
    lower = View((20, 90), (45.0, 30.0), (1.0, 1 / 3))
    for view, lines in ((both, upright), (both, lying), (narrower, upright), (lower, lying)):
        assert (view.see(lines)[..., 3:-3, 3:-3] - 127.5).abs().max() < 20
    torch.testing.assert_close(narrower.see(lying), lying[..., :30], atol=0.1, rtol=0)
    torch.testing.assert_close(lower.see(upright), upright[..., :20, :], atol=0.1, rtol=0)


def test_cutting_is_sampling_without_interpolation() -> None:
    images = batch(1)[0][0].float()
    for seed in range(8):
        settings = replace(NOTHING, crop=(20, 31), hflip_probability=0.5, vflip_probability=0.5)
        view = draw(settings, seed, (44, 52)).view
        sampled = replace(view, scale=(1 + 1e-12, 1 + 1e-12)).see(images)
        torch.testing.assert_close(view.see(images), sampled, atol=0.02, rtol=0)
        labels = view.move(torch.tensor([7.0, 11.0]))
        assert torch.equal(labels, labels.round())


@pytest.mark.parametrize(("axis", "setting"), [(-1, "hflip_probability"), (-2, "vflip_probability")])
def test_a_flip_mirrors_pixels_and_points(axis: int, setting: str) -> None:
    images, xy, valid, visible = batch()
    xy = xy.round()
    out = augment(replace(NOTHING, **{setting: 1.0}), (images, xy, valid, visible), 4)
    column = 0 if axis == -1 else 1
    assert torch.equal(out.frames, images.float().flip(axis))
    assert torch.equal(out.xy[..., column], images.shape[axis] - 1 - xy[..., column])
    assert torch.equal(out.xy[..., 1 - column], xy[..., 1 - column])
    moved = out.xy[:, 1:] - out.xy[:, :-1]
    assert torch.equal(moved[..., column], -(xy[:, 1:] - xy[:, :-1])[..., column])


def overhang(view: View, height: int, width: int) -> float:
    """How far the view looks past the nearest edge of the frame, in pixels; below zero where it does not."""
    origin, right, down = view.move(torch.tensor([[0, 0], [1, 0], [0, 1]], dtype=torch.float64))
    matrix = torch.stack((right - origin, down - origin), dim=1)
    h, w = view.size
    corners = torch.tensor([[0, 0], [w, 0], [0, h], [w, h]], dtype=torch.float64) - 0.5
    x, y = torch.linalg.solve(matrix, (corners - origin).T) + 0.5
    return max(-x.min().item(), -y.min().item(), x.max().item() - width, y.max().item() - height)


SHARE = st.floats(0, 1, allow_subnormal=False)
SIDE = st.integers(8, 300)


@given(
    frame=st.tuples(SIDE, SIDE),
    size=st.tuples(SIDE, SIDE),
    place=st.tuples(SHARE, SHARE),
    scale=st.tuples(st.floats(0.2, 4), st.floats(0.2, 4)),
    angle=st.floats(-0.8, 0.8, allow_subnormal=False),
    flips=st.tuples(st.booleans(), st.booleans()),
)
def test_a_view_never_looks_past_the_edge_and_enlarges_no_more_than_that_needs(
    frame: tuple[int, int],
    size: tuple[int, int],
    place: tuple[float, float],
    scale: tuple[float, float],
    angle: float,
    flips: tuple[bool, bool],
) -> None:
    view = aim(frame, size, place, scale, angle, *flips)
    assert overhang(view, *frame) < 1e-6
    growth = view.scale[0] / scale[0]
    assert growth >= 1
    assert view.scale[1] / scale[1] == pytest.approx(growth)
    if growth > 1:
        smaller = replace(view, scale=(view.scale[0] * 0.99, view.scale[1] * 0.99))
        assert overhang(smaller, *frame) > 0.01


def test_views_reach_all_four_edges() -> None:
    settings = replace(NOTHING, crop=(40, 50))
    origins = [draw(settings, seed, (43, 52)).view.move(torch.zeros(2)) for seed in range(200)]
    assert {(-int(x), -int(y)) for x, y in origins} == {(x, y) for x in range(3) for y in range(4)}


def test_far_points_are_exact() -> None:
    view = aim((2000, 3000), (1000, 1400), (0.9, 0.8), (0.9, 1.1), 0.3, True, False)
    xy = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 2000
    torch.testing.assert_close(view.move(xy), view.move(xy.double()).float(), atol=5e-4, rtol=0)


# Which points count.


def test_points_outside_the_view_are_not_seen_and_their_queries_not_used() -> None:
    images = batch(1, frames=2)[0]
    # In the middle all the time, outside in the second frame, in the first, in both; and unknown in the second.
    within, out, unknown = [26.0, 22.0], [0.0, 0.0], [math.nan, math.nan]
    xy = torch.tensor([[within, within, out, out, within], [within, out, within, out, unknown]])[None]
    known = torch.ones(1, 2, 5, dtype=torch.bool)
    known[0, 1, 4] = False
    settings = replace(NOTHING, crop=(20, 20))
    # A seed whose view shows the middle and not the corner.
    result = augment(settings, (images, xy, known, torch.ones_like(known)), 0)
    assert inside(result.xy[0, 0, :1], (20, 20)).all()
    assert result.visible[0].tolist() == [[True, True, False, False, True], [True, False, True, False, False]]
    assert result.valid[0].tolist() == [[True, True, False, False, True], [True, True, False, False, False]]
    assert (result.xy[0, 1, 1] < 0).all()


def test_centres_of_edge_pixels_are_the_border() -> None:
    xy = torch.tensor([[0, 0], [9, 4], [9.01, 4], [9, 4.01], [-0.01, 0], [0, -0.01], [math.nan, 2]])
    assert inside(xy, (5, 10)).tolist() == [True, True, False, False, False, False, False]


def test_backwards() -> None:
    images, xy, valid, visible = batch()
    out = augment(replace(NOTHING, reverse_probability=1), (images, xy, valid, visible), 9)
    assert torch.equal(out.frames, images.float().flip(1))
    assert torch.equal(out.xy, xy.flip(1))
    assert torch.equal(out.visible, visible.flip(1))
    query = valid[:, -1:] & visible[:, -1:]
    assert 0 < query.sum() < query.numel()
    assert torch.equal(out.valid, valid.flip(1) & query)
