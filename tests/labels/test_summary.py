from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from refine_motion.labels.adaptive import AdaptiveCycle
from refine_motion.labels.balance import MotionBalance
from refine_motion.labels.densify import Densify
from refine_motion.labels.select import CycleRule, MinSpeed
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.summary import LabelSummary, summarise
from tests.labels.made import made_label, moving_right

KEY = PairKey("v", 0, 1)


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    """One pair of 10x20: 20 pixels move to the right, 5 of them fail the cycle rule; 80 rest, of which 40 fail it."""
    flow = torch.zeros(100, 2)
    flow[:20, 0] = 8.0
    ratio = torch.zeros(100)
    ratio[:5], ratio[20:60] = 2.0, 2.0
    store = LabelStore(tmp_path, "t")
    store.write(KEY, made_label(flow, ratio, (10, 20)))
    return store


def printed(summary: LabelSummary) -> str:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(summary.table())
    return captured.get()


def test_what_each_rule_leaves(store: LabelStore) -> None:
    found = summarise(store, [KEY], [CycleRule(), MotionBalance(), MinSpeed(1.0)])
    assert [left.after for left in found.left] == ["stored", "CycleRule", "MotionBalance", "MinSpeed"]
    assert [left.share for left in found.left] == pytest.approx([0.5, 0.275, 0.275, 0.075])
    assert [left.moving for left in found.left] == pytest.approx([0.2, 15 / 55, 0.5, 1.0])
    assert (found.stored_share, found.kept_share) == pytest.approx((0.5, 0.075))
    assert found.left[2].clusters[:2] == pytest.approx((0.5, 0.5))
    # Speeds are counted by weight, after all rules.
    assert found.speed_share == pytest.approx((0, 0, 1, 0, 0, 0))


def test_no_rule_leaves_what_is_stored(store: LabelStore) -> None:
    found = summarise(store, [KEY], [])
    assert found.kept_share == found.stored_share
    assert found.speed_share == pytest.approx((0.8, 0, 0.2, 0, 0, 0))


def test_table_says_what_is_dropped_and_how_the_motion_is_balanced(store: LabelStore) -> None:
    rows = [
        line.replace("│", " ").split()
        for line in printed(summarise(store, [KEY], [CycleRule(), MotionBalance()])).splitlines()
    ]
    assert ["stored", "50.0%", "20.0%"] in rows
    assert ["CycleRule", "27.5%", "45.0%", "27.3%"] in rows
    assert ["MotionBalance", "27.5%", "0.0%", "50.0%"] in rows
    assert ["as", "the", "camera", "80.0%", "50.0%"] in rows
    assert ["right", "20.0%", "50.0%"] in rows


def test_rules_that_bring_labels_back_drop_less_than_nothing(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, "t")
    ratio = torch.zeros(2400)
    ratio[1210] = 2.0
    store.write(KEY, made_label(torch.zeros(2400, 2), ratio, (40, 60)))
    found = summarise(store, [KEY], [CycleRule(), Densify()])
    assert [left.share for left in found.left] == pytest.approx([1, 2399 / 2400, 1])
    assert "-0.0%" in printed(found)


def test_rules_that_learn_from_a_video_do_so_here_too(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, "t")
    for t, ratio in enumerate((0.6, 2.6)):
        store.write(PairKey("v", t, t + 1), moving_right([2.0] * 10, ratio=torch.full((10,), ratio)))
    keys = [PairKey("v", t, t + 1) for t in range(2)]
    assert summarise(store, keys, [AdaptiveCycle(quota=0.5)]).kept_share == pytest.approx(0.5)


def test_only_some_pairs_of_many_are_read(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, "t")
    keys = [PairKey("v", t, t + 1) for t in range(7)]
    for key in keys:
        store.write(key, moving_right([float(key.frame_a)] * 10))
    found = summarise(store, keys, [], max_read=3)
    assert (found.pairs, found.read) == (7, 3)
    assert found.speed_share == pytest.approx((1 / 3, 1 / 3, 1 / 3, 0, 0, 0))
    assert "3 evenly spaced pairs" in printed(found)
    assert found.bytes == sum(store.path(key).stat().st_size for key in keys)


def test_views_of_the_labels_are_counted(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, "t")
    keys = [PairKey("v", t, t + 1) for t in range(4)]
    for key in keys:
        label = moving_right([2.0])
        store.write(key, replace(label, views="2x") if key.frame_a else label)
    found = summarise(store, keys, [])
    assert list(found.views.items()) == [("2x", 3), ("1x", 1)]
    rows = [line.replace("│", " ").split() for line in printed(found).splitlines()]
    assert ["seen", "as", "2x:", "75%"] in rows


def test_nothing_stored_or_nothing_kept_can_be_told(tmp_path: Path, store: LabelStore) -> None:
    assert summarise(store, [KEY], [MinSpeed(99.0)]).speed_share == (0,) * 6
    empty = LabelStore(tmp_path, "empty")
    empty.write(KEY, made_label(torch.zeros(0, 2), size=(4, 4)))
    found = summarise(empty, [KEY], [MinSpeed(1.0)])
    assert found.kept_share == 0
    assert "0.0%" in printed(found)
