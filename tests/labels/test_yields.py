from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console

from refine_motion.benchmarks.synthetic.labelled import write_labelled_clips
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.opened import open_labels
from refine_motion.labels.select import ColourRule, CycleRule, MinSpeed
from refine_motion.labels.yields import VideoYield, video_table, video_yields, yield_curve
from tests.labels.made import moving_right


def label_of(ratio: list[float], speed: list[float], colour: list[float] | None = None) -> FlowLabel:
    """A label of 4x5 whose entries have the given cycle ratios and speeds; backward speed is the same."""
    error = torch.tensor(colour or [0.0] * len(speed))
    return moving_right(speed, ratio=torch.tensor(ratio), size=(4, 5), colour_error=error)


def test_yield_rises_with_the_threshold_up_to_the_ceiling() -> None:
    labels = [label_of([0.2, 0.9, 1.1, 3.9], [0.5, 3.0, 7.0, 50.0]), label_of([0.2], [0.5])]
    curve = yield_curve(labels, [])
    assert curve.scales[[0, 4, 8]].tolist() == pytest.approx([0.25, 1.0, 4.0])
    assert (40 * curve.shares.sum(dim=1)).tolist() == pytest.approx([2, 2, 2, 2, 3, 4, 4, 4, 5])
    assert (40 * curve.shares[8]).tolist() == pytest.approx([2, 1, 1, 0, 0, 1])
    assert curve.balance[4].tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0, 0, 0])
    assert yield_curve(labels, [], ceiling=0.5).scales[[0, 8]].tolist() == pytest.approx([0.125, 0.5])


def test_yield_varies_the_cycle_rule_and_keeps_the_others() -> None:
    label = label_of([0.3, 1.9, 0.3, 0.3], [5.0, 5.0, 0.1, 5.0], [0.0, 0.0, 0.0, 9.0])
    curve = yield_curve([label], [MinSpeed(1.0), CycleRule(0, 0), ColourRule()])
    assert (20 * curve.shares.sum(dim=1)).tolist() == pytest.approx([0, 1, 1, 1, 1, 1, 2, 2, 2])


def test_nothing_kept_has_no_balance() -> None:
    curve = yield_curve([label_of([0.1], [1.0])], [MinSpeed(9.0)])
    assert (curve.balance == 0).all()


def test_each_video(tmp_path: Path) -> None:
    opened = open_labels(write_labelled_clips(tmp_path, frames=3, size=(64, 96)))
    every = video_yields(opened, [])
    assert list(every) == list(opened.videos)
    for key, one in every.items():
        labels = [opened.store.read(k) for k in opened.keys if k.video == key]
        assert one.pairs == 2
        assert one.kept_share == one.stored_share == pytest.approx(sum(len(x.index) for x in labels) / (2 * 64 * 96))
        assert one.median_speed == torch.cat([x.evidence.speed for x in labels]).median()
        assert one.bytes == sum(opened.store.path(k).stat().st_size for k in opened.keys if k.video == key)
    assert all(one.kept_share == 0 for one in video_yields(opened, [MinSpeed(1e6)]).values())


def test_table_has_the_poorest_video_first() -> None:
    yields = {"a": VideoYield(1200, 0.5, 0.25, 3.21, 2**20), "b": VideoYield(3, 0.4, 0.0, float("nan"), 5 * 2**20)}
    console = Console(width=100)
    with console.capture() as captured:
        console.print(video_table(yields, {"a": "good[1].mp4", "b": "poor.mp4"}))
    poor, good = captured.get().rstrip().splitlines()[-2:]
    assert poor.split() == ["poor.mp4", "3", "40.0%", "0.0%", "none", "kept", "5.0", "MiB"]
    assert good.split() == ["good[1].mp4", "1,200", "50.0%", "25.0%", "3.21", "px", "1.0", "MiB"]
