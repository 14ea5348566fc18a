"""Weights by name: what others have published, downloaded once and verified.

The names are torchvision's, the builder's and the member's joined: ``raft_large_C_T_V1`` is
``torchvision.models.optical_flow.Raft_Large_Weights.C_T_V1``. The letters are the training data in order: C
FlyingChairs, T FlyingThings3D, SKHT Sintel with KITTI, HD1K and FlyingThings3D, K KITTI. V1 are the weights that the
authors of RAFT released, V2 were trained by torchvision.

Files lie in the folder named by the environment variable ``REFINE_MOTION_CACHE``, else in that of torch.hub
(``torch.hub.get_dir()/checkpoints``), where torchvision looks for the same files under the same names.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import torch

from refine_motion.errors import WeightsError


@dataclass(frozen=True)
class Published:
    """One file of weights that anyone may download.

    Attributes:
        model: name of the architecture in the registry.
        url: address of the file.
        sha256: first digits of its SHA-256.
        origin: training data and who trained it.
        licence: of the project that publishes it; the terms of the training data come on top.
    """

    model: str
    url: str
    sha256: str
    origin: str
    licence: str


def _torchvision(file: str, training: str) -> tuple[str, Published]:
    """Name and entry of one of torchvision's files, whose names hold the architecture and the checksum."""
    name, sha256 = file.removesuffix(".pth").split("-")
    source = "the authors' release" if name.endswith("V1") else "trained by torchvision"
    return name, Published(
        model="_".join(name.split("_")[:2]),
        url=f"https://download.pytorch.org/models/{file}",
        sha256=sha256,
        origin=f"{training}; {source}",
        licence="BSD-3-Clause",
    )


_C_T = "FlyingChairs, FlyingThings3D"
_SKHT = f"{_C_T}, then Sintel, KITTI, HD1K, FlyingThings3D"
_PATIENCE_SECONDS = 60
_K = f"{_SKHT}, then KITTI"

# Source: torchvision/models/optical_flow/raft.py in github.com/pytorch/vision.
PUBLISHED: dict[str, Published] = dict(
    [
        _torchvision("raft_large_C_T_V1-22a6c225.pth", _C_T),
        _torchvision("raft_large_C_T_V2-1bb1363a.pth", _C_T),
        _torchvision("raft_large_C_T_SKHT_V1-0b8c9e55.pth", _SKHT),
        _torchvision("raft_large_C_T_SKHT_V2-ff5fadd5.pth", _SKHT),
        _torchvision("raft_large_C_T_SKHT_K_V1-4a6a5039.pth", _K),
        _torchvision("raft_large_C_T_SKHT_K_V2-b5c70766.pth", _K),
        _torchvision("raft_small_C_T_V1-ad48884c.pth", _C_T),
        _torchvision("raft_small_C_T_V2-01064c6d.pth", _C_T),
    ]
)


def cache_folder() -> Path:
    """Where downloaded weights lie; see the module's text."""
    own = os.environ.get("REFINE_MOTION_CACHE")
    return Path(own).expanduser() if own else Path(torch.hub.get_dir()) / "checkpoints"


def fetch(name: str) -> Path:
    """The file of published weights, downloaded unless the cache holds it undamaged.

    Several processes may call this at once: each writes under a temporary name and renames the verified file.

    Args:
        name: a key of :data:`PUBLISHED`.

    Raises:
        WeightsError: the file cannot be downloaded, or not with the right checksum; the message says where to put it
            by hand.
    """
    entry = PUBLISHED[name]
    path = cache_folder() / entry.url.rpartition("/")[2]
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest().startswith(entry.sha256):
        return path
    print(f"{name} ({entry.model}; {entry.origin}; {entry.licence}): {entry.url} to {path}", file=sys.stderr)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The library sets no limit of its own, and a network that drops packets in silence would be waited for. The
        # limit is the process's, so it is set once and left: threads that each put it back would undo one another.
        if socket.getdefaulttimeout() is None:
            socket.setdefaulttimeout(_PATIENCE_SECONDS)
        torch.hub.download_url_to_file(entry.url, str(path), hash_prefix=entry.sha256)
    # A wrong checksum is the RuntimeError.
    except (OSError, HTTPException, RuntimeError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise WeightsError(
            f"{name}: no download ({reason}); get {entry.url} on another machine and put it at {path} "
            f"(its SHA-256 begins with {entry.sha256})"
        ) from error
    return path
