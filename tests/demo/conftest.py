from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lightning.pytorch import seed_everything

from refine_motion.demo.job import DemoResult, run_demo
from refine_motion.demo.plan import DemoPlan

SAID: list[tuple[str, str]] = []


@pytest.fixture(scope="session")
def few_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("refine_motion.demo.plan._STEPS_PER_MINUTE", 8)
        yield


@pytest.fixture(scope="session")
def plan(untrained: Path, few_steps: None) -> DemoPlan:
    """The whole job, as small as a network takes it."""
    return DemoPlan(
        "fog",
        seed=3,
        minutes=3.5,
        weights=str(untrained),
        size=(64, 80),
        clips=2,
        held_out=2,
        frames=5,
        pairs=2,
        label_iters=2,
        label_views=("1.25x",),
        iters=2,
    )


@pytest.fixture(scope="session")
def result(plan: DemoPlan, tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    seed_everything(0, verbose=False)
    return run_demo(plan, tmp_path_factory.mktemp("demo"), lambda *what: SAID.append(what))


@pytest.fixture(scope="session")
def said(result: DemoResult) -> list[tuple[str, str]]:
    return SAID
