from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from refine_motion.errors import ConfigError, WeightsError
from refine_motion.models.load import load_model
from refine_motion.models.registry import build_model
from refine_motion.models.weights import read_weights, save_weights


def to_torchvision_keys(shared: Path) -> dict[str, str]:
    rows = (shared / "spec" / "keys" / "raft_to_torchvision.tsv").read_text().splitlines()
    return dict(row.split("\t")[:2] for row in rows if "\t" in row)


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("prefix", ["", "module.", "model.module.", "student."])
@pytest.mark.parametrize("nested", [None, "state_dict", "model_state_dict"])
def test_official_prefixes_and_nesting(tmp_path: Path, prefix: str, nested: str | None) -> None:
    model = build_model("raft_small")
    state = {prefix + k: v for k, v in model.state_dict().items()}
    torch.save(state if nested is None else {nested: state, "epoch": 3}, tmp_path / "w.pth")
    assert equal(load_model("raft_small", tmp_path / "w.pth").state_dict(), model.state_dict())


def test_duplicate_norm_of_official_large_checkpoints(tmp_path: Path, shared: Path) -> None:
    keys = [line.split("\t")[0] for line in (shared / "spec" / "keys" / "raft_large.txt").read_text().splitlines()]
    model = build_model("raft_large")
    own = model.state_dict()
    official = {f"module.{k}": own[k.replace(".norm3.", ".downsample.1.")].clone() for k in keys}
    assert len(official) == 179
    torch.save(official, tmp_path / "raft-things.pth")
    assert equal(load_model("raft_large", tmp_path / "raft-things.pth").state_dict(), own)


def test_torchvision_names_of_large(tmp_path: Path, shared: Path) -> None:
    table = to_torchvision_keys(shared)
    model = build_model("raft_large")
    state = {table[k]: v for k, v in model.state_dict().items()}
    assert len(state) == 169
    torch.save(state, tmp_path / "tv.pth")
    assert equal(load_model("raft_large", tmp_path / "tv.pth").state_dict(), model.state_dict())


def test_own_safetensors_round_trip_and_recognition(tmp_path: Path) -> None:
    model = build_model("raft_small")
    save_weights(model, tmp_path / "deep" / "w.safetensors", {"steps": 3})
    loaded = load_model(None, tmp_path / "deep" / "w.safetensors")
    assert loaded.name == "raft_small"
    assert not loaded.training
    assert equal(loaded.state_dict(), model.state_dict())
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["w.safetensors"]


def test_official_release_file_is_recognised(real_data: Path) -> None:
    assert load_model(None, real_data / "weights" / "raft-small.pth").name == "raft_small"


def test_other_architecture_is_named(tmp_path: Path) -> None:
    torch.save(build_model("raft_small").state_dict(), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth.*'raft_small'"):
        load_model("raft_large", tmp_path / "w.pth")


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such"):
        read_weights(tmp_path / "absent.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(WeightsError, match=r"text\.pth"):
        read_weights(tmp_path / "text.pth")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(WeightsError, match=r"text\.safetensors"):
        read_weights(tmp_path / "text.safetensors")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="no named tensors"):
        read_weights(tmp_path / "list.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="no known model"):
        load_model(None, tmp_path / "other.pth")


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (mark,)

    torch.save({"state_dict": {"a": torch.zeros(1)}, "more": Payload()}, tmp_path / "evil.ckpt")
    with pytest.raises(WeightsError, match=r"evil\.ckpt: not a checkpoint that opens safely"):
        read_weights(tmp_path / "evil.ckpt")
    assert not mark.exists()


def test_missing_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="raft_small"):
        build_model("raft_tiny")
    with pytest.raises(ConfigError, match=r"weights.*raft_large_C_T_V1"):
        load_model("raft_small")


def test_unknown_names_list_the_published_ones(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"raft_large_C_T: no such weights file.*raft_large_C_T_V1.*raft_small"):
        read_weights("raft_large_C_T")
    for path in (tmp_path / "raft_large_C_T", "absent.pth"):
        with pytest.raises(WeightsError, match=r"no such weights file; give the path of a checkpoint$"):
            read_weights(path)
