from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.labels.queries import seed_queries
from refine_motion.labels.track_codec import encode
from refine_motion.labels.track_rules import PAPER_SIZE, pixels_at
from refine_motion.labels.track_teacher import TrackLabelSettings, TrackTeacher
from refine_motion.models.pips import SMALL, Pips
from tests.labels.made_tracks import ToldTracks, ToldWindows, always, ramps, straight

SIZE = (64, 96)
# The paper's 3 px in frames of 64x96, and the default ceiling of twice that.
PAPER = pixels_at(3.0, PAPER_SIZE, SIZE)


def right(places: Tensor, time: int) -> Tensor:
    """All go to the right by 1 px a frame."""
    return places + torch.tensor([1.0 * time, 0.0])


def settings(**more: Any) -> TrackLabelSettings:
    return TrackLabelSettings(**({"queries": ("grid",), "seeds": 24, "dense": 0} | more))


def strays(places: Tensor, time: int) -> Tensor:
    """On the way back, a tenth of the place's x too far down at the start, and less before."""
    return torch.stack((torch.zeros(len(places)), places[:, 0] / 10 * (7 - time) / 7), dim=1)


def test_labels_and_their_evidence_by_hand() -> None:
    model = ToldWindows(right, strayed=strays)
    queries = torch.tensor([[2.0, 30.0], [10.5, 20.25]])
    label = TrackTeacher(model, settings(dense=50)).label(ramps(), 0, queries)
    assert label.size == SIZE
    # Places that a user asks for are followed as they are, and nothing else is.
    assert torch.equal(label.xy, queries)
    torch.testing.assert_close(label.places, straight(torch.tensor([[1.0, 0.0]] * 2), start=queries))
    assert label.known.all()
    evidence = label.evidence
    torch.testing.assert_close(evidence.cycle_error, torch.tensor([0.2, 1.05]), atol=1e-4, rtol=0)
    torch.testing.assert_close(evidence.speed, torch.ones(2), atol=1e-4, rtol=0)
    back = torch.hypot(torch.ones(2), torch.tensor([0.2, 1.05]) / 7)
    torch.testing.assert_close(evidence.backward_speed, back, atol=1e-3, rtol=0)
    # In the frames, one channel grows by 1 in time, one by 1 to the right, one by 1 down.
    torch.testing.assert_close(evidence.gradient, torch.full((2,), 2**0.5 / 3))
    # On average over the later frames.
    torch.testing.assert_close(evidence.colour_error, torch.full((2,), 4 * 2 / 3), atol=1e-3, rtol=0)
    assert not evidence.spread.any()
    assert label.views == "1x"


def test_nothing_above_the_ceiling_is_stored() -> None:
    # Cycle errors of a tenth of x, below it up to 13 at a ceiling of twice the paper's rule.
    model = ToldWindows(right, strayed=strays)
    queries = torch.tensor([[x, 30.0] for x in range(0, 80, 2)])
    for ceiling in (0.5, 2.0, 4.0):
        label = TrackTeacher(model, settings(ceiling=ceiling)).label(ramps(), 0, queries)
        assert label.xy[:, 0].tolist() == [x for x in range(0, 80, 2) if x / 10 < ceiling * PAPER]
        assert label.evidence.cycle_error.max() < ceiling * PAPER
    # And of larger frames, more.
    label = TrackTeacher(model, settings(size=(128, 192))).label(ramps(8, (128, 192)), 0, queries)
    assert label.xy[:, 0].tolist() == [x for x in range(0, 80, 2) if x / 10 < 4 * PAPER]


def test_what_is_seen_at_once_alone_or_is_not_a_number_is_not_stored() -> None:
    def lost(places: Tensor, time: int) -> Tensor:
        return right(places, time) + torch.where(places[:, :1] > 66, torch.nan if time > 3 else 0.0, 0.0)

    def seen(places: Tensor, time: int) -> Tensor:
        # The last ones are hidden where they are not numbers.
        return ((places[:, 0] >= 30) | (time == 0)) & ((places[:, 0] <= 80) | (time <= 3))

    label = TrackTeacher(ToldWindows(lost, seen), settings()).label(ramps(), 0)
    asked = seed_queries(ramps(), ("grid",), 24)
    assert torch.equal(label.xy, asked[(asked[:, 0] >= 30) & (asked[:, 0] <= 66)])
    # Those that are not stored have no part in the motion that most share.
    torch.testing.assert_close(label.dominant[:, 2], torch.tensor([7.0, 0.0]), atol=1e-2, rtol=0)
    encode(label)


def test_the_dominant_motion_is_that_of_stored_tracks() -> None:
    def mostly_wrong(places: Tensor, time: int) -> Tensor:
        return places + torch.where(places[:, :1] < 60, torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0])) * time

    def strayed(places: Tensor, time: int) -> Tensor:
        return torch.where(places[:, :1] < 60, 50.0, 0.0).expand(-1, 2)

    label = TrackTeacher(ToldWindows(mostly_wrong, strayed=strayed), settings()).label(ramps(), 0)
    assert 0 < len(label.xy) < 12
    torch.testing.assert_close(label.relative, torch.zeros(len(label.xy), 2), atol=1e-2, rtol=0)


def dense_scene() -> ToldWindows:
    """The camera rests; left of x = 24 all goes down, 1 px a frame; below y = 32 nothing is verified."""

    def move(places: Tensor, time: int) -> Tensor:
        return places + (places[:, :1] < 24) * torch.tensor([0.0, 1.0 * time])

    def strayed(places: Tensor, time: int) -> Tensor:
        return (places[:, 1:] >= 32) * torch.tensor([0.0, 1.2 * PAPER * (time == 0)])

    return ToldWindows(move, strayed=strayed)


def test_dense_places_lie_around_verified_ones_and_half_of_them_around_moving_ones() -> None:
    teacher = TrackTeacher(dense_scene(), settings(dense=60, seeds=40))
    label = teacher.label(ramps(), 5)
    seeds = seed_queries(ramps(), ("grid",), 40)
    count = len(seeds)
    assert torch.equal(label.xy[:count], seeds)
    assert label.xy.shape == (count + 60, 2)
    assert len(label.xy.unique(dim=0)) == count + 60
    verified = seeds[seeds[:, 1] < 32]
    assert 0 < len(verified) < count
    # Squares of 24 px at 256x448 have 6 here.
    reach = 3
    dense = label.xy[count:]
    near = (dense[:, None] - verified).abs().amax(dim=-1)
    assert near.amin(dim=1).max() <= reach
    moving = (near + 99 * (verified[:, 0] >= 24)).amin(dim=1) <= reach
    assert moving[:30].all()
    assert moving.sum() < 45
    # The motion that most share is that of the seeds, and what the rest is judged by.
    assert label.dominant.abs().max() < 1e-3
    torch.testing.assert_close(label.relative[count:][:30], torch.tensor([[0.0, 7.0]] * 30), atol=1e-2, rtol=0)
    evidence = [values[None] for values in vars(label.evidence).values() if values is not None]
    for part in (label.seen, label.seen_back, label.places[..., 0], *evidence):
        assert part.shape[1] == count + 60


def test_the_dominant_motion_is_that_of_the_seeds_however_many_dense_ones_move_otherwise() -> None:
    def move(places: Tensor, time: int) -> Tensor:
        return places + (places[:, 1:] < 24) * torch.tensor([1.0 * time, 0.0])

    def strayed(places: Tensor, time: int) -> Tensor:
        return (places[:, 1:] >= 24) * torch.tensor([0.0, 1.2 * PAPER * (time == 0)])

    label = TrackTeacher(ToldWindows(move, strayed=strayed), settings(seeds=40, dense=100)).label(ramps(), 0)
    assert (label.flow[:, 0] > 1).sum() > 100
    assert label.dominant.abs().max() < 1e-3


def test_the_same_frames_and_seed_give_the_same_labels() -> None:
    teacher = TrackTeacher(dense_scene(), settings(dense=40, queries=("grid", "corners", "moving")))
    first, again, other = (teacher.label(ramps(), seed) for seed in (5, 5, 6))
    for name, value in encode(first)[0].items():
        assert torch.equal(value, encode(again)[0][name])
    assert not torch.equal(first.xy, other.xy)


def test_nothing_verified_gives_nothing_dense_and_a_plain_picture_an_empty_label() -> None:
    model = ToldWindows(right, strayed=lambda places, time: torch.full((len(places), 2), 50.0))
    label = TrackTeacher(model, settings(dense=40)).label(ramps(), 0)
    assert label.places.shape == (8, 0, 2)
    encode(label)
    plain = torch.full((8, 3, 64, 96), 90, dtype=torch.uint8)
    for views in (("1x",), ("1x", "linked"), ("every frame",)):
        teacher = TrackTeacher(pips(), settings(dense=40, queries=("corners",), views=views), ToldTracks(right))
        label = teacher.label(plain, 0)
        assert label.places.shape == (8, 0, 2)
        encode(label)


def test_two_views_meet_halfway() -> None:
    def near_the_left(places: Tensor, time: int) -> Tensor:
        return (places[:, :1] < 48) * torch.tensor([0.0, 0.4 * (time < 3)])

    def slightly_down(places: Tensor, time: int) -> Tensor:
        return right(places, time) + torch.tensor([0.0, 0.01 * time])

    asked = torch.tensor([[20.0, 20.0], [70.0, 30.0]])
    model = ToldWindows(right, strayed=near_the_left)
    label = TrackTeacher(model, settings(views=("2x", "linked")), ToldTracks(slightly_down)).label(ramps(), 0, asked)
    torch.testing.assert_close(label.flow, torch.tensor([[7.0, 0.035]] * 2), atol=1e-3, rtol=0)
    # Half of the 0.4 px by which one of them does not come back.
    torch.testing.assert_close(label.evidence.cycle_error, torch.tensor([0.2, 0.0]), atol=1e-3, rtol=0)
    assert label.views == "2x + linked"
    # Where they are farthest apart.
    torch.testing.assert_close(label.evidence.spread, torch.tensor([0.035, 0.035]), atol=1e-3, rtol=0)
    alone = TrackTeacher(model, settings(), None).label(ramps(), 0, asked)
    torch.testing.assert_close(alone.evidence.cycle_error, torch.tensor([0.4, 0.0]), atol=1e-3, rtol=0)


def test_beside_two_views_of_the_model_linked_flow_places_nothing() -> None:
    def down(places: Tensor, time: int) -> Tensor:
        return right(places, time) + torch.tensor([0.0, 0.1 * time])

    asked = torch.tensor([[20.0, 20.0]])
    for views, fall in ((("1x", "2x", "linked"), 0.0), (("1x", "linked"), 0.35), (("linked",), 0.7)):
        label = TrackTeacher(ToldWindows(right), settings(views=views), ToldTracks(down)).label(ramps(), 0, asked)
        torch.testing.assert_close(label.flow, torch.tensor([[7.0, fall]]), atol=1e-3, rtol=0)


def test_frames_in_which_views_are_apart_are_not_known() -> None:
    jump = ToldTracks(lambda places, time: right(places, time) + torch.tensor([0.0, 5.0 * (time in (3, 4))]))
    teacher = TrackTeacher(ToldWindows(right), settings(views=("1x", "linked")), jump)
    label = teacher.label(ramps(), 0, torch.tensor([[20.0, 20.0]]))
    assert label.known[:, 0].tolist() == [True] * 3 + [False] * 2 + [True] * 3
    torch.testing.assert_close(label.flow, torch.tensor([[7.0, 0.0]]), atol=1e-3, rtol=0)
    # They are no part of the evidence either.
    assert label.evidence.spread.max() < 1e-3


def test_a_look_that_is_not_a_number_has_no_say() -> None:
    linked = ToldTracks(lambda places, time: places + (torch.nan if time else 0.0))
    teacher = TrackTeacher(ToldWindows(right), settings(views=("1x", "2x", "linked")), linked)
    label = teacher.label(ramps(), 0, torch.tensor([[20.0, 20.0]]))
    torch.testing.assert_close(label.flow, torch.tensor([[7.0, 0.0]]), atol=1e-3, rtol=0)
    alone = TrackTeacher(ToldWindows(right), settings(views=("linked",)), linked)
    assert alone.label(ramps(), 0, torch.tensor([[20.0, 20.0]])).places.shape == (8, 0, 2)


def test_what_leaves_the_frame_is_not_known_there() -> None:
    asked = torch.tensor([[90.0, 20.0], [20.0, 20.0]])
    label = TrackTeacher(ToldWindows(right), settings()).label(ramps(), 0, asked)
    # The last pixel is 95, and its edge half a pixel beyond.
    assert label.known[:, 0].tolist() == [True] * 6 + [False] * 2
    assert label.known[:, 1].all()
    # There and back agree on it.
    assert torch.equal(label.seen, label.seen_back)
    # As published, every frame counts.
    published = TrackTeacher(ToldWindows(right), settings(follow_hidden=True)).label(ramps(), 0, asked)
    assert published.known.all()


def test_hidden_points_are_followed_where_that_is_asked_for() -> None:
    def seen(places: Tensor, time: int) -> Tensor:
        return always(places, time) & (time < 3)

    asked = torch.tensor([[20.0, 20.0]])
    label = TrackTeacher(ToldWindows(right, seen), settings()).label(ramps(), 0, asked)
    assert label.known[:, 0].tolist() == [True] * 3 + [False] * 5
    label = TrackTeacher(ToldWindows(right, seen), settings(follow_hidden=True)).label(ramps(), 0, asked)
    assert label.known.all()


def test_the_linked_model_must_be_there_and_only_where_it_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"^label\.views has `linked`[^\n]*model\.linked$"):
        TrackTeacher(ToldWindows(right), settings(views=("1x", "linked")))
    linked = ToldTracks(right)
    both = TrackTeacher(ToldWindows(right), settings(views=("linked", "0.5x")), linked)
    assert both.models == [both.model, linked]
    # 16 px at half the size, 24 as they are.
    assert both.min_side == 32
    assert TrackTeacher(ToldWindows(right), settings(views=("linked", "1x")), linked).min_side == 24
    alone = TrackTeacher(ToldWindows(right), settings(views=("2x",)), linked)
    assert alone.models == [alone.model]
    assert alone.min_side == 16


def test_sub_windows_are_shorter_than_windows() -> None:
    TrackTeacher(ToldWindows(right), settings(views=("1x 7 frames",)))
    with pytest.raises(
        ConfigError, match=r"^label\.views has `1x 8 frames`, but the windows of told have only 8 frames$"
    ):
        TrackTeacher(ToldWindows(right), settings(views=("1x 8 frames",)))


def test_places_of_a_user_must_lie_in_the_frame() -> None:
    teacher = TrackTeacher(ToldWindows(right), settings())
    with pytest.raises(ConfigError, match="point 1 at frame 0, x 96, y 3 lies outside"):
        teacher.label(ramps(), 0, torch.tensor([[5.0, 3.0], [96.0, 3.0]]))
    with pytest.raises(ConfigError, match="no point"):
        teacher.label(ramps(), 0, torch.zeros(0, 2))
    whole = teacher.label(ramps(), 0, torch.tensor([[5, 3], [90, 3]]))
    double = teacher.label(ramps(), 0, torch.tensor([[5, 3], [90, 3]]).double())
    assert whole.places.dtype == double.places.dtype == torch.float32
    assert torch.equal(whole.places, double.places)


def test_frames_are_brought_to_a_size_first() -> None:
    label = TrackTeacher(dense_scene(), settings(size=(32, 48))).label(ramps(), 0)
    assert label.size == (32, 48)
    assert torch.equal(label.xy, seed_queries(ramps(8, (32, 48)), ("grid",), 24))
    upright = TrackTeacher(ToldWindows(right), settings(size=(32, 48))).label(ramps(8, (96, 64)), 0)
    assert upright.size == (48, 32)
    assert TrackLabelSettings().shown_size((96, 64)) == (96, 64)
    assert TrackLabelSettings(size=(32, 48)).shown_size((16, 24)) == (32, 48)
    assert TrackLabelSettings(size=(32, 48), enlarge=False).shown_size((16, 24)) == (16, 24)


def test_the_least_side_is_that_of_the_smallest_view() -> None:
    assert TrackTeacher(ToldWindows(right), settings(views=("1x",))).min_side == 16
    assert TrackTeacher(ToldWindows(right), settings(views=("1x", "0.5x"))).min_side == 32


def test_without_a_number_it_iterates_as_often_as_its_model_is_tracked_with() -> None:
    model = pips()
    model.iters = 5
    assert TrackTeacher(model, settings()).fingerprint == TrackTeacher(model, settings(iters=5)).fingerprint
    assert TrackTeacher(model, settings()).settings.iters == 5
    with pytest.raises(ConfigError, match="different views"):
        TrackTeacher(model, settings(views=("1x", "1x 5 iters")))


def test_a_size_that_is_too_small_for_a_view_is_refused() -> None:
    TrackTeacher(ToldWindows(right), settings(size=(16, 16)))
    TrackTeacher(ToldWindows(right), settings(size=(32, 40), views=("0.5x",)))
    with pytest.raises(ConfigError, match=r"^label\.size must be at least 32 [^\n]*\[31, 40\]$"):
        TrackTeacher(ToldWindows(right), settings(size=(31, 40), views=("1x", "0.5x")))


def pips(seed: int = 0) -> Pips:
    torch.manual_seed(seed)
    return Pips("pips_small", SMALL)


def test_the_precision_of_a_training_around_it_changes_nothing() -> None:
    frames = torch.randint(0, 256, (8, 3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    teacher = TrackTeacher(pips(), settings(iters=1, ceiling=1e4, seeds=9))
    plain = teacher.label(frames, 0)
    with torch.autocast("cpu", torch.bfloat16):
        cast = teacher.label(frames, 0)
    assert len(plain.xy) > 3
    assert torch.equal(plain.places, cast.places)
    assert cast.places.dtype == torch.float32


def test_fingerprints_tell_settings_weights_and_the_second_teacher_apart() -> None:
    model = pips()
    base = TrackTeacher(model, TrackLabelSettings()).fingerprint
    assert TrackTeacher(model, TrackLabelSettings()).fingerprint == base
    others = [
        {"iters": 7},
        {"queries": ("grid",)},
        {"seeds": 193},
        {"dense": 321},
        {"dense_side": 25},
        {"ceiling": 2.5},
        {"views": ("2x",)},
        {"views": ("1x 12 iters",)},
        {"size": (256, 448)},
        {"size": (256, 448), "enlarge": False},
        {"follow_hidden": True},
        {"threads_per_process": 1},
    ]
    found = [TrackTeacher(model, TrackLabelSettings(**other)).fingerprint for other in others]
    found += [base, TrackTeacher(pips(1), TrackLabelSettings()).fingerprint]
    assert len(set(found)) == len(others) + 2

    # Of the second teacher, what its weights do not tell counts too, if it is used.
    def linked(value: float, **about: Any) -> ToldTracks:
        made = ToldTracks(right)
        torch.nn.init.constant_(made.parameter, value)
        vars(made).update(about)
        return made

    teachers = [linked(0), linked(1), linked(0, iters=12), linked(0, iters=12, distances=(1, 2)), linked(0, name="x")]
    both = TrackLabelSettings(views=("1x", "linked"))
    assert len({TrackTeacher(model, both, teacher).fingerprint for teacher in teachers}) == 5
    assert {TrackTeacher(model, TrackLabelSettings(), teacher).fingerprint for teacher in teachers} == {base}


def test_teacher_is_frozen_and_names_its_store(tmp_path: Any) -> None:
    model, linked = pips().train(), ToldTracks(right).train()
    teacher = TrackTeacher(model, settings(views=("1x", "linked")), linked)
    assert not model.training
    assert not linked.training
    assert not any(p.requires_grad for p in (*model.parameters(), *linked.parameters()))
    store = teacher.store(tmp_path)
    assert store.folder == tmp_path / teacher.fingerprint
    assert store.settings["views"] == ("1x", "linked")
    assert store.settings["model"] == "pips_small"


def test_threads_are_taken_where_they_are_set() -> None:
    before = torch.get_num_threads()
    try:
        TrackTeacher(ToldWindows(right), settings(threads_per_process=before + 1)).take_threads()
        assert torch.get_num_threads() == before + 1
        TrackTeacher(ToldWindows(right), settings()).take_threads()
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_a_view_may_iterate_longer() -> None:
    asked: list[int] = []

    class Counting(ToldWindows):
        def predict(self, maps: Tensor, xy: Tensor, iters: int, *rest: Any, **more: Any) -> Any:
            asked.append(iters)
            return super().predict(maps, xy, iters, *rest, **more)

    views = ("1x", "1x 12 iters")
    TrackTeacher(Counting(right), settings(iters=4, views=views)).label(ramps(), 0, torch.tensor([[20.0, 20.0]]))
    # There and back, after those places that tell how the picture moves.
    assert asked[-4:] == [4, 4, 12, 12]
    assert asked.count(4) == asked.count(12) == len(asked) / 2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"iters": 0}, "iters"),
        ({"seeds": 0}, "seeds"),
        ({"dense": -1}, "dense"),
        ({"dense_side": 0}, "dense_side"),
        ({"ceiling": 0.0}, "ceiling"),
        ({"views": ()}, "views"),
        ({"views": ("1x", "1x")}, "views"),
        ({"iters": 6, "views": ("1x", "1x 6 iters")}, "different views"),
        ({"views": ("4x",)}, "view"),
        ({"views": ("1x 0 iters",)}, "at least once"),
        ({"views": ("1x 1 frames",)}, "at least 2"),
        ({"views": ("linked reversed",)}, "view"),
        ({"iters": 6, "views": ("1x reversed", "1x reversed 6 iters")}, "different views"),
        ({"views": ("1x -3 iters",)}, "view"),
        ({"views": ("1x\n",)}, "view"),
        ({"views": ("linked 3 iters",)}, "view"),
        ({"queries": ()}, "queries"),
        ({"queries": ("edges",)}, "queries"),
        ({"size": (0, 448)}, "size"),
        ({"threads_per_process": 0}, "threads_per_process"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        TrackLabelSettings(**wrong)


def test_places_of_a_user_at_the_border_stay_in_smaller_frames() -> None:
    # The centre of the first of two pixels lies outside that of the one that they become.
    asked = torch.tensor([[0.0, 60.0], [191.0, 127.0]])
    linked = ToldTracks(lambda places, time: places)
    teacher = TrackTeacher(ToldWindows(right), settings(size=(64, 96), views=("linked",)), linked)
    label = teacher.label(ramps(8, (128, 192)), 0, asked)
    assert label.xy.tolist() == [[-0.25, 29.75], [95.25, 63.25]]


def test_every_frame_is_looked_at_with_the_iterations_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = pips(), list[int]()
    predict = Pips.predict

    def counted(self: Pips, maps: Tensor, xy: Tensor, iters: int, *rest: Any, **more: Any) -> Any:
        asked.append(iters)
        return predict(self, maps, xy, iters, *rest, **more)

    monkeypatch.setattr(Pips, "predict", counted)
    teacher = TrackTeacher(model, settings(iters=3, views=("every frame",)))
    teacher.label(ramps(15), 0, torch.tensor([[20.0, 20.0]]), torch.arange(0, 15, 2))
    assert set(asked) == {3}
    assert model.iters == 6


def test_a_few_named_points_are_not_the_camera() -> None:
    """They may all be on the one thing that moves by itself."""

    def most_stand_still(places: Tensor, time: int) -> Tensor:
        return places + (places[:, :1] < 24) * torch.tensor([float(time), 0.0])

    teacher = TrackTeacher(ToldWindows(most_stand_still), settings(), None)
    label = teacher.label(ramps(), 0, torch.tensor([[10.0, 20.0], [12.0, 30.0], [14.0, 24.0], [16.0, 10.0]]))
    torch.testing.assert_close(label.relative, torch.tensor([[7.0, 0.0]]).expand(4, 2), atol=0.1, rtol=0)
    torch.testing.assert_close(label.dominant, teacher.label(ramps(), 0).dominant)
