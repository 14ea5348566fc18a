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


def worth_and_errors(run: Path, weights: str | Path, error: Callable[[Any], float]) -> dict[str, tuple[float, float]]:
    """What the choice compares, and the true error, of the original and of all candidates by their names.

    Args:
        run: folder of a finished run.
        weights: the original.
        error: true error of a model.
    """
    worth = json.loads((run / "result.json").read_text())["candidates"]
    model = load_model(None, weights)
    original = {name: value.clone() for name, value in model.state_dict().items()}
    found = {"original": (0.0, error(model))}
    for name, state in candidates(run, original).items():
        if worth[name] is not None:
            model.load_state_dict(dict(state))
            found[name] = (worth[name], error(model))
    return found


def rank_correlation(found: dict[str, tuple[float, float]]) -> float:
    """Spearman's correlation between what the choice compares and true error; 1 where they rank alike.

    Args:
        found: of :func:`worth_and_errors`.
    """
    worth, errors = (np.array(column) for column in zip(*found.values(), strict=True))
    return spearman(worth, -errors)


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of ranks; ties, which real errors do not have, are ranked as they come."""
    ranks = [values.argsort().argsort() for values in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])
