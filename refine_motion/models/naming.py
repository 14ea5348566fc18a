"""Parameter names of the same RAFT networks: ours, those of the official release and torchvision's.

Ours are the official ones, each once. The official residual blocks register the norm of their shortcut twice, as
``norm3`` and as ``downsample.1``, so that ten entries of a RAFT-large checkpoint are copies (179 for 169 tensors);
RAFT-small has no such norm (106 for 106). The names were read off the checkpoints of both projects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

from torch import Tensor


def _torchvision_modules(separable_gru: bool) -> dict[str, str]:
    """Official name of every module whose name torchvision changes, and that name; read in both directions.

    Args:
        separable_gru: True for RAFT-large, whose recurrent unit has two passes; the small one has a single, unnumbered.
    """
    names = {
        "update_block.encoder.convc1": "update_block.motion_encoder.convcorr1.0",
        "update_block.encoder.convc2": "update_block.motion_encoder.convcorr2.0",
        "update_block.encoder.convf1": "update_block.motion_encoder.convflow1.0",
        "update_block.encoder.convf2": "update_block.motion_encoder.convflow2.0",
        "update_block.encoder.conv": "update_block.motion_encoder.conv.0",
        "update_block.mask.0": "mask_predictor.convrelu.0",
        "update_block.mask.2": "mask_predictor.conv",
    }
    for gate, number in product("zrq", ("1", "2") if separable_gru else ("",)):
        names[f"update_block.gru.conv{gate}{number}"] = f"update_block.recurrent_block.convgru{number or 1}.conv{gate}"
    for official, torchvision in (("fnet", "feature_encoder"), ("cnet", "context_encoder")):
        names[f"{official}.conv1"] = f"{torchvision}.convnormrelu.0"
        names[f"{official}.norm1"] = f"{torchvision}.convnormrelu.1"
        names[f"{official}.conv2"] = f"{torchvision}.conv"
        for layer, block in product((1, 2, 3), (0, 1)):
            at = f"layer{layer}.{block}"
            for k in (1, 2, 3):
                names[f"{official}.{at}.conv{k}"] = f"{torchvision}.{at}.convnormrelu{k}.0"
                names[f"{official}.{at}.norm{k}"] = f"{torchvision}.{at}.convnormrelu{k}.1"
            for k in (0, 1):
                names[f"{official}.{at}.downsample.{k}"] = f"{torchvision}.{at}.downsample.{k}"
    return names


def _renamed(state: Mapping[str, Tensor], modules: Mapping[str, str]) -> dict[str, Tensor]:
    """The state with the modules' names replaced; names that are not in the table stay."""
    renamed = {}
    for key, value in state.items():
        module, dot, parameter = key.rpartition(".")
        renamed[f"{modules.get(module, module)}{dot}{parameter}"] = value
    return renamed


def is_torchvision(state: Mapping[str, Tensor]) -> bool:
    """Whether these are torchvision's names of a RAFT network."""
    return any(key.startswith("feature_encoder.") for key in state)


def torchvision_to_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state of ``torchvision.models.optical_flow.raft_large`` or ``raft_small`` under the official names."""
    separable = any(".convgru2." in key for key in state)
    return _renamed(state, {theirs: ours for ours, theirs in _torchvision_modules(separable).items()})


def official_to_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A RAFT state without duplicates under the names of ``torchvision.models.optical_flow``."""
    separable = any(".gru.convz2." in key for key in state)
    return _renamed(state, _torchvision_modules(separable))


def without_duplicates(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state without ``norm3`` entries that repeat ``downsample.1``."""
    return {
        key: value
        for key, value in state.items()
        if not (".norm3." in key and key.replace(".norm3.", ".downsample.1.") in state)
    }


def with_duplicates(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with a copy of every ``downsample.1`` entry as ``norm3``, as the official code wants it."""
    copies = {
        key.replace(".downsample.1.", ".norm3."): value.clone()
        for key, value in state.items()
        if ".downsample.1." in key
    }
    return {**state, **copies}


# From our names of a RAFT network to those of each other code that loads it.
RAFT_NAMINGS: dict[str, Callable[[Mapping[str, Tensor]], dict[str, Tensor]]] = {
    "official": with_duplicates,
    "torchvision": official_to_torchvision,
}
