from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.errors import ConfigError
from refine_motion.motion.grid import pixel_grid
from refine_motion.refine.clip_augment import AugmentedClip, ClipAugmentation, ClipAugmenter
from refine_motion.refine.clip_draw import draw
from refine_motion.refine.clip_geometry import View, aim, inside
from refine_motion.refine.clip_occluders import Occluder, hidden, occlude
from refine_motion.refine.clip_photometric import Look

NOTHING = ClipAugmentation(
    reverse_probability=0,
    hflip_probability=0,
    vflip_probability=0,
    affine_probability=0,
    jitter_probability=0,
    grey_probability=0,
    blur_probability=0,
    noise_probability=0,
    jpeg_probability=0,
    occluder_probability=0,
)
EVERYTHING = ClipAugmentation(
    crop=(40, 48),
    frames=3,
    affine_probability=1,
    jitter_probability=1,
    grey_probability=0.5,
    blur_probability=1,
    noise_probability=1,
    jpeg_probability=1,
    occluder_probability=1,
)

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def batch(count: int = 1, frames: int = 4, height: int = 44, width: int = 52, points: int = 30) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, frames, 3, height, width), generator=generator, dtype=torch.uint8)
    sides = torch.tensor([width - 1.0, height - 1.0])
    xy = torch.rand(count, frames, points, 2, generator=generator) * sides
    known = torch.rand(2, count, frames, points, generator=generator) < 0.8
    return images, xy, known[0], known[1]


def everywhere(images: torch.Tensor) -> Batch:
    """The clips with a point on each pixel of each frame, all valid and visible."""
    count, frames, _, height, width = images.shape
    xy = pixel_grid(height, width).flatten(1).T.expand(count, frames, -1, -1)
    known = torch.ones(xy.shape[:-1], dtype=torch.bool)
    return images, xy, known, known


def augment(settings: ClipAugmentation, clips: Batch, *seeds: int) -> AugmentedClip:
    return ClipAugmenter(settings)(*clips, list(seeds))


def same(a: AugmentedClip, b: AugmentedClip) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# The whole.


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_nothing_changes_when_nothing_is_asked_for(dtype: torch.dtype) -> None:
    images, *labels = batch(2)
    out = augment(NOTHING, (images.to(dtype), *labels), 1, 2)
    assert out.frames.dtype == out.xy.dtype == torch.float32
    assert same(out, AugmentedClip(images.float(), *labels))


def test_a_clip_depends_on_its_seed_alone() -> None:
    clips = batch(3)
    together = augment(EVERYTHING, clips, 11, 12, 13)
    turned = augment(EVERYTHING, tuple(x.flip(0) for x in clips), 13, 12, 11)
    assert same(together, AugmentedClip(*(x.flip(0) for x in turned)))
    for i in range(3):
        alone = augment(EVERYTHING, tuple(x[[i]] for x in clips), 11 + i)
        assert same(alone, AugmentedClip(*(x[[i]] for x in together)))


def test_other_seeds_give_other_clips_also_of_one_clip() -> None:
    one = batch(1)
    out = augment(EVERYTHING, tuple(x.expand(8, *x.shape[1:]) for x in one), *range(8))
    for i in range(8):
        for j in range(i):
            assert not torch.equal(out.frames[i], out.frames[j])
            assert not torch.equal(out.xy[i], out.xy[j])


@pytest.mark.parametrize("settings", [NOTHING, replace(NOTHING, noise_probability=1), EVERYTHING])
def test_inputs_stay_as_they_are(settings: ClipAugmentation) -> None:
    images, *labels = batch(1)
    clips = (images.float(), *labels)
    before = [x.clone() for x in clips]
    for x in augment(settings, clips, 3):
        x.zero_()
    assert all(torch.equal(x, y) for x, y in zip(clips, before, strict=True))


def test_nothing_runs_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = batch(2)
    expected = augment(EVERYTHING, clips, 5, 6)
    half = []
    apply = Look.apply
    monkeypatch.setattr(Look, "apply", lambda *a: half.append(torch.is_autocast_enabled("cpu")) or apply(*a))
    with torch.autocast("cpu", torch.bfloat16):
        assert same(augment(EVERYTHING, clips, 5, 6), expected)
    assert half == [False, False]


def test_fast_matrix_products_move_no_points() -> None:
    clips = batch(2)
    expected = augment(EVERYTHING, clips, 5, 6)
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert torch.equal(augment(EVERYTHING, clips, 5, 6).xy, expected.xy)
    finally:
        torch.set_float32_matmul_precision(precision)


def test_shapes_types_and_range() -> None:
    clips = batch(6)
    out = augment(EVERYTHING, clips, *range(6))
    assert out.frames.shape == (6, 3, 3, 40, 48)
    assert out.xy.shape == (6, 3, 30, 2)
    assert out.valid.shape == out.visible.shape == (6, 3, 30)
    assert out.frames.dtype == out.xy.dtype == torch.float32
    assert out.valid.dtype == out.visible.dtype == torch.bool
    assert out.frames.min() >= 0
    assert 150 < out.frames.max() <= 255


@pytest.mark.parametrize("broken", range(4))
def test_shapes_that_do_not_fit_are_refused(broken: int) -> None:
    clips = list(batch(2))
    clips[broken] = clips[broken][:, :-1]
    with pytest.raises(ValueError, match="do not fit 2 seeds"):
        augment(EVERYTHING, tuple(clips), 1, 2)


def test_each_clip_needs_a_seed() -> None:
    with pytest.raises(ValueError, match="do not fit 1 seeds"):
        augment(EVERYTHING, batch(2), 1)


# Where things are.


def blobs(xy: torch.Tensor, height: int, width: int, sigma: float) -> torch.Tensor:
    """Frames ``(T, 3, H, W)`` with a smooth blob at each of three points ``(T, 3, 2)``, one in each channel."""
    distance = pixel_grid(height, width) - xy[..., None, None]
    return 255 * torch.exp(-distance.square().sum(dim=2) / (2 * sigma**2))


def centres(frames: torch.Tensor) -> torch.Tensor:
    """Centre of mass ``(T, 3, 2)`` of each channel."""
    mass = frames / frames.sum(dim=(-2, -1), keepdim=True)
    return torch.stack([(mass * axis).sum(dim=(-2, -1)) for axis in pixel_grid(*frames.shape[-2:])], dim=-1)


@pytest.mark.parametrize("crop", [None, (60, 70)])
def test_points_stay_on_their_pixels(crop: tuple[int, int] | None) -> None:
    settings = replace(
        NOTHING,
        crop=crop,
        frames=3,
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
        margin = 10 * max(draw(settings, seed, 6, (96, 110)).view.scale)
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
        view = draw(settings, seed, 4, (44, 52)).view
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
    origins = [draw(settings, seed, 4, (43, 52)).view.move(torch.zeros(2)) for seed in range(200)]
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


def test_frame_rate() -> None:
    settings = replace(NOTHING, frames=3, reverse_probability=0.5)
    orders = [draw(settings, seed, 8, (44, 52)).order for seed in range(300)]
    forward = [sorted(order) for order in orders]
    assert all(b - a == c - b for a, b, c in forward)
    expected = {(a, a + k, a + 2 * k) for k in (1, 2, 3) for a in range(8 - 2 * k)}
    assert {tuple(order) for order in forward} == expected
    assert 100 < sum(order[0] > order[-1] for order in orders) < 200
    # Each stride is as likely as another, although the larger ones have fewer places.
    assert all(70 < sum(b - a == k for a, b, _ in forward) < 130 for k in (1, 2, 3))


def test_as_many_frames_as_there_are_stay() -> None:
    assert all(draw(replace(NOTHING, frames=4), seed, 4, (9, 9)).order == [0, 1, 2, 3] for seed in range(50))
    assert draw(NOTHING, 0, 1, (9, 9)).order == [0]


def test_a_later_start_needs_a_query_that_is_known_and_seen() -> None:
    images, xy, valid, visible = batch(1, frames=9)
    settings = replace(NOTHING, frames=3)
    starts = set()
    for seed in range(20):
        order = draw(settings, seed, 9, (44, 52)).order
        out = augment(settings, (images, xy, valid, visible), seed)
        assert torch.equal(out.frames, images[:, order].float())
        assert torch.equal(out.xy, xy[:, order])
        query = valid[:, order[0]] & visible[:, order[0]] if order[0] else torch.ones_like(valid[:, 0])
        assert torch.equal(out.valid, valid[:, order] & query[:, None])
        assert torch.equal(out.visible, visible[:, order])
        starts.add(order[0])
    assert 0 in starts
    assert len(starts) > 3


def test_clips_that_are_too_short_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"augment.frames is 5 but the clips have 4 frames") as error:
        augment(replace(NOTHING, frames=5), batch(), 1)
    assert "\n" not in str(error.value)


# What hides them.


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


@pytest.mark.parametrize(
    "look",
    [
        Look(colours=(1.3, 0.7, 0.6, 0.1)),
        Look(grey=True),
        Look(blur=1.2),
        Look(jpeg=20.0),
        Look(colours=(0.8, 1.4, 1.3, -0.1), grey=True, blur=0.5, jpeg=40.0),
    ],
)
def test_what_stays_the_same_through_a_clip_still_does(look: Look) -> None:
    frames = batch(1, frames=4)[0][0].float()
    # The upper half stands still, the lower half gets darker: the mean colour of the frames changes.
    frames[:, :, :24] = frames[0, :, :24]
    frames[:, :, 24:] *= torch.tensor([1.0, 0.5, 0.2, 0.0]).view(4, 1, 1, 1)
    out = look.apply(frames)
    # The compression of colours reaches a few pixels up.
    assert (out[:, :, :12] - out[:1, :, :12]).abs().max() < 1e-3
    assert (out[:, :, :12] - frames[:, :, :12]).abs().mean() > 3
    assert out.min() >= 0
    assert out.max() <= 255


def test_noise_is_new_in_each_frame_and_has_one_strength() -> None:
    frames = torch.full((6, 3, 40, 40), 128.0)
    noise = Look(noise=5.0, noise_seed=3).apply(frames) - frames
    assert noise.std(dim=(1, 2, 3)).tolist() == pytest.approx([5.0] * 6, rel=0.05)
    assert abs(torch.corrcoef(noise.flatten(1))[0, 1:]).max() < 0.05
    assert not torch.equal(noise, Look(noise=5.0, noise_seed=4).apply(frames) - frames)
    extremes = Look(noise=50.0).apply(frames.clone().fill_(255)), Look(noise=50.0).apply(frames * 0)
    assert [(x.min() < 255, x.max() <= 255, x.min() >= 0, x.max() > 0) for x in extremes] == [(True,) * 4] * 2


def test_looks_by_hand() -> None:
    image = torch.tensor([100.0, 50.0, 20.0]).view(1, 3, 1, 1).expand(2, 3, 24, 24)
    torch.testing.assert_close(Look(colours=(1.2, 1.0, 1.0, 0.0)).apply(image), image * 1.2)
    third = Look(colours=(1.0, 1.0, 1.0, 1 / 3)).apply(image)
    torch.testing.assert_close(third, image[:, [2, 0, 1]], atol=1e-3, rtol=0)
    luma = 0.299 * 100 + 0.587 * 50 + 0.114 * 20
    torch.testing.assert_close(Look(grey=True).apply(image), torch.full_like(image, luma))
    torch.testing.assert_close(Look(colours=(1.0, 1.0, 0.0, 0.0)).apply(image), torch.full_like(image, luma))
    impulse = torch.zeros(1, 3, 25, 25)
    impulse[..., 12, 12] = 255
    spread = Look(blur=1.5).apply(impulse)[0, 0] / 255
    assert spread.sum().item() == pytest.approx(1, abs=1e-5)
    assert ((torch.arange(25) - 12) ** 2 * spread.sum(dim=0)).sum().item() == pytest.approx(1.5**2, rel=0.03)


def test_lower_quality_loses_more() -> None:
    frames = F.interpolate(batch(1)[0][0].float(), scale_factor=2.0, mode="bilinear")
    errors = [(Look(jpeg=quality).apply(frames) - frames).abs().mean() for quality in (10.0, 40.0, 95.0)]
    assert errors[0] > 1.2 * errors[1] > 1.2 * 1.2 * errors[2] > 0


# What is drawn.


def test_shares_and_ranges() -> None:
    settings = ClipAugmentation(crop=(20, 24))
    draws = [draw(settings, seed, 8, (200, 240)) for seed in range(1500)]

    def share(*chosen: bool) -> float:
        return sum(chosen) / len(draws)

    assert share(*(d.order[0] == 7 for d in draws)) == pytest.approx(0.5, abs=0.05)
    assert share(*(d.view.hflip for d in draws)) == pytest.approx(0.5, abs=0.05)
    assert share(*(d.view.vflip for d in draws)) == pytest.approx(0.1, abs=0.03)
    assert share(*(d.view.scale != (1, 1) for d in draws)) == pytest.approx(0.8, abs=0.04)
    assert share(*(d.look.colours is not None for d in draws)) == pytest.approx(0.8, abs=0.04)
    assert share(*(d.look.grey for d in draws)) == pytest.approx(0.1, abs=0.03)
    assert share(*(d.look.blur is not None for d in draws)) == pytest.approx(0.25, abs=0.04)
    assert share(*(d.look.noise is not None for d in draws)) == pytest.approx(0.25, abs=0.04)
    assert share(*(d.look.jpeg is not None for d in draws)) == pytest.approx(0.3, abs=0.04)
    assert share(*(len(d.occluders) > 0 for d in draws)) == pytest.approx(0.5, abs=0.05)
    assert {len(d.occluders) for d in draws} == {0, 1, 2, 3}

    scales = torch.tensor([d.view.scale for d in draws if d.view.scale != (1, 1)])
    size, stretch = scales.prod(dim=1).sqrt(), scales[:, 0] / scales[:, 1]
    assert 0.8 <= size.min() < 0.82 < 1.45 < size.max() <= 1.5
    assert size.log().mean().item() == pytest.approx((math.log(0.8) + math.log(1.5)) / 2, abs=0.02)
    assert 1 / 1.15 - 1e-6 <= stretch.min() < 0.88 < 1.13 < stretch.max() <= 1.15 + 1e-6
    angles = torch.tensor([math.degrees(d.view.angle) for d in draws])
    assert -10 <= angles.min() < -9.5 < 9.5 < angles.max() <= 10
    colours = torch.tensor([d.look.colours for d in draws if d.look.colours is not None])
    assert 0.6 <= colours[:, :3].min() < 0.62 < 1.38 < colours[:, :3].max() <= 1.4
    assert 0.155 < colours[:, 3].abs().max() <= 0.5 / math.pi
    sides = torch.tensor([o.sides for d in draws for o in d.occluders])
    assert 0.05 <= sides.min() < 0.06 < 0.29 < sides.max() <= 0.3


def test_one_setting_does_not_change_the_draws_of_another() -> None:
    for seed in range(30):
        full = draw(EVERYTHING, seed, 4, (44, 52))
        reduced = draw(
            replace(EVERYTHING, occluder_probability=0, blur_probability=0, reverse_probability=0), seed, 4, (44, 52)
        )
        assert reduced.view == full.view
        assert replace(full.look, blur=None) == reduced.look
        assert sorted(full.order) == reduced.order
        assert draw(replace(EVERYTHING, affine_probability=0), seed, 4, (44, 52)).occluders == full.occluders


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reverse_probability", 1.5),
        ("jpeg_probability", -0.1),
        ("blur_probability", math.nan),
        ("brightness", 1.1),
        ("hue", 0.6),
        ("scale", (0.0, 1.0)),
        ("scale", (1.5, 0.8)),
        ("scale", (0.8, 1.0, 1.5)),
        ("stretch", 0.9),
        ("rotation", 90.0),
        ("jpeg_quality", (0.0, 50.0)),
        ("noise_sigma", (-1.0, 5.0)),
        ("blur_sigma", (0.0, 1.0)),
        ("occluders", 0),
        ("occluder_size", (0.1, 3.0)),
        ("occluder_travel", -1.0),
        ("crop", (0, 64)),
        ("crop", (64,)),
        ("frames", 1),
    ],
)
def test_impossible_settings_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^augment\.{name} must be .*, got") as error:
        ClipAugmentation(**{name: value})
    assert "\n" not in str(error.value)
