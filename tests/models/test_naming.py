from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from refine_motion.models.naming import (
    official_to_torchvision,
    torchvision_to_official,
    with_duplicates,
    without_duplicates,
)
from refine_motion.models.registry import build_model


def key_list(file: Path) -> dict[str, str]:
    """Key to the second column: its shape, or its other name."""
    return dict(line.split("\t")[:2] for line in file.read_text().splitlines())


def shapes(state: dict[str, Tensor]) -> dict[str, str]:
    return {key: str(tuple(value.shape)) for key, value in state.items()}


@pytest.mark.parametrize(("name", "parameters"), [("raft_small", 990_162), ("raft_large", 5_257_536)])
def test_parameter_counts(name: str, parameters: int) -> None:
    assert sum(p.numel() for p in build_model(name).parameters()) == parameters


@pytest.mark.parametrize(("name", "count"), [("raft_small", 106), ("raft_large", 179)])
def test_official_keys_and_shapes_equal_the_list(shared: Path, name: str, count: int) -> None:
    official = with_duplicates(build_model(name).state_dict())
    assert len(official) == count
    assert shapes(official) == key_list(shared / "spec" / "keys" / f"{name}.txt")


def test_torchvision_keys_and_shapes_of_large_equal_the_list(shared: Path) -> None:
    torchvision = official_to_torchvision(build_model("raft_large").state_dict())
    assert len(torchvision) == 169
    assert shapes(torchvision) == key_list(shared / "spec" / "keys" / "torchvision_raft_large.txt")


def test_every_pair_of_names_of_large_equals_the_map(shared: Path) -> None:
    wanted = key_list(shared / "spec" / "keys" / "raft_to_torchvision.tsv")
    state = build_model("raft_large").state_dict()
    assert list(official_to_torchvision(state)) == [wanted[key] for key in state]


def test_torchvision_names_of_small() -> None:
    # As in torchvision's raft_small, of which the key lists hold none: a single recurrent pass, a third convolution in
    # each block, one correlation convolution and no mask.
    keys = set(official_to_torchvision(build_model("raft_small").state_dict()))
    assert len(keys) == 106
    assert {
        "context_encoder.layer2.0.convnormrelu3.0.bias",
        "feature_encoder.layer3.0.downsample.0.weight",
        "update_block.motion_encoder.convcorr1.0.weight",
        "update_block.recurrent_block.convgru1.convq.weight",
        "update_block.flow_head.conv2.bias",
    } <= keys
    assert not any("convgru2" in key or "mask" in key for key in keys)


@pytest.mark.parametrize("name", ["raft_small", "raft_large"])
def test_each_way_undoes_the_other(name: str) -> None:
    state = build_model(name).state_dict()
    for there, back in ((official_to_torchvision, torchvision_to_official), (with_duplicates, without_duplicates)):
        again = back(there(state))
        assert again.keys() == state.keys()
        assert all(again[key] is state[key] for key in state)


def test_copies_share_no_memory() -> None:
    state = with_duplicates({"cnet.layer2.0.downsample.1.weight": torch.ones(2)})
    state["cnet.layer2.0.norm3.weight"].zero_()
    assert state["cnet.layer2.0.downsample.1.weight"].tolist() == [1, 1]


def test_unknown_names_stay() -> None:
    state = {"step": torch.ones(1), "update_block.more.weight": torch.ones(1)}
    assert official_to_torchvision(state) == state
