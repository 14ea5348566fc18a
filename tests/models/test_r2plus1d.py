from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from refine_motion.models.clip_models import build_clip_model
from refine_motion.models.r2plus1d import FLOW, RGB, R2Plus1D
from tests.models.recipe import recipe_tensor

TINY = (8, 8, 12, 16)


@pytest.fixture(scope="module")
def official() -> dict[str, Any]:
    """Names, shapes and outputs of torchvision's own model, recorded from it."""
    return json.loads(Path(__file__).with_name("r2plus1d_18.json").read_text())


def tiny(in_channels: int = RGB, **kwargs: float) -> R2Plus1D:
    torch.manual_seed(0)
    return R2Plus1D("tiny", in_channels, classes=4, widths=TINY, blocks=1, **kwargs).eval()


def clips(channels: int = RGB, frames: int = 4) -> Tensor:
    return torch.rand(2, channels, frames, 20, 24, generator=torch.Generator().manual_seed(0))


class TestEqualToTorchvision:
    def test_names_and_shapes(self, official: dict[str, Any]) -> None:
        model = build_clip_model("r2plus1d_18", RGB, 400)
        assert [[key, list(value.shape)] for key, value in model.state_dict().items()] == official["tensors"]
        assert sum(value.numel() for value in model.parameters()) == official["parameters"] == 31_505_325

    def test_logits(self, official: dict[str, Any]) -> None:
        model = build_clip_model("r2plus1d_18", RGB, official["classes"]).eval()
        seed = official["weight_seed"]
        model.load_state_dict({k: recipe_tensor(k, tuple(v.shape), seed) for k, v in model.state_dict().items()})
        values = np.random.RandomState(official["clip_seed"]).randint(0, 256, official["clip_shape"]).astype(np.uint8)
        with torch.no_grad():
            logits = model(torch.from_numpy(values))
        torch.testing.assert_close(logits, torch.tensor(official["logits"]), rtol=0, atol=1e-5)

    def test_flow_changes_the_first_layer_alone(self, official: dict[str, Any]) -> None:
        shapes = dict(official["tensors"])
        found = {k: list(v.shape) for k, v in build_clip_model("r2plus1d_18", FLOW, 400).state_dict().items()}
        assert {key for key in shapes if shapes[key] != found[key]} == {"stem.0.weight"}
        assert found["stem.0.weight"] == [45, 2, 1, 7, 7]


class TestSizes:
    def test_published(self) -> None:
        model = build_clip_model("r2plus1d_18", FLOW, 101).eval()
        with torch.no_grad():
            features = model.features(torch.zeros(1, 2, 2, 16, 16))
            assert features.shape == (1, 512)
            assert model(torch.zeros(1, 2, 2, 16, 16)).shape == (1, 101)

    def test_small(self) -> None:
        model = build_clip_model("r2plus1d_10_small", RGB, 6).eval()
        assert sum(value.numel() for value in model.parameters()) == 783_877
        with torch.no_grad():
            assert model.features(clips()).shape == (2, 128)
            assert model(clips()).shape == (2, 6)

    def test_names_of_the_small_one_are_among_those_of_the_published(self, official: dict[str, Any]) -> None:
        names = {key for key, _ in official["tensors"]}
        assert set(build_clip_model("r2plus1d_10_small", RGB, 6).state_dict()) < names

    @pytest.mark.parametrize(("frames", "height", "width"), [(1, 1, 1), (3, 17, 9), (8, 32, 48)])
    def test_any_length_and_size(self, frames: int, height: int, width: int) -> None:
        with torch.no_grad():
            assert tiny().features(torch.zeros(2, 3, frames, height, width)).isfinite().all()

    def test_the_head_sees_the_features(self) -> None:
        model = tiny()
        with torch.no_grad():
            assert torch.equal(model(clips()), model.fc(model.features(clips())))


class TestColours:
    def test_bytes_and_numbers_are_the_same(self) -> None:
        values = (255 * clips()).to(torch.uint8)
        with torch.no_grad():
            assert torch.equal(tiny()(values), tiny()(values.float()))

    def test_normalised_as_torchvision_does(self) -> None:
        seen = []
        model = tiny()
        model.stem.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        grey = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 1, 3, 1, 1).expand(1, 3, 3, 1, 1)
        model.features(grey)
        for channel, (mean, deviation) in enumerate(((0.43216, 0.22803), (0.394666, 0.22145), (0.37645, 0.216989))):
            wanted = [(value / 255 - mean) / deviation for value in (0, 128, 255)]
            assert seen[0][0, channel].flatten().tolist() == pytest.approx(wanted, abs=1e-5)

    def test_the_state_has_nothing_of_it(self) -> None:
        assert not {"mean", "deviation"} & set(tiny().state_dict())


class TestFlow:
    def test_clipped_and_divided(self) -> None:
        seen = []
        for limit in (20.0, 4.0):
            model = tiny(FLOW, flow_limit=limit)
            model.stem.register_forward_pre_hook(lambda _, args: seen.append(args[0].flatten().tolist()))
            model.features(torch.tensor([-50.0, -5, 2, 30]).view(1, 2, 2, 1, 1))
        assert seen == [[-1, -0.25, pytest.approx(0.1), 1], [-1, -1, 0.5, 1]]

    def test_what_is_beyond_the_limit_does_not_count(self) -> None:
        flow = 60 * clips(FLOW) - 30
        with torch.no_grad():
            assert torch.equal(tiny(FLOW)(flow), tiny(FLOW)(flow.clamp(-20, 20)))


def test_gradients_reach_every_parameter() -> None:
    model = tiny().train()
    model(255 * clips()).square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in model.parameters())


def test_half_precision() -> None:
    model = tiny().to(torch.bfloat16)
    with torch.no_grad():
        assert model((255 * clips()).to(torch.uint8)).dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(2, 2, 4, 20, 24), (3, 4, 20, 24), (2, 4, 3, 20, 24)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"clips must be \(B, 3, T, H, W\), got \("):
        tiny()(torch.zeros(shape))


def test_other_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3 channels \(RGB\) or 2 \(flow\), not 4"):
        R2Plus1D("x", 4, 10)
