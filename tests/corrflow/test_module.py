from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from refine_motion.corrflow.bottleneck import Bottleneck
from refine_motion.corrflow.losses import ColourLoss, draw_truth
from refine_motion.corrflow.module import CorrFlowModule
from refine_motion.corrflow.quantise import quantise
from refine_motion.errors import ConfigError, WeightsError
from refine_motion.models.registry import build_model
from refine_motion.models.weights import save_weights
from refine_motion.motion.full_attention import FullAttention
from refine_motion.motion.local_attention import LocalAttention


class Stand:
    """What a module asks of its trainer."""

    training = True
    global_step = 0
    max_steps = 100
    world_size = 1
    precision = "32-true"

    def __init__(self, **values: Any):
        for name, value in values.items():
            setattr(self, name, value)


class Data:
    batch_size = 6


def module(**settings: Any) -> CorrFlowModule:
    torch.manual_seed(0)
    return CorrFlowModule(**{"network": "corrflow_small", "attention": LocalAttention(radius=2), **settings})


def attached(one: CorrFlowModule, monkeypatch: pytest.MonkeyPatch, **trainer: Any) -> dict[str, Any]:
    """What the module logs, with a stand-in for the trainer."""
    logged: dict[str, Any] = {}
    monkeypatch.setattr(CorrFlowModule, "trainer", Stand(**trainer))
    monkeypatch.setattr(one, "log", lambda name, value, **_: logged.update({name: value}))
    monkeypatch.setattr(one, "log_dict", lambda values, **_: logged.update(values))
    return logged


def batch(frames: int = 3) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(5)
    return {
        "frames": torch.randint(0, 256, (2, frames, 3, 32, 24), generator=generator, dtype=torch.uint8),
        "seed": torch.tensor([11, 12]),
        "number": torch.tensor([0, 1]),
        "step_seed": 77,
    }


def test_targets_are_of_the_frames_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    one, given = module(bottleneck=Bottleneck(dropout_probability=1.0, jitter_probability=1.0)), batch()
    attached(one, monkeypatch)
    kept = given["frames"].clone()
    made = one.on_after_batch_transfer(given, 0)
    assert torch.equal(given["frames"], kept)
    assert torch.equal(made["ids"], quantise(kept, one.centroids))
    assert not torch.equal(made["seen"], kept.float())
    # The same channels in all frames of all clips.
    gone = (made["seen"] == 0).all(dim=-1).all(dim=-1)
    assert gone.any()
    assert (gone == gone[:1, :1]).all()
    attached(one, monkeypatch, training=False)
    assert torch.equal(one.on_after_batch_transfer(given, 0)["seen"], kept.float())


def test_a_training_step_is_the_loss_of_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    one = module(first_truth=0.5, last_truth=0.5)
    logged = attached(one, monkeypatch)
    made = one.on_after_batch_transfer(batch(frames=5), 0)
    loss = one.training_step(made, 0)
    features = one.model.encode(made["seen"].flatten(0, 1)).unflatten(0, (2, 5))
    expected = ColourLoss(LocalAttention(radius=2))(features, made["ids"], draw_truth(0.5, 5, 78))
    torch.testing.assert_close(loss, expected.total)
    assert logged["train/similarity"] == expected.similarity
    assert logged["train/truth_probability"] == 0.5
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in one.model.parameters())


def test_the_frames_of_a_step_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    one, seen = module(), []
    attached(one, monkeypatch)
    encode = one.model.encode

    def counted(frames: Tensor) -> Tensor:
        seen.append(len(frames))
        return encode(frames)

    monkeypatch.setattr(one.model, "encode", counted)
    one.training_step(one.on_after_batch_transfer(batch(), 0), 0)
    assert seen == [6]


def test_under_amp_the_loss_stays_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    one = module()
    attached(one, monkeypatch)
    made = one.on_after_batch_transfer(batch(), 0)
    exact = one.training_step(made, 0)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = one.training_step(made, 0)
    assert mixed.dtype == torch.float32
    assert mixed != exact
    torch.testing.assert_close(mixed, exact, rtol=0.02, atol=0)
    mixed.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in one.model.parameters())


@pytest.mark.parametrize(("step", "probability"), [(0, 0.9), (50, 0.75), (100, 0.6)])
def test_true_colours_are_carried_on_less_and_less(
    monkeypatch: pytest.MonkeyPatch, step: int, probability: float
) -> None:
    one = module()
    logged = attached(one, monkeypatch, global_step=step)
    one.training_step(one.on_after_batch_transfer(batch(), 0), 0)
    assert logged["train/truth_probability"] == pytest.approx(probability)


def test_equal_shares_cost_what_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features that tell nothing, and colours of every cell in equal parts: (2 + 0.1 * 2) ln 16."""
    one = module(attention=FullAttention())
    attached(one, monkeypatch)
    ids = torch.arange(16).view(4, 4).repeat_interleave(4, 0).repeat_interleave(4, 1).expand(2, 3, 16, 16)
    monkeypatch.setattr(one.model, "encode", lambda frames: torch.zeros(len(frames), 64, 4, 4))
    loss = one.training_step({"seen": torch.zeros(2, 3, 3, 16, 16), "ids": ids.contiguous(), "step_seed": 0}, 0)
    assert loss.item() == pytest.approx(2.2 * math.log(16), rel=1e-5)


def test_validation_hides_nothing_and_carries_true_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    one = module().eval()
    logged = attached(one, monkeypatch, training=False)
    made = one.on_after_batch_transfer(batch(), 0)
    with torch.no_grad():
        one.validation_step(made, 0)
        features = one.model.encode(made["frames"].flatten(0, 1)).unflatten(0, (2, 3))
        expected = ColourLoss(LocalAttention(radius=2))(features, made["ids"], [True])
    torch.testing.assert_close(logged["val/loss"], expected.total)
    torch.testing.assert_close(logged["val/cycle"], expected.cycle)


def test_the_rate_is_halved_by_clips_seen_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    one = module(halve_after=(36, 60))
    attached(one, monkeypatch, world_size=2, datamodule=Data())
    made = one.configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    assert (optimizer.defaults["betas"], optimizer.defaults["weight_decay"]) == ((0.9, 0.999), 0)
    rates = []
    for _ in range(7):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == [2e-4] * 3 + [1e-4] * 2 + [5e-5] * 2


def test_the_published_rate() -> None:
    assert module().halve_after == (400_000, 600_000, 800_000, 1_000_000)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"first_truth": 1.2}, "first_truth"),
        ({"last_truth": -0.1}, "last_truth"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"network": "raft_small"}, "no encoder of CorrFlow"),
        ({"centroids": "nowhere.csv"}, r"nowhere\.csv"),
        ({"cycle_weight": -1.0}, "cycle_weight"),
    ],
)
def test_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        module(**wrong)


def test_a_stream_without_end_needs_a_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    one = module()
    attached(one, monkeypatch, max_steps=-1)
    with pytest.raises(ConfigError, match="max_steps"):
        one.configure_optimizers()


def test_weights_to_go_on_from(tmp_path: Any) -> None:
    torch.manual_seed(9)
    other = build_model("corrflow_small")
    file = save_weights(other, tmp_path / "other.safetensors")
    found = module(weights=str(file)).model.state_dict()
    assert all(torch.equal(found[key], value) for key, value in other.state_dict().items())
    with pytest.raises(WeightsError, match="corrflow_small"):
        module(network="corrflow", weights=str(file))


def test_settings_tell_one_training_from_another() -> None:
    mine = module().settings
    assert module().settings == mine
    others = [
        {"attention": LocalAttention(radius=3)},
        {"attention": FullAttention()},
        {"bottleneck": Bottleneck(inputs="grey")},
        {"cycle_weight": 0.2},
        {"halve_after": (5,)},
    ]
    assert all(module(**other).settings != mine for other in others)


def test_half_precision_throughout_is_not_for_it() -> None:
    from refine_motion.refine.trainer import RefineTrainer

    with pytest.raises(ConfigError, match="round coordinates"):
        RefineTrainer(precision="16-true")
    assert Trainer(precision="bf16-mixed", accelerator="cpu", logger=False).precision == "bf16-mixed"
