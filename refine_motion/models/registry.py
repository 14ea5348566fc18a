"""Models by name: our own, and those that third parties register through entry points."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

import torch

from refine_motion.errors import ConfigError
from refine_motion.models.base import FlowModel, MotionModel
from refine_motion.models.corrflow import CorrFlow, corrflow, corrflow_small
from refine_motion.models.pips import pips, pips_small
from refine_motion.models.raft import raft_large, raft_small

ENTRY_POINT_GROUP = "refine_motion.models"

BUILTIN: dict[str, Callable[[], MotionModel]] = {
    "raft_small": raft_small,
    "raft_large": raft_large,
    "pips": pips,
    "pips_small": pips_small,
    "corrflow": corrflow,
    "corrflow_small": corrflow_small,
}


def build_model(name: str) -> MotionModel:
    """A model with its initial, untrained weights.

    Args:
        name: one of :data:`BUILTIN`, or the name of an entry point in the group ``refine_motion.models`` that is a
            function without arguments returning a :class:`MotionModel`.

    Raises:
        ConfigError: nothing is registered under the name; the message lists what is.
    """
    # A convolution of denormal numbers takes a CPU more than a hundred times as long (`make bench`), and weights or
    # training can bring a recurrent unit there. It stands here too, besides the command line, because every use from
    # Python comes through here.
    torch.set_flush_denormal(True)
    if name in BUILTIN:
        return BUILTIN[name]()
    others = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in others:
        raise ConfigError(f"no model is called {name!r}; known models: {', '.join(sorted({*BUILTIN, *others}))}")
    return others[name].load()()


def build_flow_model(name: str) -> FlowModel:
    """As :func:`build_model`, a model of optical flow.

    Raises:
        ConfigError: see :func:`build_model`; or the model is of another kind.
    """
    return as_flow_model(build_model(name))


def as_flow_model(model: MotionModel) -> FlowModel:
    """The same model.

    Raises:
        ConfigError: it is no model of optical flow.
    """
    if not isinstance(model, FlowModel):
        does = "compares frames by features" if isinstance(model, CorrFlow) else "tracks points"
        raise ConfigError(f"{model.name!r} {does}, and a model of optical flow is needed here, e.g. 'raft_small'")
    return model


def as_corrflow(model: MotionModel) -> CorrFlow:
    """The same model.

    Raises:
        ConfigError: it is no encoder of CorrFlow.
    """
    if not isinstance(model, CorrFlow):
        raise ConfigError(f"{model.name!r} is no encoder of CorrFlow; take 'corrflow' or 'corrflow_small'")
    return model
