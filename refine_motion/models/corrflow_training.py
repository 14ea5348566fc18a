"""What an encoder's weights tell of their training, so that they are not used for anything else."""

from __future__ import annotations

from pathlib import Path

from refine_motion.errors import ConfigError
from refine_motion.models.weights import locate_weights, read_facts


def check_training(weights: str | Path, inputs: str = "rgb", scaled: bool = True) -> None:
    """Compare how an encoder is to be used with how it was trained, where the weights tell of it.

    Those that a finished training leaves do; official checkpoints, and checkpoints of a training under way, do not.

    Args:
        weights: path or name.
        inputs: what it is shown: rgb, grey or lab.
        scaled: whether similarities are divided by the root of the channels.

    Raises:
        ConfigError: it was trained on another input, or with similarities that were scaled otherwise.
    """
    trained = read_facts(locate_weights(weights)).get("settings", {})
    seen = trained.get("bottleneck", {}).get("inputs", inputs)
    if seen != inputs:
        raise ConfigError(
            f"{weights}: was trained on {seen} input, and {inputs} is asked for; set inputs to {seen} where labels are "
            f"carried, or give weights that were trained on {inputs}"
        )
    if trained.get("attention", {}).get("compat", {}).get("scaled", scaled) != scaled:
        raise ConfigError(
            f"{weights}: was trained with similarities that are {'not ' if scaled else ''}scaled; set compat to "
            f"{'official' if scaled else 'fixed'} where labels are carried, or give weights that were trained otherwise"
        )
