from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.refine.decision import LEAST_GAIN, Decision, Guard, Trial, decide
from refine_motion.refine.gain import Gain

GOOD = Gain(0.2, 0.1, 0.3)
NOISE = Gain(0.06, -0.01, 0.13)
WORSE = Gain(-0.2, -0.3, -0.1)
TOLERANCE = math.log(1.01)


def trial(
    name: str = "last",
    gain: Gain | None = GOOD,
    census: Gain | None = NOISE,
    chosen: float | None = 0.2,
    alone: float = 0.2,
    **guards: Gain,
) -> Trial:
    return Trial(name, chosen, alone, gain, census, {key: Guard(value, TOLERANCE) for key, value in guards.items()})


def test_a_candidate_that_is_better_beyond_noise_is_taken() -> None:
    found = decide([trial(fast=NOISE, slow=GOOD)])
    assert found == Decision("improved", "last", GOOD, "candidate last")
    assert found.line() == (
        "improved: error 18.1 % lower (label-free estimate, 90 % interval 9.5 to 25.9 %; candidate last)"
    )


@pytest.mark.parametrize(
    ("gain", "census", "why"),
    [
        (WORSE, WORSE, "not better beyond noise"),
        (Gain(LEAST_GAIN / 2, -LEAST_GAIN, LEAST_GAIN), NOISE, "not better beyond noise"),
        (Gain(LEAST_GAIN / 2, LEAST_GAIN / 4, LEAST_GAIN), NOISE, "estimate of 3.0 % only on one half"),
        (GOOD, WORSE, "census"),
        (NOISE, WORSE, "census"),
        (GOOD, Gain(-0.1, -0.2, -1e-6), "census"),
        (None, NOISE, "too little"),
        (GOOD, None, "too little"),
        (Gain(math.nan, math.nan, math.nan), NOISE, "too little"),
    ],
)
def test_else_the_original_is_kept_and_it_is_said_why(gain: Gain | None, census: Gain | None, why: str) -> None:
    # What comes between the candidate and the original is no help here.
    found = decide([trial(gain=gain, census=census), trial("half")])
    assert found.decision == "kept"
    assert found.candidate is None
    assert why in found.reason
    assert found.line() == f"kept: the original weights ({found.reason})"


def test_of_both_halves_together_one_gain_is_asked_for() -> None:
    assert decide([trial(chosen=None, alone=1e-6)]).decision == "improved"
    against = decide([trial(chosen=None, alone=0.0), trial("half")])
    assert against.decision == "kept"
    assert "better only on the half of what is held out on which it was chosen" in against.reason
    small = decide([trial(gain=Gain(LEAST_GAIN / 2, LEAST_GAIN / 4, LEAST_GAIN), chosen=None), trial("half")])
    assert small.decision == "kept"
    assert "estimate of 3.0 % only: below 5.8 %" in small.reason


def test_a_gain_must_be_there_on_both_halves() -> None:
    found = decide([trial(chosen=0.9 * LEAST_GAIN), trial("half")])
    assert found.decision == "kept"
    assert "last is better by a label-free estimate of 5.3 % only on one half of what is held out" in found.reason
    assert "below 5.8 %" in found.reason
    assert decide([trial(chosen=LEAST_GAIN)]).decision == "improved"


def test_a_broken_guard_leads_towards_the_original() -> None:
    broken = trial(fast=WORSE, slow=GOOD)
    found = decide([broken, trial("0.75 of last", fast=WORSE), trial("0.5 of last", Gain(0.1, 0.05, 0.2), fast=NOISE)])
    assert found.decision == "improved"
    assert found.candidate == "0.5 of last"
    assert found.gain == Gain(0.1, 0.05, 0.2)
    # Where that gains nothing any more, or breaks the guard all the way, the first failure is told.
    for rest in ([], [trial("0.5 of last", NOISE)], [trial("0.5 of last", fast=WORSE)] * 2):
        found = decide([broken, *rest])
        assert found.decision == "kept"
        assert found.gain == GOOD
        assert "last is better" in found.reason
        assert "22.1 % worse at fast" in found.reason
        assert "slow" not in found.reason


def test_a_gain_that_may_be_noise_leads_towards_the_original() -> None:
    found = decide([trial(gain=NOISE), trial("0.75 of last", NOISE), trial("0.5 of last")])
    assert (found.decision, found.candidate) == ("improved", "0.5 of last")
    # But no further than to where nothing is gained at all, and of several failures the first is told.
    for rest in ([trial("0.75 of last", NOISE)], [trial("0.75 of last", WORSE, WORSE), trial("0.5 of last")]):
        found = decide([trial(gain=NOISE), *rest])
        assert (found.decision, found.gain) == ("kept", NOISE)
        assert found.reason.startswith("last is not better beyond noise")


def test_a_guard_breaks_beyond_its_tolerance_and_noise() -> None:
    assert Guard(Gain(-0.005, -0.006, -0.004), TOLERANCE).holds
    assert Guard(Gain(-0.2, -0.5, 0.0), TOLERANCE).holds
    assert not Guard(Gain(-0.02, -0.03, -0.011), TOLERANCE).holds
    assert not Guard(Gain(-0.02, -0.03, -0.001), 0.0).holds


def test_trials_are_made_as_far_as_they_are_needed() -> None:
    def trials() -> Iterator[Trial]:
        yield trial(fast=WORSE)
        yield trial("half")
        raise AssertionError

    assert decide(trials()).candidate == "half"


def test_no_candidate_keeps_the_original() -> None:
    assert decide([]).decision == "kept"


_gains = st.builds(
    lambda value, below, above: Gain(value, value - below, value + above),
    st.floats(-1, 1, allow_subnormal=False),
    st.floats(0, 1, allow_subnormal=False),
    st.floats(0, 1, allow_subnormal=False),
)
_trials = st.builds(
    Trial,
    st.sampled_from("abcd"),
    st.floats(-1, 1, allow_subnormal=False),
    st.floats(-1, 1, allow_subnormal=False),
    st.none() | _gains,
    st.none() | _gains,
    st.dictionaries(st.sampled_from(["slow", "fast"]), st.builds(Guard, _gains, st.just(TOLERANCE))),
)


@given(st.lists(_trials, max_size=5))
def test_only_what_gains_beyond_noise_and_harms_nothing_is_ever_taken(trials: list[Trial]) -> None:
    found = decide(trials)
    assert (found.decision == "improved") == (found.candidate is not None)
    if found.candidate is None:
        return
    assert any(
        t.name == found.candidate
        and t.gain is not None
        and t.gain == found.gain
        and t.gain.low > 0
        and min(t.gain.value, t.chosen) >= LEAST_GAIN
        and t.alone > 0
        and t.census is not None
        and t.census.high >= 0
        and all(guard.gain.high >= -TOLERANCE for guard in t.guards.values())
        for t in trials
    )


def test_how_large_a_gain_must_be_is_said_by_the_task() -> None:
    small = trial(chosen=LEAST_GAIN / 2)
    assert decide([small]).decision == "kept"
    assert decide([small], LEAST_GAIN / 2).decision == "improved"
    assert decide([small], LEAST_GAIN * 0.51).decision == "kept"
