from __future__ import annotations

from pathlib import Path

import pytest
from lightning.pytorch.callbacks import RichProgressBar

from refine_motion.refine.module import RefineModule
from refine_motion.refine.progress import StepProgressBar
from refine_motion.refine.trainer import RefineTrainer
from tests.refine.test_module import loader


def trainer(**options: object) -> RefineTrainer:
    return RefineTrainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, **options)


def test_training_is_counted_in_steps_across_epochs(untrained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trainer(max_steps=5, enable_model_summary=False)
    run.fit(RefineModule("raft_small", str(untrained), iters=1), loader())
    out = capsys.readouterr().out
    assert "Training" in out
    assert "5/5" in out
    assert "loss" in out


def test_epochs_are_turned_into_steps(untrained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trainer(max_epochs=3, enable_model_summary=False)
    run.fit(RefineModule("raft_small", str(untrained), iters=1), loader())
    assert "6/6" in capsys.readouterr().out


def test_another_bar_or_none_can_be_asked_for() -> None:
    assert sum(isinstance(c, StepProgressBar) for c in trainer().callbacks) == 1
    own = trainer(callbacks=RichProgressBar())
    assert not any(isinstance(c, StepProgressBar) for c in own.callbacks)
    assert not any(isinstance(c, StepProgressBar) for c in trainer(enable_progress_bar=False).callbacks)
