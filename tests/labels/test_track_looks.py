from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from refine_motion.labels.track_looks import TrackerLook, TrackLook, WindowLook
from refine_motion.labels.track_views import TrackView, parse_track_view
from refine_motion.labels.views import View, parse_view
from refine_motion.models.pips import SMALL, Pips
from tests.labels.made_tracks import Move, ToldTracks, ToldWindows, always, ramps

POINTS = torch.tensor([[20.0, 30.0], [40.25, 12.5], [0.0, 0.0], [95.0, 63.0], [70.0, 50.0], [33.0, 20.0], [1.0, 60.0]])
Look = Callable[..., TrackLook]


def window(move: Move, view: str, *more: object) -> TrackLook:
    return WindowLook(ToldWindows(move, *more), ramps(), parse_track_view(view, 3))


def tracker(move: Move, view: str, *more: object) -> TrackLook:
    return TrackerLook(ToldTracks(move, *more), ramps(), parse_view(view))


def curve(places: Tensor, time: int) -> Tensor:
    """Turned about the middle, made smaller and shifted ever faster."""
    middle = torch.tensor([47.5, 31.5])
    turn = torch.tensor([[1 - 0.01 * time, -0.01 * time], [0.01 * time, 1 - 0.01 * time]])
    return (places - middle) @ turn.T + middle + torch.tensor([0.05 * time**2, -0.3 * time])


def truth(move: Move, points: Tensor) -> Tensor:
    return torch.stack([move(points, time) for time in range(8)])


VIEWS = ["1x", "2x", "0.5x", "1x flip", "2x flip", "0.5x flip", "1.3x"]
OF_WINDOWS = ["1x reversed", "1x 4 frames", "1x 2 frames", "1x 7 frames", "2x flip reversed 3 frames"]


@pytest.mark.parametrize(
    ("kind", "view"),
    [*((kind, view) for kind in (window, tracker) for view in VIEWS), *((window, view) for view in OF_WINDOWS)],
)
def test_places_come_back_exact_in_every_view_and_the_ways_agree(kind: Look, view: str) -> None:
    # Where 1.3 of 64 and 96 are rounded, the true ratios count.
    points = POINTS[:2] if kind is tracker else POINTS
    ways = kind(curve, view).ways(points, follow_hidden=False)
    assert ways.places.shape == (8, len(points), 2)
    assert torch.equal(ways.places[0], points)
    assert (ways.places - truth(curve, points)).abs().max() < 1e-3
    assert (ways.places[7] - points).norm(dim=1).min() > 1
    assert (ways.back - ways.places).abs().max() < 1e-3
    assert ways.cycle.max() < 2e-3
    assert ways.seen.all()
    assert ways.seen_back.all()
    assert ways.ends.tolist() == [7] * len(points)


def test_a_model_is_asked_in_pixels_of_what_it_is_shown() -> None:
    look = window(curve, "2x flip")
    look.ways(torch.tensor([[20.0, 30.0]]), False)
    # The centre of pixel 20 of 96 is that of 40.5 of 192, from the other side.
    assert look.model.asked[0].tolist() == [[191 - 40.5, 60.5]]


def lost_at_the_end(places: Tensor, time: int) -> Tensor:
    """Points to the left of 48 jump away by 9 in x and y from frame 5 on."""
    return places + torch.tensor([time, 0.0]) + 9 * ((places[:, :1] < 48) & (time >= 5))


def hidden_at_the_end(places: Tensor, time: int) -> Tensor:
    return (places[:, 0] >= 48) | (time < 5)


@pytest.mark.parametrize(
    ("kind", "view"),
    [*((kind, view) for kind in (window, tracker) for view in ("1x", "1x flip")), *((window, v) for v in OF_WINDOWS)],
)
def test_the_way_back_begins_where_a_point_was_last_seen(kind: Look, view: str) -> None:
    asked = torch.tensor([[20.0, 30.0], [60.0, 30.0]])
    ways = kind(lost_at_the_end, view, hidden_at_the_end).ways(asked, follow_hidden=False)
    assert ways.ends.tolist() == [4, 7]
    expected = torch.ones(8, 2, dtype=torch.bool)
    expected[5:, 0] = False
    assert torch.equal(ways.seen, expected)
    assert torch.equal(ways.seen_back, expected)
    assert torch.equal(ways.back[5:, 0], ways.places[5:, 0])
    assert (ways.back[:5, 0, 0] - torch.arange(20.0, 25.0)).abs().max() < 1e-3
    assert ways.cycle.max() < 1e-3


def test_each_way_back_is_asked_for_in_its_own_frame() -> None:
    def leaves(places: Tensor, time: int) -> Tensor:
        return time <= places[:, 0] / 10

    look = window(curve, "1x", leaves)
    points = torch.tensor([[10.0, 30.0], [35.0, 20.0], [15.0, 10.0], [72.0, 40.0]])
    ways = look.ways(points, False)
    assert ways.ends.tolist() == [1, 3, 1, 7]
    # All there in one go, then those back of frame 1, of 3 and of 7.
    found = [ways.places[1, [0, 2]], ways.places[3, [1]], ways.places[7, [3]]]
    for asked, wanted in zip(look.model.asked[1:], found, strict=True):
        torch.testing.assert_close(asked, wanted, atol=1e-4, rtol=0)
    assert (ways.places - truth(curve, points))[:, 3].abs().max() < 1e-3
    assert ways.cycle.max() < 1e-3


def test_a_sub_window_begins_where_the_one_before_ended() -> None:
    look = window(curve, "1x 4 frames")
    points = POINTS[:2]
    wanted = truth(curve, points)
    ways = look.ways(points, False)
    assert (ways.places - wanted).abs().max() < 1e-3
    # Frames 0 to 3, 3 to 6, 6 and 7; and back from 7: 7 to 4, 4 to 1, 1 and 0.
    for asked, time in zip(look.model.asked, [0, 3, 6, 7, 4, 1], strict=True):
        torch.testing.assert_close(asked, wanted[time], atol=1e-3, rtol=0)


def test_reversed_is_where_the_way_back_leads_and_errs_as_much() -> None:
    def strayed(places: Tensor, time: int) -> Tensor:
        return torch.tensor([0.0, 0.5 * (7 - time)])

    def seen_back(places: Tensor, time: int) -> Tensor:
        return always(places, time) & (time != 2)

    plain = window(curve, "1x", always, strayed, seen_back).ways(POINTS[:2], False)
    turned = window(curve, "1x reversed", always, strayed, seen_back).ways(POINTS[:2], False)
    assert torch.equal(turned.places[0], POINTS[:2])
    assert torch.equal(turned.places[1:], plain.back[1:])
    off = (turned.places - truth(curve, POINTS[:2]))[1:]
    torch.testing.assert_close(off, torch.tensor([0.0, 0.5]) * torch.arange(6.0, -1, -1).view(-1, 1, 1).expand(7, 2, 1))
    assert torch.equal(turned.cycle, plain.cycle)
    assert (~turned.seen).nonzero()[:, 0].unique().tolist() == [2]
    assert turned.seen_back.all()
    assert torch.equal(turned.ends, plain.ends)


@pytest.mark.parametrize("kind", [window, tracker])
def test_a_point_that_is_hidden_on_the_way_is_not_known_there_alone(kind: Look) -> None:
    ways = kind(curve, "1x", lambda places, time: always(places, time) & (time != 3)).ways(POINTS[:2], False)
    assert (~ways.seen).nonzero()[:, 0].unique().tolist() == [3]
    assert (~ways.seen_back).nonzero()[:, 0].unique().tolist() == [3]
    assert ways.ends.tolist() == [7, 7]


@pytest.mark.parametrize("kind", [window, tracker])
def test_the_first_frame_always_sees_the_point(kind: Look) -> None:
    ways = kind(curve, "1x", lambda places, time: torch.zeros(len(places), dtype=torch.bool)).ways(POINTS[:2], False)
    assert ways.ends.tolist() == [0, 0]
    assert ways.seen.sum(dim=0).tolist() == [1, 1]
    assert torch.equal(ways.seen, ways.seen_back)
    assert ways.cycle.max() < 1e-4


@pytest.mark.parametrize("kind", [window, tracker])
def test_a_way_back_that_loses_the_point_still_has_to_come_back(kind: Look) -> None:
    def strayed(places: Tensor, time: int) -> Tensor:
        return torch.tensor([0.0, 6.0 * (time < 4)])

    def seen_back(places: Tensor, time: int) -> Tensor:
        return always(places, time) & (time >= 4)

    ways = kind(curve, "1x", always, strayed, seen_back).ways(POINTS[:2], False)
    known = ways.seen & ways.seen_back
    assert known[:, 0].tolist() == [True, False, False, False, True, True, True, True]
    assert (ways.cycle[:4] - 6).abs().max() < 1e-3
    assert ways.cycle[4:].max() < 1e-3


@pytest.mark.parametrize("kind", [window, tracker])
def test_hidden_points_are_followed_as_published_where_that_is_asked_for(kind: Look) -> None:
    ways = kind(lost_at_the_end, "1x", hidden_at_the_end).ways(torch.tensor([[20.0, 30.0], [60.0, 30.0]]), True)
    assert ways.ends.tolist() == [7, 7]
    assert ways.seen.all()
    assert ways.seen_back.all()
    # It sets out from where the first is taken to be, 7 and 9 to the right and 9 down.
    torch.testing.assert_close(ways.back[7], torch.tensor([[36.0, 39.0], [67.0, 30.0]]), atol=1e-3, rtol=0)
    assert ways.cycle[7].max() < 1e-4


def test_another_tracker_is_asked_inside_the_frame_only() -> None:
    def away(places: Tensor, time: int) -> Tensor:
        return places - torch.tensor([4.0 * time, 0.0])

    look = tracker(away, "1x")
    ways = look.ways(torch.tensor([[20.0, 30.0], [90.0, 30.0]]), False)
    assert ways.places[7].tolist() == [[-8.0, 30.0], [62.0, 30.0]]
    # Led back from the border it ends elsewhere.
    torch.testing.assert_close(ways.cycle[:, 0], torch.full((8,), 8.0), atol=1e-3, rtol=0)
    assert ways.cycle[:, 1].max() < 1e-3


def test_places_that_are_not_numbers_stop_nothing_and_come_back_nowhere() -> None:
    def nowhere(places: Tensor, time: int) -> Tensor:
        return places + (torch.nan if time == 7 else 0.0)

    model = ToldTracks(nowhere)
    ways = TrackerLook(model, ramps(), View()).ways(POINTS[:1], False)
    assert ways.cycle[7].isnan().all()


def test_frames_between_those_of_a_window_are_looked_at_too() -> None:
    """Every other of 15 frames is the window's; points that are hidden at its end are led back from where they were."""
    model = ToldTracks(curve, lambda places, time: (places[:, 0] >= 30) | (time <= 9))
    times = torch.arange(0, 15, 2)
    look = TrackerLook(model, ramps(15), parse_view("1x"), times)
    points = torch.tensor([[20.0, 30.0], [60.0, 20.0]])
    ways = look.ways(points, follow_hidden=False)
    wanted = torch.stack([curve(points, int(time)) for time in times])
    assert ways.places.shape == (8, 2, 2)
    assert (ways.places - wanted).abs().max() < 1e-3
    # The last frame of the window up to time 9 is its fourth, at time 8.
    assert ways.ends.tolist() == [4, 7]
    assert ways.cycle.max() < 1e-3


def test_no_points() -> None:
    ways = window(curve, "2x").ways(torch.zeros(0, 2), False)
    assert ways.places.shape == (8, 0, 2)
    assert ways.ends.shape == (0,)


@pytest.fixture(scope="module")
def small() -> Pips:
    torch.manual_seed(0)
    model = Pips("pips_small", SMALL)
    # Untrained, the fast sines of the embedding would make anything of a rounding error.
    with torch.no_grad():
        model.delta_block.to_delta[0].weight[:, -195:-3] *= 0.01
    model.chunk = 3
    return model.eval()


def test_a_real_model_as_it_is_equals_its_predictions_made_by_hand(small: Pips) -> None:
    frames = torch.randint(0, 256, (8, 3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    points = torch.rand(7, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([63.0, 47.0])
    with torch.no_grad():
        maps = small.encode(frames)[None]
        there = small.predict(maps, points[None], 2)
        back = small.predict(maps.flip(1), there.coords[-1][:, -1], 2)
    look = WindowLook(small, frames, TrackView(View(), 2))
    ways = look.ways(points, follow_hidden=True)
    assert (there.coords[-1][0, 1:] - points).norm(dim=-1).mean() > 0.1
    torch.testing.assert_close(ways.places, there.coords[-1][0], atol=1e-3, rtol=0)
    torch.testing.assert_close(ways.back, back.coords[-1][0].flip(0), atol=1e-3, rtol=0)

    ways = look.ways(points, follow_hidden=False)
    seen = there.visibility[0].sigmoid() > 0.5
    assert 0 < seen[1:].float().mean() < 1
    seen[0] = True
    assert torch.equal(ways.seen, seen)
    for number, end in enumerate(ways.ends.tolist()):
        order = [max(end - step, 0) for step in range(8)]
        with torch.no_grad():
            found = small.predict(maps[:, order], ways.places[end, number][None, None], 2).coords[-1][0, : end + 1, 0]
        torch.testing.assert_close(ways.back[: end + 1, number], found.flip(0), atol=1e-3, rtol=0)


def test_a_real_model_sees_the_view(small: Pips) -> None:
    frames = torch.randint(0, 256, (8, 3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[10.0, 12.0], [50.0, 30.0]])
    ways = WindowLook(small, frames, TrackView(View(1.5, flip=True), 1)).ways(points, True)
    shown = View(1.5, flip=True).show(frames)
    asked = (points + 0.5) * 1.5 - 0.5
    asked[:, 0] = 95 - asked[:, 0]
    with torch.no_grad():
        found = small.predict(small.encode(shown)[None], asked[None], 1).coords[-1][0]
    found[..., 0] = 95 - found[..., 0]
    torch.testing.assert_close(ways.places, (found + 0.5) / 1.5 - 0.5, atol=1e-3, rtol=0)


def test_a_real_model_in_sub_windows_keeps_the_features_of_the_first(small: Pips) -> None:
    frames = torch.randint(0, 256, (8, 3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[10.0, 12.0], [50.0, 30.0]])
    ways = WindowLook(small, frames, parse_track_view("1x 5 frames", 2)).ways(points, True)
    with torch.no_grad():
        maps = small.encode(frames)[None]
        first = small.predict(maps[:, [0, 1, 2, 3, 4, 4, 4, 4]], points[None], 2)
        second = small.predict(maps[:, [4, 5, 6, 7, 7, 7, 7, 7]], first.coords[-1][:, 4], 2, first.features)
        own = small.predict(maps[:, [4, 5, 6, 7, 7, 7, 7, 7]], first.coords[-1][:, 4], 2)
    found = torch.cat((first.coords[-1][0, :5], second.coords[-1][0, 1:4]))
    torch.testing.assert_close(ways.places[1:], found[1:], atol=1e-3, rtol=0)
    assert (second.coords[-1] - own.coords[-1]).abs().max() > 1e-2
