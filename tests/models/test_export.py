from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from refine_motion.errors import ConfigError, WeightsError
from refine_motion.models import registry
from refine_motion.models.base import FlowModel
from refine_motion.models.export import NAMINGS, export_weights
from refine_motion.models.load import load_model
from refine_motion.models.registry import build_model
from refine_motion.models.weights import read_weights, save_weights


def trained(name: str) -> FlowModel:
    """Random weights, with statistics of batch norm that differ from the initial ones."""
    torch.manual_seed(2)
    model = build_model(name)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.num_batches_tracked.fill_(7)
    return model.eval()


def flow(model: FlowModel) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    a, b = torch.rand(2, 1, 3, 64, 72, generator=generator) * 255
    return model.flow(a, b, iters=2)


def header(path: Path) -> dict[str, object]:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["refine_motion"])


@pytest.mark.parametrize("keys", NAMINGS)
@pytest.mark.parametrize("name", ["raft_small", "raft_large"])
def test_every_naming_loads_back_to_the_same_flow(tmp_path: Path, name: str, keys: str) -> None:
    model = trained(name)
    torch.save({"state_dict": {f"student.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "last.ckpt")
    done = export_weights(tmp_path / "last.ckpt", tmp_path / "deep" / "w.safetensors", keys)
    assert (done.model, done.keys, done.tensors) == (name, keys, len(load_file(done.path)))
    loaded = load_model(None, done.path)
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in loaded.state_dict().items())
    assert torch.equal(flow(loaded), flow(model))


@pytest.mark.parametrize(
    ("name", "counts"), [("raft_small", (106, 106, 106)), ("raft_large", (169, 179, 169))], ids=["small", "large"]
)
def test_counts(tmp_path: Path, name: str, counts: tuple[int, ...]) -> None:
    save_weights(build_model(name), tmp_path / "w.safetensors")
    for keys, count in zip(NAMINGS, counts, strict=True):
        assert export_weights(tmp_path / "w.safetensors", tmp_path / "out.safetensors", keys).tensors == count


@pytest.mark.parametrize("keys", NAMINGS)
def test_official_release_through_every_naming(real_data: Path, tmp_path: Path, keys: str) -> None:
    source = real_data / "weights" / "raft-small.pth"
    done = export_weights(source, tmp_path / "w.safetensors", keys)
    assert torch.equal(flow(load_model("raft_small", done.path)), flow(load_model("raft_small", source)))


def test_chain_of_namings_ends_where_it_began(tmp_path: Path) -> None:
    start = save_weights(trained("raft_large"), tmp_path / "0.safetensors")
    last = start
    for i, keys in enumerate(("torchvision", "official", "torchvision", "own"), 1):
        last = export_weights(last, tmp_path / f"{i}.safetensors", keys).path
    a, b = load_file(start), load_file(last)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_types_stay(tmp_path: Path) -> None:
    state = {k: v.half() if v.is_floating_point() else v for k, v in trained("raft_large").state_dict().items()}
    torch.save(state, tmp_path / "half.pth")
    done = export_weights(tmp_path / "half.pth", tmp_path / "w.safetensors", "official")
    types = {k: v.dtype for k, v in load_file(done.path).items()}
    assert types["cnet.layer2.0.norm3.weight"] == torch.float16
    assert types["cnet.layer2.0.norm3.num_batches_tracked"] == torch.int64


def test_header_keeps_model_and_facts(tmp_path: Path) -> None:
    save_weights(build_model("raft_small"), tmp_path / "refined.safetensors", {"steps": 250})
    done = export_weights(tmp_path / "refined.safetensors", tmp_path / "w.safetensors")
    facts = {"steps": 250, "exported_from": "refined.safetensors"}
    assert header(done.path) == {"format": 1, "model": "raft_small", "stride": 8, "keys": "own", "facts": facts}


@pytest.mark.parametrize("text", ["{", "[]"])
def test_damaged_header(tmp_path: Path, text: str) -> None:
    state = build_model("raft_small").state_dict()
    save_file(state, tmp_path / "w.safetensors", metadata={"refine_motion": text})
    with pytest.raises(WeightsError, match=r"w\.safetensors: its header is damaged"):
        export_weights(tmp_path / "w.safetensors", tmp_path / "out.safetensors")


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    source = save_weights(build_model("raft_small"), tmp_path / "w.safetensors")
    before = source.read_bytes()
    with pytest.raises(ConfigError, match=r"out\.pth.*\.safetensors"):
        export_weights(source, tmp_path / "out.pth")
    with pytest.raises(ConfigError, match="torchvision"):
        export_weights(source, tmp_path / "out.safetensors", "keras")
    with pytest.raises(ConfigError, match="another name"):
        export_weights(source, source, "torchvision")
    with pytest.raises(WeightsError, match="'raft_small'"):
        export_weights(source, tmp_path / "out.safetensors", name="raft_large")
    with pytest.raises(WeightsError, match="no such"):
        export_weights(tmp_path / "absent.pth", tmp_path / "out.safetensors")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="no known model"):
        export_weights(tmp_path / "other.pth", tmp_path / "out.safetensors")
    assert source.read_bytes() == before
    assert not (tmp_path / "out.safetensors").exists()


def test_models_of_third_parties_keep_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(nn.Linear):
        name, stride = "other", 8

    class Entry:
        name = "other"

        @staticmethod
        def load() -> object:
            return lambda: Other(2, 3)

    monkeypatch.setattr(registry, "entry_points", lambda group: [Entry])
    torch.save(Other(2, 3).state_dict(), tmp_path / "w.pth")
    done = export_weights(tmp_path / "w.pth", tmp_path / "w.safetensors", name="other")
    assert read_weights(done.path).keys() == {"weight", "bias"}
    assert header(done.path)["model"] == "other"
    with pytest.raises(ConfigError, match="RAFT only"):
        export_weights(tmp_path / "w.pth", tmp_path / "w2.safetensors", "official", name="other")


def test_half_of_the_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = save_weights(build_model("corrflow_small"), tmp_path / "w.safetensors")
    done = export_weights(whole, tmp_path / "half.safetensors", half=True)
    assert done.path.stat().st_size < 0.55 * whole.stat().st_size
    stored = load_file(done.path)
    assert {value.dtype for value in stored.values()} == {torch.float16, torch.int64}
    loaded = load_model(None, done.path).state_dict()
    for key, value in read_weights(whole).items():
        assert loaded[key].dtype == value.dtype
        torch.testing.assert_close(loaded[key], value, atol=1e-4, rtol=1e-3)


def test_what_half_precision_cannot_hold_is_refused(tmp_path: Path) -> None:
    model = build_model("corrflow_small")
    model.post_convolution.bias.data[3] = 1e6
    whole = save_weights(model, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"w\.safetensors: post_convolution\.bias is beyond half precision"):
        export_weights(whole, tmp_path / "half.safetensors", half=True)
    assert not (tmp_path / "half.safetensors").exists()
