from __future__ import annotations

import pytest
import torch

from refine_motion.errors import ConfigError
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.select import CycleRule
from refine_motion.labels.store import PairKey
from refine_motion.labels.survivors import worst_survivors
from tests.labels.made import made_label


def label_of(errors: dict[tuple[int, int], tuple[float, float]]) -> FlowLabel:
    """Some pixels of a 100x200 frame: by (x, y) the multiple of the paper's rule and the colour error."""
    places = sorted(errors, key=lambda xy: xy[1] * 200 + xy[0])
    cycle, colour = torch.tensor([errors[xy] for xy in places]).T
    index = torch.tensor([y * 200 + x for x, y in places])
    flow = torch.tensor([[1.0, -2.0]]).expand(len(places), 2)
    return made_label(flow, cycle, (100, 200), index, colour_error=colour)


A, B = PairKey("v", 0, 1), PairKey("v", 1, 2)


def test_worst_first_by_either_measure_and_only_what_is_kept() -> None:
    labels = {A: label_of({(5, 7): (0.5, 3.0), (100, 50): (0.9, 1.0), (150, 20): (1.5, 99.0)})}
    worst, next_one = worst_survivors(labels, [CycleRule()])
    assert (worst.key, worst.xy, worst.flow) == (A, (100, 50), (1.0, -2.0))
    assert (worst.cycle_ratio, worst.colour_error) == pytest.approx((0.9, 1.0))
    assert next_one.xy == (5, 7)
    assert [one.xy for one in worst_survivors(labels, [CycleRule()], by="colour")] == [(5, 7), (100, 50)]
    assert worst_survivors(labels, [CycleRule()], count=1) == [worst]


def test_neighbours_count_as_one() -> None:
    labels = {A: label_of({(10, 10): (0.9, 0), (20, 12): (0.8, 0), (60, 12): (0.7, 0)})}
    assert [one.xy for one in worst_survivors(labels, [])] == [(10, 10), (60, 12)]
    assert len(worst_survivors(labels, [], apart=5)) == 3


def test_many_pairs_share_the_places() -> None:
    labels = {A: label_of({(10, 10): (0.9, 0), (90, 10): (0.9, 0)}), B: label_of({(50, 50): (0.1, 0)})}
    assert [one.key for one in worst_survivors(labels, [], count=2)] == [A, B]


def test_errors_that_the_rounding_makes_equal_are_told_apart_by_another_one() -> None:
    labels = {A: label_of({(10, 10): (0.4, 5.0), (90, 10): (0.8, 4.99)})}
    assert worst_survivors(labels, [], by="colour", count=1)[0].xy == (90, 10)
    slow_and_fast = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    error = torch.tensor([0.1, 0.4999])
    label = made_label(slow_and_fast, size=(100, 200), index=torch.tensor([10, 190]), cycle_error=error)
    assert worst_survivors({A: label}, [], by="cycle", count=1)[0].xy == (190, 0)


def test_nothing_kept_and_wrong_arguments() -> None:
    assert worst_survivors({A: label_of({(1, 1): (2.0, 0)})}, [CycleRule()]) == []
    assert worst_survivors({}, []) == []
    with pytest.raises(ConfigError, match="worst_survivors"):
        worst_survivors({}, [], by="speed")  # type: ignore[arg-type]
