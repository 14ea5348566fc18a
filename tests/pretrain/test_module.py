from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from refine_motion.benchmarks.synthetic.stream import FlowPairs
from refine_motion.errors import ConfigError, TrainingError
from refine_motion.pretrain.datamodule import PretrainDataModule
from refine_motion.pretrain.module import PretrainModule
from refine_motion.pretrain.stream import Stage, StepBatches

STAGES = [Stage(0, (64, 64), 2, 6.0, 1)]


def batch() -> dict[str, Any]:
    return StepBatches(STAGES, 0, lambda stage: FlowPairs(2, stage.size, stage.max_speed))[0]


def silent(module: PretrainModule, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the module logs, without a trainer."""
    logged: dict[str, Any] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value}))
    monkeypatch.setattr(module, "log_dict", lambda values, **_: logged.update(values))
    return logged


def test_hidden_pixels_count(monkeypatch: pytest.MonkeyPatch) -> None:
    module = PretrainModule(iters=1)
    silent(module, monkeypatch)
    seen = batch()
    hidden = seen | {"valid": torch.zeros_like(seen["valid"])}
    loss = module.training_step(seen, 0)
    assert torch.equal(module.training_step(hidden, 0), loss)
    moved = hidden | {"flow": hidden["flow"] + 100.0}
    # The mean over both axes of the flow grows by the shift itself where nearly all of it was short of the truth.
    assert module.training_step(moved, 0) > loss + 50.0


def test_the_batch_says_how_many_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    module = PretrainModule(iters=5)
    silent(module, monkeypatch)
    asked: list[int] = []

    def flow_sequence(a: Tensor, b: Tensor, iters: int) -> list[Tensor]:
        asked.append(iters)
        return [torch.zeros(len(a), 2, *a.shape[-2:])]

    monkeypatch.setattr(module.model, "flow_sequence", flow_sequence)
    sample = batch()
    loss = module.training_step(sample | {"iters": 3}, 0)
    module.training_step({key: value for key, value in sample.items() if key != "iters"}, 0)
    assert asked == [3, 5]
    assert loss.item() == pytest.approx(sample["flow"].abs().mean().item(), rel=1e-5)


def test_validation_pools_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    module = PretrainModule(iters=1)
    logged = silent(module, monkeypatch)
    truths = [torch.full((1, 2, 2, 2), 3.0), torch.zeros(3, 2, 2, 2)]
    monkeypatch.setattr(module.model, "flow", lambda a, b, iters: torch.ones(len(a), 2, 2, 2))
    for _ in range(2):
        module.on_validation_epoch_start()
        for truth in truths:
            frames = torch.zeros(len(truth), 3, 2, 2)
            module.validation_step({"image_a": frames, "image_b": frames, "flow": truth}, 0)
        module.on_validation_epoch_end()
    root = 2**0.5
    assert logged["val/epe"].item() == pytest.approx((2 * root + 3 * root) / 4)
    assert logged["val/zero_epe"].item() == pytest.approx(3 * root / 4)
    assert logged["val/ratio"].item() == pytest.approx(5 / 3)


def test_augmentation_is_of_training_and_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stand:
        training = True

    module, stand = PretrainModule(), Stand()
    monkeypatch.setattr(PretrainModule, "trainer", stand)
    given = batch()
    changed = module.on_after_batch_transfer(given, 0)
    again = module.on_after_batch_transfer(batch(), 0)
    single = module.on_after_batch_transfer({k: v[1:] if isinstance(v, Tensor) else v for k, v in batch().items()}, 0)
    assert not torch.equal(changed["image_b"], given["image_b"].float())
    for key in ("image_a", "image_b", "flow"):
        assert torch.equal(again[key], changed[key])
        torch.testing.assert_close(single[key][0], changed[key][1])
    stand.training = False
    assert module.on_after_batch_transfer(given, 0) is given
    stand.training = True
    assert PretrainModule(augment=False).on_after_batch_transfer(given, 0) is given


def trainer(**settings: Any) -> Trainer:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(accelerator="cpu", devices=1, num_sanity_val_steps=0, limit_val_batches=0, **quiet, **settings)


def test_a_gradient_that_is_not_a_number_does_not_reach_the_weights() -> None:
    module = PretrainModule(iters=1, augment=False)
    before = [p.detach().clone() for p in module.model.parameters()]
    with torch.no_grad():
        next(module.model.parameters()).view(-1)[0] = torch.nan
    with pytest.raises(TrainingError, match="step 0: the gradient is not a number"):
        trainer(max_steps=2).fit(module, datamodule=PretrainDataModule(STAGES, num_workers=0))
    for old, new in list(zip(before, module.model.parameters(), strict=True))[1:]:
        assert torch.equal(old, new)


def test_the_number_of_steps_must_be_known() -> None:
    module = PretrainModule(iters=1, augment=False)
    with pytest.raises(ConfigError, match=r"trainer\.max_steps"):
        trainer(max_epochs=1).fit(module, datamodule=PretrainDataModule(STAGES, num_workers=0))


@pytest.mark.parametrize(
    ("wrong", "told"), [({"iters": 0}, "iters"), ({"learning_rate": 0.0}, "learning_rate"), ({"network": "x"}, "x")]
)
def test_settings_out_of_range(wrong: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        PretrainModule(**wrong)


def test_trains_without_the_libraries_that_a_gpu_machine_may_lack() -> None:
    code = """
import sys
for name in ("decord", "av", "kornia", "wandb", "omegaconf", "jsonargparse"):
    sys.modules[name] = None
import refine_motion.pretrain.module
from refine_motion.pretrain.run import pretrain
from refine_motion.pretrain.stream import Stage
assert callable(pretrain) and Stage(0, (64, 64), 1, 4.0, 1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
