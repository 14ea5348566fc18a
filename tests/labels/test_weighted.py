from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from refine_motion.labels.adaptive import AdaptiveCycle
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.select import LabelRule, MinSpeed, SpeedStratifiedCap
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.weighted import WeightedLabels
from tests.labels.made import moving_right


class Counting(LabelStore):
    """Counts what is read."""

    reads = 0

    def read(self, key: PairKey) -> FlowLabel:
        self.reads += 1
        return super().read(key)


class Learner(LabelRule):
    """Gives every label the number of labels with weight that it has learnt from."""

    def __init__(self, learnt: int = 0):
        self.learnt = learnt

    def prepare(self, labels: Sequence[FlowLabel], weights: Sequence[torch.Tensor]) -> Learner:
        return Learner(sum(int((weight > 0).sum()) for weight in weights))

    def __call__(self, label: FlowLabel, weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return torch.where(weight > 0, float(self.learnt), 0.0)


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    """Ten pairs of video ``a``, of 1 to 10 px, and one of video ``b``."""
    store = Counting(tmp_path, "t")
    for t in range(10):
        store.write(PairKey("a", t, t + 1), moving_right([1.0 + t, 1.0 + t]))
    store.write(PairKey("b", 0, 1), moving_right([100.0]))
    return store


A = [PairKey("a", t, t + 1) for t in range(10)]
B = PairKey("b", 0, 1)


def test_rules_learn_from_a_few_labels_of_each_video_once(store: Counting) -> None:
    labels = WeightedLabels(store, [MinSpeed(4.0), Learner()], [*A, B])
    # Six evenly spaced ones of 1, 3, 5, 6, 8 and 10 px, of which four pass the filter before it.
    assert labels.read(A[9])[1].tolist() == [8, 8]
    assert labels.read(A[0])[1].tolist() == [0, 0]
    assert store.reads == 6 + 2
    assert labels.read(B)[1].tolist() == [1]
    labels.read(A[5])
    assert store.reads == 6 + 2 + 2 + 1


def test_nothing_is_read_for_rules_that_do_not_learn(store: Counting) -> None:
    labels = WeightedLabels(store, [MinSpeed(4.0)], [*A, B])
    label, weight = labels.read(A[6])
    assert weight.tolist() == [1, 1]
    assert label.flow[:, 0].tolist() == [7, 7]
    assert store.reads == 1


def test_the_seed_is_that_of_the_pair(store: Counting) -> None:
    store.write(B, moving_right([3.0] * 100))
    labels = WeightedLabels(store, [SpeedStratifiedCap(50)], [B])
    first = labels.read(B, 3)[1]
    assert torch.equal(first, labels.read(B, 3)[1])
    assert not torch.equal(first, labels.read(B, 4)[1])


def test_thresholds_of_one_video_are_not_those_of_another(store: Counting) -> None:
    ratios = {"a": 2.0, "b": 3.0}
    for video, ratio in ratios.items():
        for t in range(3):
            label = moving_right([2.0, 2.0], ratio=torch.tensor([ratio, ratio + 0.5]))
            store.write(PairKey(video, t, t + 1), label)
    keys = [PairKey(video, t, t + 1) for video in ratios for t in range(3)]
    labels = WeightedLabels(store, [AdaptiveCycle(quota=0.5)], keys)
    assert all((labels.read(key)[1] > 0).tolist() == [True, False] for key in keys)
