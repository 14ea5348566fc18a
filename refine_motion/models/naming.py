"""Parameter names of the same RAFT networks in the official and the torchvision checkpoints."""

from __future__ import annotations

import re

from torch import Tensor

_TORCHVISION_TO_OFFICIAL = [
    (r"^feature_encoder\.", "fnet."),
    (r"^context_encoder\.", "cnet."),
    (r"^(fnet|cnet)\.convnormrelu\.0\.", r"\1.conv1."),
    (r"^(fnet|cnet)\.convnormrelu\.1\.", r"\1.norm1."),
    (r"^(fnet|cnet)\.conv\.", r"\1.conv2."),
    (r"\.convnormrelu([123])\.0\.", r".conv\1."),
    (r"\.convnormrelu([123])\.1\.", r".norm\1."),
    (r"^update_block\.motion_encoder\.convcorr([12])\.0\.", r"update_block.encoder.convc\1."),
    (r"^update_block\.motion_encoder\.convflow([12])\.0\.", r"update_block.encoder.convf\1."),
    (r"^update_block\.motion_encoder\.conv\.0\.", "update_block.encoder.conv."),
    (r"^mask_predictor\.convrelu\.0\.", "update_block.mask.0."),
    (r"^mask_predictor\.conv\.", "update_block.mask.2."),
]


def is_torchvision(keys: set[str]) -> bool:
    """Whether these are torchvision's names of a RAFT network."""
    return any(key.startswith("feature_encoder.") for key in keys)


def torchvision_to_official(key: str, separable_gru: bool) -> str:
    """The official name of one torchvision parameter.

    Args:
        key: name in ``torchvision.models.optical_flow.raft_*``.
        separable_gru: True for RAFT-large, whose recurrent unit has two passes; the small one has a single, unnumbered.
    """
    for pattern, replacement in _TORCHVISION_TO_OFFICIAL:
        key = re.sub(pattern, replacement, key)
    gate = r"\2\1" if separable_gru else r"\2"
    return re.sub(r"^update_block\.recurrent_block\.convgru([12])\.(conv[zrq])", rf"update_block.gru.{gate}", key)


def without_duplicates(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state without ``norm3`` entries that repeat ``downsample.1`` (official residual blocks register it twice)."""
    return {
        key: value
        for key, value in state.items()
        if not (".norm3." in key and key.replace(".norm3.", ".downsample.1.") in state)
    }
