"""Weight files: official checkpoints, torchvision's names, our safetensors and Lightning checkpoints, by path."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from refine_motion.errors import WeightsError
from refine_motion.files import replacing
from refine_motion.models.base import FlowModel
from refine_motion.models.naming import is_torchvision, torchvision_to_official, without_duplicates
from refine_motion.models.registry import BUILTIN, build_model

FORMAT_VERSION = 1
# The longer before those they end with: the paper's own script saves a wrapper around DataParallel. Ours is the
# student of a LightningModule.
_PREFIXES = ("model.module.", "module.", "model.", "student.")
_NESTED = ("state_dict", "model_state_dict")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Named tensors of a weights file, prefixes stripped and names brought to the official ones.

    Args:
        path: ``.safetensors``, or anything that ``torch.load(weights_only=True)`` opens.

    Returns:
        Name to tensor, on the CPU.

    Raises:
        WeightsError: the file is missing or cannot be read as weights.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file; give the path of a checkpoint")
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for prefix in _PREFIXES:
        ours = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if ours:
            state = ours
            break
    if is_torchvision(state):
        state = torchvision_to_official(state)
    return without_duplicates(state)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error}); copy or download it again") from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    # What the unpickler raises on bytes that are no pickle depends on those bytes.
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, OSError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise WeightsError(
            f"{path}: not a checkpoint that opens safely ({reason}); give one that holds tensors only"
        ) from error
    for name in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    state = {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, dict) else {}
    if not state:
        raise WeightsError(f"{path}: holds no named tensors; give a checkpoint with a state dict")
    return state


def recognise(state: dict[str, Tensor], path: str | Path) -> str:
    """The built-in model whose parameter names and shapes these are; third parties' models must be asked for by name.

    Raises:
        WeightsError: no built-in model fits.
    """
    for name in BUILTIN:
        if not _difference(build_model(name), state):
            return name
    raise WeightsError(f"{path}: weights of no known model; known models: {', '.join(BUILTIN)}")


def load_weights(model: FlowModel, state: dict[str, Tensor], path: str | Path) -> None:
    """Fill the model, strictly.

    Raises:
        WeightsError: names or shapes differ; the message says which model the file belongs to where one fits.
    """
    difference = _difference(model, state)
    if difference:
        try:
            advice = f"they are of {recognise(state, path)!r}, so ask for that model"
        except WeightsError:
            advice = f"first difference: {difference}"
        raise WeightsError(f"{path}: weights do not fit {model.name!r}; {advice}")
    model.load_state_dict(state)


def _difference(model: FlowModel, state: dict[str, Tensor]) -> str:
    """The first name or shape in which the state differs from what the model wants; empty when it fits."""
    own = model.state_dict()
    for key in sorted({*own, *state}):
        if key not in state:
            return f"{key} is missing"
        if key not in own:
            return f"{key} is unknown"
        if own[key].shape != state[key].shape:
            return f"{key} is {tuple(state[key].shape)}, not {tuple(own[key].shape)}"
    return ""


def save_weights(model: FlowModel, path: str | Path, facts: dict[str, Any] | None = None) -> Path:
    """Write the model as safetensors, names as in the model, with its architecture and facts in the header.

    Args:
        model: any registered model.
        path: file to write, replaced in one step.
        facts: how the weights came about (JSON-compatible).
    """
    path = Path(path)
    header = {"format": FORMAT_VERSION, "model": model.name, "facts": facts or {}}
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    with replacing(path) as partial:
        # Not safetensors' own writer, whose files only their owner may read.
        partial.write_bytes(save(tensors, metadata={"refine_motion": json.dumps(header, sort_keys=True)}))
    return path
