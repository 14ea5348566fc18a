from __future__ import annotations

from pathlib import Path

import pytest
import torch

from refine_motion.errors import ConfigError, WeightsError
from refine_motion.models.clip_models import CLIP_MODELS, build_clip_model, load_clip_weights
from refine_motion.models.r2plus1d import FLOW, RGB, R2Plus1D
from refine_motion.models.registry import BUILTIN
from refine_motion.models.weights import write_state

SMALL = "r2plus1d_10_small"


def model(in_channels: int = RGB, classes: int = 5, seed: int = 0) -> R2Plus1D:
    torch.manual_seed(seed)
    return build_clip_model(SMALL, in_channels, classes)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As torchvision's are: a plain state dict."""
    path = tmp_path_factory.mktemp("clip_weights") / "small.pth"
    torch.save(model(seed=1).state_dict(), path)
    return path


def test_names_are_those_of_no_model_of_motion() -> None:
    assert not set(CLIP_MODELS) & set(BUILTIN)
    assert all(build_clip_model(name, FLOW, 3).name == name for name in CLIP_MODELS)


def test_sizes() -> None:
    """The smallest is half as wide as the next."""
    assert [build_clip_model(name, RGB, 3).width for name in CLIP_MODELS] == [512, 128, 64]
    assert build_clip_model("r2plus1d_10_tiny", FLOW, 3)(torch.zeros(2, FLOW, 4, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "classes", "limit", "told"),
    [
        (
            "r3d_18",
            5,
            20,
            "no model of clips is called 'r3d_18'; known ones: r2plus1d_18, r2plus1d_10_small, r2plus1d_10_tiny",
        ),
        (SMALL, 1, 20, "classes must be at least 2, got 1"),
        (SMALL, 5, 0, "flow_limit must be more than 0 pixels, got 0"),
    ],
)
def test_what_cannot_be_built(name: str, classes: int, limit: float, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        build_clip_model(name, RGB, classes, limit)


def test_weights(weights: Path, tmp_path: Path) -> None:
    wanted, found = model(seed=1).state_dict(), model()
    load_clip_weights(found, weights)
    assert all(torch.equal(value, wanted[key]) for key, value in found.state_dict().items())
    # And as this project writes them.
    again = model()
    load_clip_weights(again, write_state(found.state_dict(), tmp_path / "ours.safetensors", {"model": SMALL}))
    assert all(torch.equal(value, wanted[key]) for key, value in again.state_dict().items())


def test_without_the_head(weights: Path) -> None:
    found, before, wanted = model(classes=7), model(classes=7).state_dict(), model(seed=1).state_dict()
    load_clip_weights(found, weights, head=False)
    state = found.state_dict()
    assert all(torch.equal(state[key], before[key]) for key in ("fc.weight", "fc.bias"))
    assert all(torch.equal(value, wanted[key]) for key, value in state.items() if not key.startswith("fc."))


def test_weights_of_another_input(weights: Path, tmp_path: Path) -> None:
    told = r"takes 3 channels \(RGB\), and the model 2 channels \(flow\); give weights trained on the same input"
    for head in (True, False):
        with pytest.raises(WeightsError, match=told) as error:
            load_clip_weights(model(FLOW), weights, head=head)
        assert str(error.value).startswith(f"{weights}: weights do not fit 'r2plus1d_10_small'; ")
        assert "\n" not in str(error.value)
    torch.save(model(FLOW).state_dict(), tmp_path / "flow.pth")
    with pytest.raises(WeightsError, match=r"takes 2 channels \(flow\), and the model 3 channels \(RGB\)"):
        load_clip_weights(model(), tmp_path / "flow.pth")


def test_weights_of_other_classes(weights: Path) -> None:
    with pytest.raises(WeightsError, match="tell 5 classes apart, and the model 7; load them without their head"):
        load_clip_weights(model(classes=7), weights)


def test_weights_of_something_else(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"do not fit 'r2plus1d_18'; fc\.weight is \(5, 128\), not \(5, 512\)"):
        load_clip_weights(build_clip_model("r2plus1d_18", RGB, 5), weights)
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth: weights do not fit .*; conv\.weight is unknown"):
        load_clip_weights(model(), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"absent\.pth: no such weights file"):
        load_clip_weights(model(), tmp_path / "absent.pth")
