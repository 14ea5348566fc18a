"""Whether the label-free score ranks candidates as the truth does: Spearman's rank correlation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from refine_motion.models.load import load_model
from refine_motion.models.weights import read_weights
from refine_motion.refine.candidates import State, mixture


def candidates(run: Path, original: State) -> dict[str, State]:
    """The weights of every candidate of a finished run, under the names in its ``result.json``."""
    found: dict[str, State] = {}
    for name in json.loads((run / "result.json").read_text())["candidates"]:
        mixed = re.fullmatch(r"(\d+)% of (.+)", name)
        base = mixed[2] if mixed else name
        file = {"last": "student.safetensors", "ema": "ema.safetensors"}.get(base)
        path = run / (file or f"snapshots/step_{int(base.removeprefix('step ')):06d}.safetensors")
        state = read_weights(path)
        found[name] = mixture(original, state, int(mixed[1]) / 100) if mixed else state
    return found


def rank_correlation(run: Path, weights: str | Path, error: Callable[[Any], float]) -> float:
    """Spearman's correlation between estimated gain and true error, over all candidates and the original.

    Args:
        run: folder of a finished run.
        weights: the original.
        error: true error of a model.

    Returns:
        1 where the score ranks them as the truth does.
    """
    gains = json.loads((run / "result.json").read_text())["candidates"]
    model = load_model(None, weights)
    original = {name: value.clone() for name, value in model.state_dict().items()}
    estimated, true = [0.0], [error(model)]
    for name, state in candidates(run, original).items():
        if gains[name] is not None:
            model.load_state_dict(dict(state))
            estimated.append(gains[name])
            true.append(error(model))
    return spearman(np.array(estimated), -np.array(true))


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of ranks; ties, which real errors do not have, are ranked as they come."""
    ranks = [values.argsort().argsort() for values in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])
