from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from refine_motion.models.load import load_model
from refine_motion.refine.candidates import Snapshots, mixture
from refine_motion.refine.module import RefineModule

PARAMETER = "fnet.conv1.weight"


@pytest.fixture
def module(untrained: Path) -> RefineModule:
    return RefineModule("raft_small", str(untrained), iters=1)


def train(module: RefineModule, folder: Path, count: int, total: int, start: int = 0, stop: int | None = None) -> None:
    """Steps of a training from ``start``, every second batch; the number of the step is written into the student."""
    module.total_steps = lambda: total  # type: ignore[method-assign]
    snapshots = Snapshots(folder, count)
    trainer = SimpleNamespace(global_step=start, is_global_zero=True)
    snapshots.on_train_start(trainer, module)  # type: ignore[arg-type]
    for step in range(start, total if stop is None else stop):
        # A batch that only adds to the gradient, and one that takes the step.
        snapshots.on_train_batch_end(trainer, module)  # type: ignore[arg-type]
        trainer.global_step = step + 1
        module.student.get_parameter(PARAMETER).data.fill_(step + 1)
        snapshots.on_train_batch_end(trainer, module)  # type: ignore[arg-type]


def steps(folder: Path) -> dict[str, float]:
    states = Snapshots(folder, 0).states()
    return {name: state[PARAMETER].flatten()[0].item() for name, state in states.items()}


def test_weights_are_saved_evenly_along_the_training(module: RefineModule, tmp_path: Path) -> None:
    train(module, tmp_path, 3, 1200)
    assert steps(tmp_path) == {"step 300": 300, "step 600": 600, "step 900": 900}


def test_a_training_of_fewer_steps_has_fewer(module: RefineModule, tmp_path: Path) -> None:
    train(module, tmp_path, 3, 2)
    assert steps(tmp_path) == {"step 1": 1}
    train(module, tmp_path / "none", 0, 8)
    assert steps(tmp_path / "none") == {}


def test_a_resumed_training_has_the_same(module: RefineModule, tmp_path: Path) -> None:
    train(module, tmp_path, 3, 8, stop=5)
    # The last checkpoint was made a step earlier than the weights at 4.
    train(module, tmp_path, 3, 8, start=3)
    assert steps(tmp_path) == {"step 2": 2, "step 4": 4, "step 6": 6}


def test_what_another_training_left_is_no_candidate(module: RefineModule, tmp_path: Path) -> None:
    train(module, tmp_path, 3, 8)
    train(module, tmp_path, 1, 4)
    assert steps(tmp_path) == {"step 2": 2}


def test_a_mixture_lies_between(untrained: Path) -> None:
    original = load_model("raft_small", untrained).state_dict()
    refined = {name: value + 4 if value.is_floating_point() else value + 7 for name, value in original.items()}
    for share in (0.0, 0.25, 1.0):
        for name, value in mixture(original, refined, share).items():
            expected = original[name] + 4 * share if original[name].is_floating_point() else original[name]
            torch.testing.assert_close(value, expected)
            assert value.dtype == original[name].dtype
