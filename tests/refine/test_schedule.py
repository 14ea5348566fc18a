from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.refine.schedule import one_cycle


def rates(steps: int, warmup: float, count: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule = one_cycle(optimizer, steps, warmup)
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_shape() -> None:
    found = rates(steps=100, warmup=0.1, count=105)
    assert found[0] == pytest.approx(2.0 / 25)
    assert found[10] == pytest.approx(2.0)
    assert found[55] == pytest.approx(1.0)
    assert found[100:] == [0.0] * 5


def test_equals_torchs_one_cycle_but_for_its_ends() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 2.0, total_steps=1100, pct_start=0.1, anneal_strategy="linear", cycle_momentum=False
    )
    for step, own in enumerate(rates(1100, 0.1, 1000)):
        assert theirs.get_last_lr()[0] == pytest.approx(own, abs=0.02), step
        optimizer.step()
        theirs.step()


@given(steps=st.integers(1, 40), warmup=st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.99]))
def test_any_length_works(steps: int, warmup: float) -> None:
    found = rates(steps, warmup, steps)
    assert all(0 < r <= 2.0 for r in found)
