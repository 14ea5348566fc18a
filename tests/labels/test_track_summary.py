from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console

from refine_motion.labels.balance import MotionBalance
from refine_motion.labels.select import MinSpeed
from refine_motion.labels.track_rules import AllFrames, VisibilityAgreement
from refine_motion.labels.track_store import ClipKey, TrackStore
from refine_motion.labels.track_summary import TrackSummary, summarise_tracks
from tests.labels.made_tracks import made_tracks, straight

KEYS = [ClipKey("v", tuple(range(t, t + 8))) for t in range(5)]
STILL = torch.zeros(2, 3)


@pytest.fixture
def store(tmp_path: Path) -> TrackStore:
    """A window of 20 tracks before a still camera: 4 go right by 3 px a frame, of which one fails the cycle check; of
    the 16 that rest 6 fail it, and one more is hidden in the last four frames, one of them by the way back alone."""
    steps = torch.zeros(20, 2)
    steps[:4, 0] = 3.0
    cycle = torch.zeros(20)
    cycle[:1], cycle[4:10] = 9.0, 9.0
    seen = torch.ones(8, 20, dtype=torch.bool)
    seen[5:, 19] = False
    seen_back = seen.clone()
    seen_back[4, 19] = False
    store = TrackStore(tmp_path, "t")
    store.write(KEYS[0], made_tracks(straight(steps), seen, seen_back, motion=STILL, cycle_error=cycle))
    return store


def printed(summary: TrackSummary) -> list[list[str]]:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(summary.table())
    return [line.replace("│", " ").split() for line in captured.get().splitlines()]


def test_what_each_rule_leaves(store: TrackStore) -> None:
    found = summarise_tracks(store, KEYS[:1], [AllFrames(), MotionBalance(), VisibilityAgreement(), MinSpeed(1.0)])
    names = ["stored", "AllFrames", "MotionBalance", "VisibilityAgreement", "MinSpeed"]
    assert [left.after for left in found.left] == names
    assert [left.share for left in found.left] == pytest.approx([1, 13 / 20, 13 / 20, 12 / 20, 3 / 20])
    # Three of thirteen weigh half; one of the ten others, 6.5 / 10 of weight, goes.
    assert [left.moving for left in found.left] == pytest.approx([0.2, 3 / 13, 0.5, 6.5 / (13 - 0.65), 1])
    assert found.kept_share == pytest.approx(3 / 20)
    assert (found.windows, found.read, found.stored, found.count) == (1, 1, 20, 1)
    assert found.speed_share == pytest.approx((0, 0, 1, 0, 0))
    assert found.known_share == 1
    assert found.bytes == store.path(KEYS[0]).stat().st_size


def test_hidden_frames_and_speeds_without_a_rule(store: TrackStore) -> None:
    found = summarise_tracks(store, KEYS[:1], [])
    assert found.kept_share == 1
    assert found.known_share == pytest.approx(1 - 4 / 160)
    assert found.speed_share == pytest.approx((0.8, 0, 0.2, 0, 0))


def test_speeds_are_counted_by_weight(store: TrackStore) -> None:
    found = summarise_tracks(store, KEYS[:1], [MotionBalance()])
    assert found.speed_share == pytest.approx((0.5, 0, 0.5, 0, 0))


def test_bins_of_speed_by_hand(tmp_path: Path) -> None:
    store = TrackStore(tmp_path, "t")
    steps = torch.tensor([[0.25, 0], [0.5, 0], [1.5, 0], [2.0, 0], [7.0, 0], [15.0, 0], [20.0, 0], [30.0, 0]])
    store.write(KEYS[0], made_tracks(straight(steps), motion=STILL))
    found = summarise_tracks(store, KEYS[:1], [])
    assert found.speed_share == pytest.approx((1 / 8, 2 / 8, 1 / 8, 1 / 8, 3 / 8))


def test_only_some_windows_of_many_are_read(tmp_path: Path) -> None:
    store = TrackStore(tmp_path, "t")
    for number, key in enumerate(KEYS):
        store.write(key, made_tracks(straight(torch.tensor([[6.0 * (number == 2), 0.0]] * (number + 1))), motion=STILL))
    found = summarise_tracks(store, KEYS, [], max_read=1)
    assert (found.windows, found.count, found.read, found.stored) == (5, 5, 1, 3)
    assert found.speed_share == pytest.approx((0, 0, 0, 1, 0))
    assert found.bytes == sum(store.path(key).stat().st_size for key in KEYS)
    assert summarise_tracks(store, KEYS, []).stored == 3


def test_table(store: TrackStore) -> None:
    rows = printed(summarise_tracks(store, KEYS[:1], [AllFrames(), MotionBalance()]))
    assert ["stored", "100.0%", "20.0%"] in rows
    assert ["AllFrames", "65.0%", "23.1%"] in rows
    assert ["MotionBalance", "65.0%", "50.0%"] in rows
    assert ["kept", "by", "the", "filters", "65.0%"] in rows
    assert any(row[:8] == ["weight", "on", "2", "to", "5", "px", "a", "frame"] and row[8] == "50.0%" for row in rows)


def test_nothing_stored_or_nothing_kept_can_be_told(tmp_path: Path, store: TrackStore) -> None:
    found = summarise_tracks(store, KEYS[:1], [MinSpeed(99.0)])
    assert (found.kept_share, found.known_share, found.speed_share) == (0, 0, (0,) * 5)
    empty = TrackStore(tmp_path, "empty")
    empty.write(KEYS[0], made_tracks(torch.zeros(8, 0, 2)))
    found = summarise_tracks(empty, KEYS[:1], [AllFrames()])
    assert (found.stored, found.kept_share) == (0, 0)
    assert any("0.0%" in row for row in printed(found))
