"""Weight files: official checkpoints, torchvision's, our safetensors and Lightning checkpoints, by path or name.

``embedded`` (optical flow), ``embedded_pips`` (tracks) and ``embedded_corrflow`` (features that carry labels) come with
the package, trained by this project on procedural scenes; their model cards lie beside them."""

from __future__ import annotations

import json
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from refine_motion.errors import WeightsError
from refine_motion.files import replacing
from refine_motion.models.base import MotionModel
from refine_motion.models.naming import is_torchvision, torchvision_to_official, without_duplicates
from refine_motion.models.published import PUBLISHED, fetch
from refine_motion.models.registry import BUILTIN, build_model

FORMAT_VERSION = 1
# Names of the weights that come with the package, and their files.
EMBEDDED = {
    name: Path(__file__).with_name("embedded") / f"{model}.safetensors"
    for name, model in (
        ("embedded", "raft_small"),
        ("embedded_pips", "pips_small"),
        ("embedded_corrflow", "corrflow_small"),
    )
}
# The longer before those they end with: the paper's own script saves a wrapper around DataParallel. Ours is the
# student of a LightningModule.
_PREFIXES = ("model.module.", "module.", "model.", "student.")
_NESTED = ("state_dict", "model_state_dict")


def locate_weights(weights: str | Path) -> Path:
    """The file that a path, the name of embedded or of published weights stands for; an existing file comes first.

    Raises:
        WeightsError: there is no such file and no such name, or the named weights cannot be downloaded or are not in
            this installation.
    """
    path = Path(weights)
    if path.is_file():
        return path
    if str(weights) in EMBEDDED:
        file = EMBEDDED[str(weights)]
        if not file.is_file():
            raise WeightsError(f"{weights}: {file} is missing from this installation; install the package again")
        return file
    if str(weights) in PUBLISHED:
        return fetch(str(weights))
    like_a_name = path.name == str(weights) and not path.suffix
    names = f", or one of {', '.join((*EMBEDDED, *PUBLISHED))}" if like_a_name else ""
    raise WeightsError(f"{weights}: no such weights file; give the path of a checkpoint{names}")


def read_weights(weights: str | Path) -> dict[str, Tensor]:
    """Named tensors of a weights file, prefixes stripped and names brought to the official ones.

    Args:
        weights: path of a ``.safetensors`` file or of anything that ``torch.load(weights_only=True)`` opens;
            or a name in :data:`EMBEDDED` or :data:`refine_motion.models.published.PUBLISHED`.

    Returns:
        Name to tensor, on the CPU.

    Raises:
        WeightsError: the file is missing or cannot be read as weights.
    """
    path = locate_weights(weights)
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
        own = _outline(name)
        if not first_difference(own, state):
            return name
        other = _other_window(own, state)
        # Where what is done to each frame has the same size, the number of frames is what differs.
        width = state.get(_MIXES_CHANNELS)
        if other and width is not None and own[_MIXES_CHANNELS].shape == width.shape:
            raise WeightsError(f"{path}: weights do not fit {name!r}; {other}")
    raise WeightsError(f"{path}: weights of no known model; known models: {', '.join(BUILTIN)}")


@cache
def _outline(name: str) -> dict[str, Tensor]:
    """The tensors of a built-in model without memory for their values: names and shapes are all that is asked for."""
    with torch.device("meta"):
        return build_model(name).state_dict()


def check_weights(model: MotionModel, state: dict[str, Tensor], path: str | Path) -> None:
    """Compare names and shapes with those of the model, strictly.

    Raises:
        WeightsError: names or shapes differ; the message says which model the file belongs to where one fits.
    """
    own = model.state_dict()
    difference = first_difference(own, state)
    if difference:
        try:
            advice = f"they are of {recognise(state, path)!r}, so ask for that model"
        except WeightsError:
            advice = _other_window(own, state) or f"first difference: {difference}"
        raise WeightsError(f"{path}: weights do not fit {model.name!r}; {advice}")


def load_weights(model: MotionModel, state: dict[str, Tensor], path: str | Path) -> None:
    """Fill the model, strictly.

    Raises:
        WeightsError: see :func:`check_weights`.
    """
    check_weights(model, state, path)
    model.load_state_dict(state)


def check_stride(model: MotionModel, path: Path) -> None:
    """Compare the stride that one of our own files names with the model's: names and shapes do not tell it.

    Raises:
        WeightsError: they differ.
    """
    stride = _header(path).get("stride")
    if stride not in (None, model.stride):
        raise WeightsError(
            f"{path}: weights were trained with features at 1/{stride} of the frames' size, and {model.name!r} has "
            f"them at 1/{model.stride}; give weights of stride {model.stride}"
        )


# Where PIPs' weights tell how many frames they look at: the first layer that mixes them.
_MIXES_FRAMES, _MIXES_CHANNELS = (f"delta_block.to_delta.1.{part}.fn.0.weight" for part in (0, 1))


def _other_window(own: dict[str, Tensor], state: dict[str, Tensor]) -> str:
    """What to say where the weights look at another number of frames than the model; empty where they do not."""
    wanted, given = own.get(_MIXES_FRAMES), state.get(_MIXES_FRAMES)
    if wanted is None or given is None or given.ndim != 3 or given.shape[1] == wanted.shape[1]:
        return ""
    return (
        f"they look at windows of {given.shape[1]} frames, and the model at {wanted.shape[1]}; "
        f"give weights trained with S = {wanted.shape[1]}"
    )


def first_difference(own: dict[str, Tensor], state: dict[str, Tensor]) -> str:
    """The first name or shape in which the state differs from the model's own; empty when it fits."""
    for key in sorted({*own, *state}):
        if key not in state:
            return f"{key} is missing"
        if key not in own:
            return f"{key} is unknown"
        if own[key].shape != state[key].shape:
            return f"{key} is {tuple(state[key].shape)}, not {tuple(own[key].shape)}"
    return ""


def save_weights(model: MotionModel, path: str | Path, facts: dict[str, Any] | None = None) -> Path:
    """Write the model as safetensors, names as in the model, with its architecture and facts in the header.

    Args:
        model: any registered model.
        path: file to write, replaced in one step.
        facts: how the weights came about (JSON-compatible).
    """
    return write_state(model.state_dict(), path, {"model": model.name, "stride": model.stride, "facts": facts or {}})


def write_state(state: dict[str, Tensor], path: str | Path, header: dict[str, Any]) -> Path:
    """Write named tensors as safetensors, in the types that they have.

    Args:
        state: name to tensor, on any device.
        path: file to write, replaced in one step.
        header: what the tensors are (JSON-compatible), stored with the version of the format.
    """
    path = Path(path)
    text = json.dumps({"format": FORMAT_VERSION, **header}, sort_keys=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    with replacing(path) as partial:
        # Not safetensors' own writer, whose files only their owner may read.
        partial.write_bytes(save(tensors, metadata={"refine_motion": text}))
    return path


def halved(state: dict[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    """Named tensors in float16; whole numbers stay as they are.

    Args:
        state: name to tensor.
        path: of the file, for the message.

    Raises:
        WeightsError: a value is beyond half precision.
    """
    found = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    unfit = [key for key, value in found.items() if not torch.isfinite(value).all()]
    if unfit:
        raise WeightsError(f"{path}: {unfit[0]} is beyond half precision; keep these weights in full")
    return found


def read_facts(path: Path) -> dict[str, Any]:
    """How the weights in one of our own safetensors files came about; empty for any other file.

    Raises:
        WeightsError: the header is damaged.
    """
    return _header(path).get("facts", {})


def _header(path: Path) -> dict[str, Any]:
    """What one of our own safetensors files says of itself; empty for any other file.

    Raises:
        WeightsError: the header is damaged.
    """
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("refine_motion", "{}")
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error}); copy or download it again") from error
    try:
        header = json.loads(text)
    except ValueError as error:
        raise WeightsError(f"{path}: its header is damaged ({error}); copy or download it again") from error
    if not isinstance(header, dict):
        raise WeightsError(f"{path}: its header is damaged; copy or download it again")
    return header
