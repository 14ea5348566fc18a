"""A trained model by name and weights file."""

from __future__ import annotations

from pathlib import Path

from refine_motion.errors import ConfigError
from refine_motion.models.base import FlowModel, MotionModel
from refine_motion.models.linked_flow import LinkedFlow
from refine_motion.models.published import PUBLISHED
from refine_motion.models.registry import as_flow_model, build_model
from refine_motion.models.track_base import TrackModel
from refine_motion.models.weights import EMBEDDED, check_stride, load_weights, locate_weights, read_weights, recognise


def load_model(name: str | None = None, weights: str | Path | None = None) -> MotionModel:
    """A trained model in eval mode on the CPU.

    Args:
        name: a registered name; None recognises one of our own architectures from the weights file.
        weights: path of an official checkpoint, a torchvision one, or one of our own safetensors or Lightning files;
            ``embedded``, ``embedded_pips`` or ``embedded_corrflow``, the small models of flow, of tracks and of
            features that come with the package; or a published name, e.g. ``raft_large_C_T_V1``, downloaded once
            (:mod:`refine_motion.models.published`).

    Raises:
        ConfigError: the name is unknown or no weights are given.
        WeightsError: the file is missing, unreadable, of another architecture, or cannot be downloaded.
    """
    if weights is None:
        raise ConfigError(
            "no weights given: pass the path of a checkpoint as `weights` (model.weights, --weights), "
            f"{' or '.join(map(repr, EMBEDDED))} for those that come with the package, or a published name: "
            f"{', '.join(PUBLISHED)}"
        )
    state = read_weights(weights)
    model = build_model(name if name is not None else recognise(state, weights))
    load_weights(model, state, weights)
    check_stride(model, locate_weights(weights))
    return model.eval()


def load_flow_model(name: str | None = None, weights: str | Path | None = None) -> FlowModel:
    """As :func:`load_model`, a model of optical flow.

    Raises:
        ConfigError: see :func:`load_model`; or the model is of another kind.
        WeightsError: see :func:`load_model`.
    """
    return as_flow_model(load_model(name, weights))


def load_track_model(name: str | None = None, weights: str | Path | None = None) -> TrackModel:
    """As :func:`load_model`, a model that tracks points; one of optical flow is linked over time to do so.

    Raises:
        ConfigError: see :func:`load_model`; or the model tells neither tracks nor flow.
        WeightsError: see :func:`load_model`.
    """
    model = load_model(name, weights)
    if isinstance(model, TrackModel):
        return model
    if not isinstance(model, FlowModel):
        raise ConfigError(
            f"{model.name!r} carries labels (`refine-motion propagate`); to track points give a model of tracks or of "
            "optical flow, e.g. 'pips_small' or 'raft_small'"
        )
    return LinkedFlow(model).eval()
