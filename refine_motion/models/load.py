"""A trained model by name and weights file."""

from __future__ import annotations

from pathlib import Path

from refine_motion.errors import ConfigError
from refine_motion.models.base import FlowModel
from refine_motion.models.published import PUBLISHED
from refine_motion.models.registry import build_model
from refine_motion.models.weights import EMBEDDED, load_weights, read_weights, recognise


def load_model(name: str | None = None, weights: str | Path | None = None) -> FlowModel:
    """A trained model in eval mode on the CPU.

    Args:
        name: a registered name; None recognises one of our own architectures from the weights file.
        weights: path of an official checkpoint, a torchvision one, or one of our own safetensors or Lightning files;
            ``embedded``, the small model that comes with the package; or a published name, e.g. ``raft_large_C_T_V1``,
            downloaded once (:mod:`refine_motion.models.published`).

    Raises:
        ConfigError: the name is unknown or no weights are given.
        WeightsError: the file is missing, unreadable, of another architecture, or cannot be downloaded.
    """
    if weights is None:
        raise ConfigError(
            "no weights given: pass the path of a checkpoint as `weights` (model.weights, --weights), "
            f"{EMBEDDED!r} for those that come with the package, or a published name: {', '.join(PUBLISHED)}"
        )
    state = read_weights(weights)
    model = build_model(name if name is not None else recognise(state, weights))
    load_weights(model, state, weights)
    return model.eval()
