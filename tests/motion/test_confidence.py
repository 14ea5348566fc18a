from __future__ import annotations

import doctest

import torch
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.motion import confidence as room
from refine_motion.motion.confidence import confidence


def test_example() -> None:
    assert doctest.testmod(room, extraglobs={"torch": torch}).failed == 0


def test_at_the_query() -> None:
    nothing = torch.zeros(3)
    assert confidence(nothing, nothing, nothing).tolist() == [1, 1, 1]


@given(st.floats(0, 1e6, allow_subnormal=False), st.integers(0, 50), st.integers(0, 50))
def test_in_its_bounds_and_falling(error: float, verified: int, more: int) -> None:
    def found(error: float, verified: int, frames: int) -> float:
        return confidence(*(torch.tensor([float(value)]) for value in (error, verified, frames))).item()

    value = found(error, verified, verified + more)
    assert 0 <= value <= 1
    assert found(error + 1, verified, verified + more) <= value
    assert found(error, verified, verified + more + 1) <= value
