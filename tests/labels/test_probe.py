from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from refine_motion.labels.blend import doubts
from refine_motion.labels.probe import (
    Probe,
    choose_views,
    note_probe,
    noted_probe,
    plan_probe,
    probe_table,
)
from refine_motion.labels.probe_run import choose_by
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.windows import PairWindow
from refine_motion.video.clips import Clip
from refine_motion.video.info import VideoInfo
from tests.labels.test_blend import scene

FIVE = ("1x flip", "1.5x", "1.5x flip", "2x", "2x flip")


def shares(weights: dict[str, float]) -> Callable[[Sequence[str]], list[float]]:
    """Shares in proportion to a weight of each view, 1 where none is given."""

    def of(views: Sequence[str]) -> list[float]:
        found = [weights.get(view, 1.0) for view in views]
        return [weight / sum(found) for weight in found]

    return of


def test_an_extra_view_joins_from_1_6_times_an_even_share_on() -> None:
    # Among six, an even share is 1/6, so that 1.6 of it is 4/15: a weight of 5 * 4 / 11 beside five of 1.
    for weight, joins in ((5 * 4 / 11 + 1e-6, True), (5 * 4 / 11 - 1e-3, False)):
        found = choose_views(FIVE, ["3x"], shares({"3x": weight}))
        assert found.views == ((*FIVE, "3x") if joins else FIVE)
        assert found.shares["3x"] == pytest.approx(4 / 15, abs=1e-3)
        assert list(found.shares) == [*FIVE, "3x"]


def test_extra_views_are_tried_one_at_a_time() -> None:
    # Together, each of the three would have a share of 2 / 11 only, which is even.
    extra = ["3x", "3x flip", "2.5x"]
    found = choose_views(FIVE, extra, shares(dict.fromkeys(extra, 2.0)))
    assert found.views == (*FIVE, *extra)
    assert found.shares["3x"] == pytest.approx(2 / 7)
    assert found.shares["2x"] == pytest.approx(1 / 11)


def test_a_listed_view_leaves_below_a_third_of_an_even_share() -> None:
    for weight, stays in ((4 / 14 + 1e-6, True), (4 / 14 - 1e-3, False)):
        found = choose_views(FIVE, [], shares({"1.5x": weight}))
        assert found.views == (FIVE if stays else tuple(view for view in FIVE if view != "1.5x"))
        assert found.shares["1.5x"] == pytest.approx(1 / 15, abs=1e-3)


def test_the_most_trusted_listed_view_always_stays() -> None:
    found = choose_views(("1x", "1.5x"), ["2x"], shares({"1x": 1.0, "1.5x": 1.2, "2x": 98.0}))
    assert found.views == ("1.5x", "2x")
    assert choose_views(("1x",), [], shares({})) == Probe(("1x",), {"1x": 1.0})


def test_a_video_has_the_views_that_its_frames_speak_for() -> None:
    a, b, flow = scene()
    wrong, right, other = (flow + 2, -flow - 2), (flow, -flow), (flow - 2, -flow + 2)
    found = choose_by([doubts(a, b, [wrong, other, right])] * 2, ["1x", "1x flip"], ["2x"])
    assert found.views[-1] == "2x"
    assert len(found.views) == 2
    assert found.shares["2x"] > 0.9
    found = choose_by([doubts(a, b, [right, right, wrong])], ["1x", "1x flip"], ["2x"])
    assert found.views == ("1x", "1x flip")
    assert found.shares["2x"] < 0.1
    assert found.shares["1x"] == pytest.approx(0.5)


def test_shares_are_means_over_the_pairs() -> None:
    a, b, flow = scene()
    wrong, right = (flow + 2, -flow - 2), (flow, -flow)
    one, two = doubts(a, b, [right, wrong]), doubts(a, b, [wrong, right])
    found = choose_by([one, one, two], ["1x"], ["2x"])
    assert found.views == ("1x",)
    assert found.shares["2x"] == pytest.approx(1 / 3, abs=0.05)
    assert choose_by([two, two, two], ["1x"], ["2x"]).views == ("1x", "2x")


def video(name: str) -> VideoInfo:
    return VideoInfo(Path(name), name, 9, 96, 72, 10.0, (), (0,), (), "decord", ())


def test_three_pairs_of_each_video_evenly_spread() -> None:
    def window(name: str, first: int, count: int) -> PairWindow:
        frames = tuple(range(first, first + count + 1))
        return PairWindow(Clip(video(name), frames), tuple((n, n + 1) for n in range(count)))

    plan = plan_probe([window("one", 0, 4), window("two", 0, 2), window("one", 4, 5)])
    assert [(probed.video.key, [pair.frame_a for pair in probed.pairs]) for probed in plan] == [
        ("one", [1, 4, 7]),
        ("two", [0, 1]),
    ]
    assert plan[0].pairs[0] == PairKey("one", 1, 2)


def test_a_note_is_kept_and_a_damaged_one_made_anew(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, "t")
    assert noted_probe(store, "v") is None
    first = Probe(("1x", "3x"), {"1x": 0.4, "3x": 0.6})
    note_probe(store, "v", first)
    note_probe(store, "v", replace(first, views=("1x",)))
    assert noted_probe(store, "v") == first
    assert noted_probe(store, "w") is None
    assert noted_probe(LabelStore(tmp_path, "other"), "v") is None
    path = store.folder / "probe" / "v.json"
    for damage in (path.read_text()[:-9], "[]", "{}"):
        path.write_text(damage)
        assert noted_probe(store, "v") is None
        note_probe(store, "v", first)
        assert noted_probe(store, "v") == first
    assert [entry.name for entry in path.parent.iterdir()] == ["v.json"]


def test_table_names_views_and_shares() -> None:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(
            probe_table([("a[b].mp4", Probe(("1x", "3x"), {"1x": 0.4, "3x": 0.6})), ("c", Probe(("1x",), {}))])
        )
    told = captured.get()
    for wanted in ("a[b].mp4", "1x + 3x", "1x 40%, 3x 60%", "no pair could be read"):
        assert wanted in told
