from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from refine_motion.errors import ConfigError, WeightsError
from refine_motion.models.clip_models import build_clip_model
from refine_motion.motionfit.augment import ActionAugmentation
from refine_motion.motionfit.clip_settings import ClipSettings
from refine_motion.motionfit.losses import MultiClipLoss
from refine_motion.motionfit.module import ClipModule
from refine_motion.motionfit.timeline import Footage
from refine_motion.motionfit.trained import Trained, save_trained

TINY = "r2plus1d_10_tiny"
CLASSES = ("left", "right", "up")
# What is seen of an even clip is as bright as the clip.
PLAIN = ActionAugmentation(crop=(8, 8), jitter_probability=0.0, grey_probability=0.0)
HEAD = ("fc.weight", "fc.bias")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    trained = Trained(build_clip_model(TINY, 3, 3), ClipSettings("rgb", Footage((16, 16))), (16, 16), CLASSES)
    return save_trained(trained, tmp_path_factory.mktemp("weights") / "weights.safetensors", {})


def saved(weights: Path) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return build_clip_model(TINY, 3, 3).state_dict()


def built(classes: tuple[str, ...] = CLASSES, channels: int = 3, **settings: Any) -> ClipModule:
    module = ClipModule(TINY, **settings)
    torch.manual_seed(2)
    module.build(channels, classes, 8.0)
    return module


class Brightness(nn.Module):
    """The logit of the first class is a clip's brightness in tens, and those of the others are 0."""

    def forward(self, clips: Tensor) -> Tensor:
        return F.pad(clips.mean(dim=(1, 2, 3, 4))[:, None] / 10, (0, 2))


def batch_of(bright: Tensor, labels: list[int], weights: list[float]) -> dict[str, Any]:
    """Even clips of a brightness ``(B, N)``."""
    clips = bright[:, :, None, None, None, None].expand(-1, -1, 3, 2, 12, 12).to(torch.uint8)
    seeds = torch.arange(len(bright))
    return {"clips": clips, "label": torch.tensor(labels), "weight": torch.tensor(weights), "seed": seeds}


def test_clips_of_a_sample_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """With N = 3, the logits that enter the loss are those of the three clips of the same sample."""
    given: list[tuple[Tensor, Tensor, Tensor]] = []

    def noted(self: MultiClipLoss, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        given.append((logits, labels, weights))
        return logits.mean()

    monkeypatch.setattr(MultiClipLoss, "__call__", noted)
    module = ClipModule(TINY, augment=PLAIN)
    module.model = Brightness()  # type: ignore[assignment]
    bright = torch.tensor([[10, 20, 30], [40, 50, 60]])
    batch = module.on_after_batch_transfer(batch_of(bright, [2, 1], [0.5, 1.0]), 0)
    assert batch["seen"].shape == (2, 3, 3, 2, 8, 8)
    module.training_step(batch, 0)
    ((logits, labels, weights),) = given
    assert logits.shape == (2, 3, 3)
    torch.testing.assert_close(logits[..., 0], bright / 10, atol=1e-4, rtol=0)
    assert (labels.tolist(), weights.tolist()) == ([2, 1], [0.5, 1.0])


@pytest.mark.parametrize("kind", ["consensus", "mean"])
def test_the_loss_by_hand(kind: Literal["consensus", "mean"]) -> None:
    module = ClipModule(TINY, augment=PLAIN, loss=MultiClipLoss(kind))
    module.model = Brightness()  # type: ignore[assignment]
    batch = batch_of(torch.tensor([[10, 50], [20, 40]]), [0, 1], [1.0, 0.25])
    found = module.training_step(module.on_after_batch_transfer(batch, 0), 0)
    logits = torch.tensor([[[1.0, 0, 0], [5, 0, 0]], [[2, 0, 0], [4, 0, 0]]])
    losses = []
    for said, label, weight in zip(logits, (0, 1), (1.0, 0.25), strict=True):
        if kind == "consensus":
            losses.append(-weight * said.mean(dim=0).log_softmax(-1)[label])
        else:
            losses.append(-weight * said.log_softmax(-1)[:, label].mean())
    assert found.item() == pytest.approx(sum(loss.item() for loss in losses) / 2, abs=1e-4)


def test_what_is_seen_is_drawn_by_the_sample() -> None:
    """Not by its place in the batch."""
    module = ClipModule(TINY, augment=ActionAugmentation(crop=(8, 8)))
    clips = torch.randint(0, 256, (2, 2, 3, 2, 12, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    both = module.on_after_batch_transfer({"clips": clips, "seed": torch.tensor([7, 8])}, 0)["seen"]
    alone = module.on_after_batch_transfer({"clips": clips[1:], "seed": torch.tensor([8])}, 0)["seen"]
    torch.testing.assert_close(both[1:], alone)
    assert not torch.allclose(
        module.on_after_batch_transfer({"clips": clips[1:], "seed": torch.tensor([7])}, 0)["seen"], alone
    )


class TestWeights:
    def test_the_head_is_kept_for_the_same_classes(self, weights: Path) -> None:
        state, wanted = built(weights=str(weights)).model.state_dict(), saved(weights)
        assert all(torch.equal(state[key], value) for key, value in wanted.items())

    @pytest.mark.parametrize("classes", [("right", "left", "up"), ("left", "right")])
    def test_and_for_no_others(self, classes: tuple[str, ...], weights: Path) -> None:
        """As many of them or not."""
        state, wanted = built(classes, weights=str(weights)).model.state_dict(), saved(weights)
        fresh = built(classes).model.state_dict()
        assert all(torch.equal(state[key], fresh[key]) for key in HEAD)
        assert all(torch.equal(state[key], value) for key, value in wanted.items() if key not in HEAD)

    def test_those_that_do_not_tell_their_classes(self, weights: Path, tmp_path: Path) -> None:
        """Three classes too, and nobody knows which."""
        torch.save(saved(weights), tmp_path / "plain.pth")
        state = built(weights=str(tmp_path / "plain.pth")).model.state_dict()
        assert all(torch.equal(state[key], built().model.state_dict()[key]) for key in HEAD)
        assert torch.equal(state["stem.0.weight"], saved(weights)["stem.0.weight"])

    def test_of_another_input(self, weights: Path) -> None:
        with pytest.raises(WeightsError, match=r"takes 3 channels \(RGB\), and the model 2 channels \(flow\)"):
            built(channels=2, weights=str(weights))


class TestGroups:
    def rates(self, module: ClipModule) -> dict[str, tuple[float, float]]:
        """Learning rate and decay of every parameter that learns."""
        names = {id(parameter): name for name, parameter in module.model.named_parameters()}
        return {names[id(one)]: key for key, members in module._groups().items() for one in members}

    def test_from_nothing(self) -> None:
        found = self.rates(built(learning_rate=0.5, body_rate=0.1, weight_decay=0.25))
        parameters = dict(built().model.named_parameters())
        assert found == {name: (0.5, 0.25 if one.ndim > 1 else 0.0) for name, one in parameters.items()}

    def test_from_weights(self, weights: Path) -> None:
        """The head learns faster, also where it is not new."""
        found = self.rates(built(weights=str(weights), learning_rate=0.5, body_rate=0.1, weight_decay=0.25))
        assert (found["fc.weight"], found["fc.bias"]) == ((0.5, 0.25), (0.5, 0.0))
        assert found["stem.0.weight"] == pytest.approx((0.05, 0.25))
        assert found["stem.1.weight"] == pytest.approx((0.05, 0.0))

    def test_a_probe(self, weights: Path) -> None:
        assert sorted(self.rates(built(weights=str(weights), probe=True))) == ["fc.bias", "fc.weight"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive"),
        ({"body_rate": 0.0}, r"body_rate in \(0, 1\]"),
        ({"body_rate": 1.5}, r"body_rate in \(0, 1\]"),
        ({"weight_decay": -0.1}, "weight_decay not negative"),
        ({"warmup": 1.0}, r"warmup in \(0, 1\)"),
        ({"probe": True}, r"model\.probe: there is nothing to probe in a network without weights; set model\.weights"),
    ],
)
def test_settings_that_are_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as raised:
        ClipModule(TINY, **values)
    assert "\n" not in str(raised.value)


def test_settings_are_plain() -> None:
    """And each of them, so that another one is another training."""
    found = json.loads(json.dumps(ClipModule(TINY, loss=MultiClipLoss("both", 0.25)).settings))
    assert (found["loss"], found["network"]) == ({"kind": "both", "mean_share": 0.25}, TINY)
    assert found["augment"]["crop"] == [112, 112]
    assert {"probe", "learning_rate", "body_rate", "weight_decay", "warmup", "weights"} <= found.keys()


def test_other_weights_under_the_same_name_are_another_training(weights: Path, tmp_path: Path) -> None:
    copy = tmp_path / "weights.safetensors"
    copy.write_bytes(weights.read_bytes())
    first = ClipModule(TINY, weights=str(weights)).settings
    assert first == ClipModule(TINY, weights=str(copy)).settings
    torch.manual_seed(5)
    other = Trained(build_clip_model(TINY, 3, 3), ClipSettings("rgb", Footage((16, 16))), (16, 16), CLASSES)
    save_trained(other, copy, {})
    assert first != ClipModule(TINY, weights=str(copy)).settings


@pytest.mark.parametrize("steps", [4, 9, 19])
def test_a_warm_up_of_any_length(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of just one step, which torch divides by."""
    module = built(warmup=0.1, learning_rate=0.5)
    monkeypatch.setattr(ClipModule, "trainer", SimpleNamespace(max_steps=steps))
    found = module.configure_optimizers()
    rates = []
    for _ in range(steps):
        rates.append(max(group["lr"] for group in found["optimizer"].param_groups))
        found["optimizer"].step()
        found["lr_scheduler"]["scheduler"].step()
    assert min(rates) > 0
    assert rates[-1] < max(rates) <= 0.5 + 1e-9
