from __future__ import annotations

import doctest
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.metrics.functional import bootstrap
from refine_motion.metrics.functional.bootstrap import paired_bootstrap, paired_difference

sums = st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 1000)), min_size=2, max_size=8)


def change(new, old):
    return 100 * (new / old - 1)


class TestValues:
    def test_two_scenes_have_the_four_draws_that_can_be_listed(self):
        # a: 10 to 5 (-50 %), b: 30 to 60 (+100 %). A quarter of the draws is a alone, a quarter b alone.
        found = paired_bootstrap([5, 60], [10, 30], ["a", "b"], ["a", "b"])
        assert found is not None
        assert (found.pooled, found.mean, found.unit, found.units) == ((-50, 100), (-50, 100), "scenes", 2)

    def test_quantiles_are_those_of_all_draws_of_three(self):
        new, old = np.array([5.0, 60.0, 7.0]), np.array([10.0, 30.0, 8.0])
        draws = np.array(list(product(range(3), repeat=3)))
        pooled = change(new[draws].sum(1), old[draws].sum(1))
        mean = change(new, old)[draws].mean(1)
        found = paired_bootstrap(new, old, list("abc"), list("abc"), resamples=20000)
        # Each of the 27 draws has 3.7 %: the ends of the interval are the least and the largest draw.
        assert found.pooled == pytest.approx((pooled.min(), pooled.max()))
        assert found.mean == pytest.approx((mean.min(), mean.max()))

    def test_pairs_of_a_scene_stay_together(self):
        # Within each scene the errors differ much, between the scenes not at all.
        new, old = [1, 9, 9, 1], [10, 10, 10, 10]
        together = paired_bootstrap(new, old, list("aabb"), list("aabb"))
        assert together.pooled == together.mean == (-50, -50)
        alone = paired_bootstrap(new, old, list("aaaa"), list("aaaa"))
        assert (alone.unit, alone.units) == ("pairs", 4)
        assert alone.pooled == alone.mean == pytest.approx((-90, -10))

    def test_two_passes_of_a_scene_are_drawn_together_and_count_twice_in_the_mean(self):
        new, old = [5, 15, 10], [10, 10, 10]
        found = paired_bootstrap(new, old, ["clean/x", "final/x", "clean/y"], ["x", "x", "y"])
        assert found.units == 2
        assert found.mean == (0, 0)  # -50, +50 and 0

    def test_two_passes_of_the_only_scene(self):
        # Each pass improves alike in all of its pairs: the mean of the two changes does not depend on the draw.
        new, old = [5, 10, 15, 20, 60, 30], [10, 20, 30, 10, 30, 15]
        found = paired_bootstrap(new, old, ["clean/x"] * 3 + ["final/x"] * 3, ["x"] * 6, seed=3)
        assert (found.unit, found.units) == ("pairs", 6)
        assert found.pooled[0] < 20 < found.pooled[1]
        assert found.mean[0] <= 25 <= found.mean[1]

    def test_a_scene_without_error_before_takes_no_part_in_the_mean(self):
        found = paired_bootstrap([0, 5, 5, 5], [0, 10, 10, 10], list("abcd"), list("abcd"))
        assert found.mean == (-50, -50)

    def test_seed(self):
        rng = np.random.default_rng(0)
        args = (rng.random(30), rng.random(30), [str(i) for i in range(30)], [str(i) for i in range(30)])
        assert paired_bootstrap(*args) == paired_bootstrap(*args)
        assert paired_bootstrap(*args, seed=1) != paired_bootstrap(*args)


class TestUndefined:
    def test_a_single_pair(self):
        assert paired_bootstrap([1], [2], ["a"], ["a"]) is None

    def test_not_a_number(self):
        assert paired_bootstrap([1, math.nan], [2, 2], list("ab"), list("ab")) is None

    def test_nothing_to_compare_with(self):
        assert paired_bootstrap([1, 1], [0, 0], list("ab"), list("ab")) is None


class TestProperties:
    @settings(max_examples=30, deadline=None)
    @given(sums)
    def test_intervals_lie_within_the_changes_of_the_scenes(self, pairs: list[tuple[int, int]]):
        new, old = zip(*pairs, strict=True)
        names = [str(i) for i in range(len(pairs))]
        found = paired_bootstrap(new, old, names, names, resamples=200)
        changes = [change(a, b) for a, b in pairs]
        for low, high in (found.pooled, found.mean):
            assert min(changes) - 1e-6 <= low <= high <= max(changes) + 1e-6

    @settings(max_examples=30, deadline=None)
    @given(sums, st.integers(1, 50))
    def test_the_unit_of_the_errors_does_not_matter(self, pairs: list[tuple[int, int]], factor: int):
        new, old = (np.array(values, dtype=float) for values in zip(*pairs, strict=True))
        names = [str(i) for i in range(len(pairs))]
        first = paired_bootstrap(new, old, names, names, resamples=200)
        second = paired_bootstrap(factor * new, factor * old, names, names, resamples=200)
        assert first.pooled == pytest.approx(second.pooled, abs=1e-6)
        assert first.mean == pytest.approx(second.mean, abs=1e-6)

    def test_coverage_of_a_known_change(self):
        # 40 scenes whose errors fall by a tenth on average: about 95 of 100 intervals hold the true -10 %.
        rng = np.random.default_rng(1)
        names = [str(i) for i in range(40)]
        inside = 0
        for _ in range(100):
            old = rng.uniform(1, 3, 40)
            found = paired_bootstrap(old * rng.normal(0.9, 0.1, 40), old, names, names, resamples=400)
            inside += found.mean[0] <= -10 <= found.mean[1]
        assert 88 <= inside <= 99


def test_examples_in_the_docstrings():
    result = doctest.testmod(bootstrap)
    assert result.attempted > 0
    assert result.failed == 0


class TestDifferences:
    def test_mean_and_interval(self):
        found = paired_difference([1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0], ["a", "b", "c", "d"])
        assert (found.mean, found.units) == (2.5, 4)
        # The mean of 4 draws from 1 to 4 has a standard deviation of 0.56.
        assert 1.25 <= found.low < 2
        assert 3 < found.high <= 3.75

    def test_whole_recordings_are_drawn(self):
        scores = np.repeat([0.0, 1.0], 50)
        clips = paired_difference(scores, np.zeros(100), [str(n) for n in range(100)])
        recordings = paired_difference(scores, np.zeros(100), ["a"] * 50 + ["b"] * 50)
        assert clips.high - clips.low < 0.25
        # Of two recordings, both may be the same.
        assert (recordings.low, recordings.high, recordings.units) == (0, 1, 2)

    def test_a_video_weighs_as_in_the_mean(self):
        # Three clips of one recording and one of another: together they count as their four clips.
        found = paired_difference([1.0, 1.0, 1.0, 5.0], np.zeros(4), ["a", "a", "a", "b"])
        assert found.mean == 2
        assert (found.low, found.high) == (1, 5)

    def test_videos_without_a_score_take_no_part(self):
        found = paired_difference([1.0, np.nan, 3.0, 9.0], [0.0, 0.0, 0.0, np.nan], ["a", "b", "c", "d"])
        assert (found.mean, found.units) == (2, 2)

    def test_one_recording_says_nothing(self):
        assert paired_difference([1.0, 2.0], [0.0, 0.0], ["a", "a"]) is None
        assert paired_difference([np.nan, 2.0], [0.0, 0.0], ["a", "b"]) is None
        assert paired_difference([], [], []) is None
