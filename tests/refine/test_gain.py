from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.refine.gain import LEAST_UNITS, Errors, Gain, gain


def errors(original: object, other: object, weight: object = None, floor: float = 0.0) -> Errors:
    original, other = np.asarray(original, dtype=float), np.asarray(other, dtype=float)
    weight = np.ones_like(original) if weight is None else np.asarray(weight, dtype=float)
    return Errors(original, other, weight, floor)


def random_errors(seed: int, pairs: int, blocks: int, change: float, noise: float) -> Errors:
    source = np.random.default_rng(seed)
    original = source.gamma(2.0, size=(pairs, blocks))
    return errors(original, original * (1 + change) * np.exp(noise * source.normal(size=(pairs, blocks))))


def test_a_pair_has_its_own_scale_and_its_pixels_count_alike() -> None:
    # Pair 1 has a tenth of the errors of pair 0: both halve.
    found = gain([(1.0, errors([[8.0, 2.0], [0.8, 0.2]], [[4.0, 1.0], [0.4, 0.1]]))], [0, 1])
    assert found is not None
    assert found.value == pytest.approx(math.log(2))
    assert found.low == pytest.approx(found.high) == pytest.approx(math.log(2))
    # Within a pair sums are compared, not blocks: 10 becomes 9.
    found = gain([(1.0, errors([[8.0, 2.0]], [[8.0, 1.0]]))], [0])
    assert found is not None
    assert found.value == pytest.approx(math.log(10 / 9))
    assert found.low == pytest.approx(0.0)
    assert found.high == pytest.approx(math.log(2))


def test_pairs_count_by_what_their_pixels_weigh() -> None:
    found = gain([(1.0, errors([[3.0, 3.0], [1.0, 1.0]], [[1.5, 1.5], [1.0, 1.0]], [[3, 3], [1, 1]]))], [0, 1])
    assert found is not None
    assert found.value == pytest.approx(0.75 * math.log(2))
    found = gain([(1.0, errors([[2.0, 2.0], [1.0, 5.0]], [[1.0, 1.0], [7.0, 9.0]], [[1, 1], [0, 0]]))], [0, 1])
    assert found is not None
    assert found.value == pytest.approx(math.log(2))


def test_the_floor_keeps_almost_nothing_from_being_a_gain() -> None:
    # Means are 1e-6 and 1e-9 px.
    parts = errors([[1e-4, 1e-4]], [[1e-7, 1e-7]], [[100, 100]], floor=0.01)
    found = gain([(1.0, parts)], [0])
    assert found is not None
    assert found.value == pytest.approx(1e-4, rel=1e-2)


def test_kinds_add_up_and_are_resampled_together() -> None:
    a = random_errors(0, 8, 4, -0.1, 0.3)
    # The reciprocal: what one kind gains the other loses in every resample.
    b = errors(a.other, a.original)
    units = list(range(8))
    whole = gain([(1.0, a), (1.0, b)], units)
    assert whole is not None
    assert max(abs(v) for v in asdict(whole).values()) < 1e-12
    alone, twice = gain([(1.0, a)], units), gain([(0.5, a), (1.5, a)], units)
    assert alone is not None
    assert twice is not None
    for name, value in asdict(alone).items():
        assert asdict(twice)[name] == pytest.approx(2 * value)


def test_pairs_that_share_frames_are_one_unit() -> None:
    """The same pair six times tells no more than once; six different ones tell more."""
    one = random_errors(1, LEAST_UNITS, 4, 0.0, 0.5)
    repeated = Errors(*(np.repeat(v, 3, axis=0) for v in (one.original, one.other, one.weight)), 0.0)
    as_units = gain([(1.0, repeated)], [n // 3 for n in range(3 * LEAST_UNITS)])
    alone = gain([(1.0, one)], range(LEAST_UNITS))
    as_pairs = gain([(1.0, repeated)], range(3 * LEAST_UNITS))
    assert alone is not None
    assert as_units is not None
    assert as_pairs is not None
    assert as_units.high - as_units.low == pytest.approx(alone.high - alone.low, rel=1e-6)
    assert as_pairs.high - as_pairs.low < 0.75 * (alone.high - alone.low)


def test_few_units_are_resampled_by_block() -> None:
    # Blocks agree within a pair, and pairs do not: blocks tell nothing of that.
    few = errors([[2.0] * 4, [2.0] * 4], [[1.0] * 4, [4.0] * 4])
    found = gain([(1.0, few)], [0, 1])
    assert found is not None
    assert found.low == pytest.approx(found.high) == pytest.approx(0.0)
    # The same blocks of both pairs of a unit are drawn: what one gains the other loses.
    mirrored = errors([[4.0, 1.0], [1.0, 1.0]], [[1.0, 1.0], [4.0, 1.0]])
    apart, together = gain([(1.0, mirrored)], [0, 1]), gain([(1.0, mirrored)], [0, 0])
    assert apart is not None
    assert together is not None
    assert together.high - together.low < 1e-9 < apart.high - apart.low


def test_blocks_without_pixels_are_not_drawn() -> None:
    padded = random_errors(3, 2, 5, -0.2, 0.3)
    more = Errors(*(np.pad(v, ((0, 0), (0, 20))) for v in (padded.original, padded.other, padded.weight)), 0.0)
    found, wider = gain([(1.0, padded)], [0, 1]), gain([(1.0, more)], [0, 1])
    assert found is not None
    assert wider is not None
    assert wider.value == pytest.approx(found.value)
    assert wider.high - wider.low == pytest.approx(found.high - found.low, rel=0.15)


def test_nothing_to_compare_or_to_resample_gives_no_gain() -> None:
    assert gain([(1.0, errors([[1.0, 1.0]], [[1.0, 1.0]], [[0, 0]]))], [0]) is None
    assert gain([(1.0, errors([[1.0, 1.0]], [[1.0, 1.0]], [[1, 0]]))], [0]) is None
    assert gain([(1.0, errors(np.zeros((0, 4)), np.zeros((0, 4))))], []) is None
    filled = errors([[1.0, 1.0]], [[1.0, 1.0]])
    assert gain([(1.0, filled), (1.0, errors([[1.0, 1.0]], [[1.0, 1.0]], [[0, 0]]))], [0]) is None


def test_percent() -> None:
    assert Gain(math.log(2), 0.0, math.log(4)).percent() == pytest.approx((50, 0, 75))
    assert Gain(-math.log(2), 0.0, 0.0).percent()[0] == pytest.approx(-100)


@pytest.mark.parametrize(("pairs", "blocks"), [(12, 4), (3, 16)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(pairs: int, blocks: int) -> None:
    held = 0
    for seed in range(200):
        found = gain([(1.0, random_errors(seed, pairs, blocks, 0.0, 0.2))], range(pairs))
        assert found is not None
        # Log-normal noise with a mean of its own.
        held += found.low <= -(0.2**2) / 2 <= found.high
    assert 0.78 <= held / 200 <= 0.97


@settings(max_examples=40, deadline=None)
@given(
    pairs=st.integers(1, 9),
    blocks=st.integers(2, 6),
    change=st.floats(-0.5, 1.0, allow_subnormal=False),
    floor=st.floats(0.0, 1.0, allow_subnormal=False),
    seed=st.integers(0, 1000),
)
def test_a_common_factor_is_the_gain(pairs: int, blocks: int, change: float, floor: float, seed: int) -> None:
    parts = random_errors(seed, pairs, blocks, change, 0.0)
    found = gain([(1.0, Errors(parts.original, parts.other, parts.weight, floor))], range(pairs))
    assert found is not None
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    if floor == 0:
        assert found.value == pytest.approx(-math.log1p(change), abs=1e-9)
    assert abs(found.value) <= abs(math.log1p(change)) + 1e-9
    assert found.value * -change >= 0
