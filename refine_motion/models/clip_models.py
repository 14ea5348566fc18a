"""Models of clips by name, and their weights.

They tell what is done in a clip and not what moves where, so they are no
:class:`~refine_motion.models.base.MotionModel` and have a register of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from refine_motion.errors import ConfigError, WeightsError
from refine_motion.models.r2plus1d import RGB, SMALL, TINY, R2Plus1D
from refine_motion.models.weights import first_difference, read_weights

CLIP_MODELS: dict[str, Callable[..., R2Plus1D]] = {
    "r2plus1d_18": R2Plus1D,
    # Layers as the paper counts them: two a block, the stem and the head.
    "r2plus1d_10_small": partial(R2Plus1D, widths=SMALL, blocks=1),
    "r2plus1d_10_tiny": partial(R2Plus1D, widths=TINY, blocks=1),
}
_STEM, _HEAD = "stem.0.weight", ("fc.weight", "fc.bias")


def build_clip_model(name: str, in_channels: int, classes: int, flow_limit: float = 20.0) -> R2Plus1D:
    """A model of clips with its initial, untrained weights.

    Args:
        name: one of :data:`CLIP_MODELS`.
        in_channels: 3 for RGB, 2 for optical flow.
        classes: how many are told apart, at least 2.
        flow_limit: pixels; see :class:`R2Plus1D`.

    Raises:
        ConfigError: there is no such model, or a value cannot work.
    """
    # As :func:`refine_motion.models.registry.build_model` does, and for its reason.
    torch.set_flush_denormal(True)
    if name not in CLIP_MODELS:
        raise ConfigError(f"no model of clips is called {name!r}; known ones: {', '.join(CLIP_MODELS)}")
    if classes < 2:
        raise ConfigError(f"classes must be at least 2, got {classes}")
    if not flow_limit > 0:
        raise ConfigError(f"flow_limit must be more than 0 pixels, got {flow_limit}")
    return CLIP_MODELS[name](name, in_channels=in_channels, classes=classes, flow_limit=flow_limit)


def load_clip_weights(model: R2Plus1D, weights: str | Path, head: bool = True) -> None:
    """Fill the model from a file, strictly.

    Args:
        model: of the size and input that the weights are of.
        weights: a checkpoint of torchvision's ``r2plus1d_18``, of this project, or any other with those names.
        head: with the last layer; without it, that of the model stays as it is, for other classes.

    Raises:
        WeightsError: the file is missing or unreadable, or names or shapes differ.
    """
    state = read_weights(weights)
    kept = {key: value for key, value in model.state_dict().items() if key in _HEAD}
    given = state if head else {**state, **kept}
    difference = first_difference(model.state_dict(), given)
    if difference:
        raise WeightsError(f"{weights}: weights do not fit {model.name!r}; {_reason(model, given) or difference}")
    model.load_state_dict(given)


def _reason(model: nn.Module, state: dict[str, torch.Tensor]) -> str:
    """What differs and what to do where the kind of input or the classes do; empty elsewhere."""
    own = model.state_dict()
    if not all(key in state and state[key].ndim == own[key].ndim for key in (_STEM, *_HEAD)):
        return ""
    channels, wanted = state[_STEM].shape[1], own[_STEM].shape[1]
    if channels != wanted:
        kinds = [f"{count} channels ({'RGB' if count == RGB else 'flow'})" for count in (channels, wanted)]
        return f"their first layer takes {kinds[0]}, and the model {kinds[1]}; give weights trained on the same input"
    classes, asked = len(state["fc.bias"]), len(own["fc.bias"])
    if classes != asked and state["fc.weight"].shape[1] == own["fc.weight"].shape[1]:
        return f"they tell {classes} classes apart, and the model {asked}; load them without their head"
    return ""
