"""Weights as safetensors under the parameter names that another code wants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from refine_motion.errors import ConfigError
from refine_motion.models.naming import RAFT_NAMINGS
from refine_motion.models.raft import Raft
from refine_motion.models.registry import build_model
from refine_motion.models.weights import (
    check_stride,
    check_weights,
    halved,
    locate_weights,
    read_facts,
    read_weights,
    recognise,
    write_state,
)

OWN = "own"
NAMINGS = (OWN, *RAFT_NAMINGS)


@dataclass(frozen=True)
class Exported:
    """A file that was written and read back.

    Attributes:
        path: the file.
        model: name of the architecture.
        keys: one of :data:`NAMINGS`.
        tensors: how many the file holds.
    """

    path: Path
    model: str
    keys: str
    tensors: int


def export_weights(
    weights: str | Path, out: str | Path, keys: str = OWN, name: str | None = None, half: bool = False
) -> Exported:
    """Write the weights as safetensors, and read the file back strictly.

    Types, shapes and values stay as they are, unless they are to be halved. The header names the model and tells how
    the weights came about.

    Args:
        weights: anything that :func:`~refine_motion.models.weights.read_weights` opens.
        out: ``.safetensors`` file to write; an existing one is replaced.
        keys: ``own``; for RAFT also ``official``, as in the release of the authors, but without the ``module.`` of
            ``DataParallel``, or ``torchvision``.
        name: registered name of the architecture; None recognises our own ones.
        half: write float16, half the size; it loads into the float32 model.

    Raises:
        ConfigError: ``out`` or ``keys`` cannot be.
        WeightsError: the weights cannot be read, are of another architecture, or beyond half precision.
    """
    out = Path(out)
    if out.suffix != ".safetensors":
        raise ConfigError(f"{out}: weights are exported as .safetensors; give a name that ends so")
    if keys not in NAMINGS:
        raise ConfigError(f"no key names are called {keys!r}; known: {', '.join(NAMINGS)}")
    source = locate_weights(weights)
    if out.exists() and out.samefile(source):
        raise ConfigError(f"{out}: is the file to export; give another name")
    state = read_weights(source)
    model = build_model(name if name is not None else recognise(state, weights))
    check_weights(model, state, weights)
    check_stride(model, source)
    if keys != OWN and not isinstance(model, Raft):
        raise ConfigError(f"{keys} key names are known for RAFT only; export {model.name!r} with {OWN} ones")
    if half:
        state = halved(state, source)
    named = state if keys == OWN else RAFT_NAMINGS[keys](state)
    facts = {**read_facts(source), "exported_from": source.name}
    write_state(named, out, {"model": model.name, "stride": model.stride, "keys": keys, "facts": facts})
    check_weights(model, read_weights(out), out)
    return Exported(out, model.name, keys, len(named))
