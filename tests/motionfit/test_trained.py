from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from refine_motion.errors import ConfigError, WeightsError
from refine_motion.models.clip_models import build_clip_model
from refine_motion.models.weights import read_facts, write_state
from refine_motion.motionfit.clip_settings import ClipSettings
from refine_motion.motionfit.flow_cache import FlowSettings
from refine_motion.motionfit.timeline import Footage
from refine_motion.motionfit.trained import Trained, has_head, load_trained, save_trained

CLIP = ClipSettings(
    "flow", Footage((40, 48), 12.5), 8, (2, 4), FlowSettings("raft_small", "embedded", iters=3, limit=8.0, scale=1.5)
)
CLASSES = ("left", "right", "up")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = build_clip_model("r2plus1d_10_tiny", 2, 3, flow_limit=8.0).eval()
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    return save_trained(Trained(model, CLIP, (32, 36), CLASSES), path, {"steps": 7})


def test_what_is_saved_is_loaded(weights: Path) -> None:
    """With all that is needed to use it as it was trained."""
    found = load_trained(weights)
    assert (found.clip, found.crop, found.classes) == (CLIP, (32, 36), CLASSES)
    assert (found.model.name, found.model.in_channels, found.model.flow_limit) == ("r2plus1d_10_tiny", 2, 8.0)
    assert not found.model.training
    torch.manual_seed(0)
    wanted = build_clip_model("r2plus1d_10_tiny", 2, 3, flow_limit=8.0).state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in found.model.state_dict().items())
    assert read_facts(weights)["steps"] == 7


def test_all_frames(tmp_path: Path) -> None:
    clip = ClipSettings("rgb", Footage((40, 48)))
    model = build_clip_model("r2plus1d_10_tiny", 3, 2)
    save_trained(Trained(model, clip, (32, 36), CLASSES[:2]), tmp_path / "w.safetensors", {})
    assert load_trained(tmp_path / "w.safetensors").clip == clip


def rewritten(weights: Path, path: Path, **changes: Any) -> Path:
    """The same weights that tell something else of themselves; ``None`` leaves it out."""
    found = load_trained(weights)
    use = read_facts(weights)["clips"] | changes
    facts = {"clips": {key: value for key, value in use.items() if value is not None}}
    return write_state(found.model.state_dict(), path, {"model": found.model.name, "facts": facts})


@pytest.mark.parametrize(
    "changes",
    [
        {"clip": None},
        {"crop": None},
        {"crop": 32},
        {"classes": None},
        {"network": "r3d_18"},
        {"classes": ["left"]},
        {"clip": {"footage": {"size": [40, 48]}}},
        {"clip": {"footage": {"size": [40, 48], "fps": None}, "strides": [0], "flow": {}}},
        {"clip": {"footage": {"size": [40, 48], "fps": None}, "strides": [1], "flow": {}, "colour": "grey"}},
    ],
)
def test_what_is_told_is_damaged(changes: dict[str, Any], weights: Path, tmp_path: Path) -> None:
    path = rewritten(weights, tmp_path / "w.safetensors", **changes)
    with pytest.raises(
        WeightsError, match=r"what it tells of its training is damaged \(.*\); train it again$"
    ) as raised:
        load_trained(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_other_weights(weights: Path, tmp_path: Path) -> None:
    plain, model = tmp_path / "plain.pth", load_trained(weights).model
    torch.save(model.state_dict(), plain)
    ours = write_state(model.state_dict(), tmp_path / "ours.safetensors", {"model": model.name})
    for path in (plain, ours):
        with pytest.raises(
            WeightsError, match=r"does not tell what clips it was trained on; give weights of `refine-m"
        ):
            load_trained(path)
        assert not has_head(path, CLASSES)
    for task in (load_trained, lambda path: has_head(path, CLASSES)):
        with pytest.raises(WeightsError, match=r"absent\.safetensors: no such weights file"):
            task(tmp_path / "absent.safetensors")


def test_a_damaged_file(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights.read_bytes()[:1000])
    for task in (load_trained, lambda path: has_head(path, CLASSES)):
        with pytest.raises(WeightsError) as raised:
            task(path)
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)


def test_weights_of_other_classes_than_they_say(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="tell 3 classes apart, and the model 2"):
        load_trained(rewritten(weights, tmp_path / "w.safetensors", classes=["left", "right"]))


def test_has_head(weights: Path) -> None:
    """The same classes in the same order, since labels are numbers."""
    assert has_head(weights, CLASSES)
    assert not has_head(weights, ("right", "left", "up"))
    assert not has_head(weights, ("left", "right", "down"))
    assert not has_head(weights, ("left", "right"))


def test_flow_of_another_model_under_the_same_name_is_refused(weights: Path, tmp_path: Path) -> None:
    trained = load_trained(weights)
    # Not known: nothing can be said.
    own = trained.reader(tmp_path).settings()["flow"]
    assert isinstance(own, str)
    known = replace(trained, flow=own)
    save_trained(known, tmp_path / "known.safetensors", {})
    again = load_trained(tmp_path / "known.safetensors")
    assert again.flow == own
    assert again.reader(tmp_path).settings()["flow"] == own
    with pytest.raises(ConfigError, match="the flow model embedded is not the one that these weights were trained on"):
        replace(trained, flow="0" * 16).reader(tmp_path)
