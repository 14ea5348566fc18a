"""The matcher that goes with a model."""

from __future__ import annotations

from pathlib import Path

import torch

from refine_motion.errors import ConfigError
from refine_motion.models.base import FlowModel, MotionModel
from refine_motion.models.corrflow import CorrFlow
from refine_motion.models.corrflow_training import check_training
from refine_motion.models.load import load_model
from refine_motion.models.track_base import TrackModel
from refine_motion.motion.propagate import Matcher
from refine_motion.propagation.embedding import EmbeddingMatcher
from refine_motion.propagation.flow import FlowMatcher
from refine_motion.propagation.settings import PropagationSettings
from refine_motion.propagation.tracks import TrackMatcher

_DEFAULTS = PropagationSettings()
# Settings of each kind of model.
_FLOW, _TRACKS = frozenset({"iters"}), frozenset({"spacing", "neighbours"})
_ENCODER = frozenset(vars(_DEFAULTS)) - _FLOW - _TRACKS


def matcher_for(model: MotionModel, settings: PropagationSettings = _DEFAULTS) -> Matcher:
    """What carries labels by a model: features, flow or tracks, as its kind has it.

    Args:
        model: in eval mode, on the device where it is to work.
        settings: those of other kinds of models must be left as they are.

    Raises:
        ConfigError: the model is of no such kind, or a setting has no part in it.
    """
    if isinstance(model, CorrFlow):
        _check(model, settings, _ENCODER, "an encoder whose features are compared")
        return EmbeddingMatcher(model, settings)
    if isinstance(model, FlowModel):
        _check(model, settings, _FLOW, "a model of optical flow")
        return FlowMatcher(model, settings)
    if isinstance(model, TrackModel):
        _check(model, settings, _TRACKS, "a model of tracks")
        return TrackMatcher(model, settings)
    raise ConfigError(f"{model.name!r} carries no labels; take one of features, flow or tracks, e.g. 'corrflow_small'")


def load_matcher(network: str | None, weights: str | Path | None, settings: PropagationSettings = _DEFAULTS) -> Matcher:
    """What carries labels by trained weights, on the GPU where there is one.

    Args:
        network: registered model name; None recognises it from the weights.
        weights: path or name.
        settings: see :func:`matcher_for`.

    Raises:
        ConfigError: see :func:`matcher_for`; or the weights tell that they were trained on another input, or with
            similarities that were scaled otherwise.
        WeightsError: the weights are missing, unreadable or of another architecture.
    """
    model = load_model(network, weights)
    if isinstance(model, CorrFlow) and weights is not None:
        check_training(weights, settings.inputs, settings.attention().compat.scaled)
    if torch.cuda.is_available():
        model.cuda()
    return matcher_for(model, settings)


def _check(model: MotionModel, settings: PropagationSettings, own: frozenset[str], kind: str) -> None:
    for name, value in vars(settings).items():
        if name not in own and value != getattr(_DEFAULTS, name):
            raise ConfigError(f"{name} {value}: {model.name!r} is {kind}, which has no such setting; leave it out")
