"""The label store: one safetensors file per frame pair, checked when opened, with a manifest that can be rebuilt."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from refine_motion.errors import LabelError
from refine_motion.files import replacing
from refine_motion.labels.codec import TENSORS, FlowLabel, decode, encode

SCHEMA_VERSION = 3
_HEADER = "refine_motion"


@dataclass(frozen=True)
class PairKey:
    """Which frames a label belongs to.

    Attributes:
        video: content key of the video.
        frame_a: source frame number.
        frame_b: target frame number.
    """

    video: str
    frame_a: int
    frame_b: int

    @property
    def digest(self) -> str:
        """Name of the label's file, without folders and suffix."""
        return hashlib.sha256(f"{self.video}:{self.frame_a}:{self.frame_b}".encode()).hexdigest()[:32]


class LabelStore:
    """Labels that one teacher made, in ``root/<teacher>/<two hex digits>/<pair>.safetensors``.

    Labels of several teachers or settings live side by side under one root, so that nothing already made is lost when a
    setting changes.

    Args:
        root: folder of the store.
        teacher: fingerprint of the teacher and of every setting that changes its labels.
        settings: the same in readable form, written beside the labels.
    """

    def __init__(self, root: str | Path, teacher: str, settings: dict[str, object] | None = None):
        self.root = Path(root)
        self.teacher = teacher
        self.settings = settings or {}
        self.folder = self.root / teacher

    def path(self, key: PairKey) -> Path:
        """Where the label of a pair is, or will be."""
        return self.folder / key.digest[:2] / f"{key.digest}.safetensors"

    def write(self, key: PairKey, label: FlowLabel) -> int:
        """Store a label in one step (temporary name, then renamed) and return its size in bytes."""
        path = self.path(key)
        tensors, header = encode(label)
        header |= self._identity(key) | {
            **{f"crc32 {name}": _crc32(tensor) for name, tensor in tensors.items()},
            "kept": str(len(label.index)),
            "ceiling": str(self.settings.get("ceiling")),
        }
        with replacing(path) as partial:
            # One entry, because safetensors writes several in a random order and equal labels must be equal files.
            # Not safetensors' own writer, whose files only their owner may read.
            partial.write_bytes(save(tensors, metadata={_HEADER: json.dumps(header, sort_keys=True)}))
        return path.stat().st_size

    def read(self, key: PairKey) -> FlowLabel:
        """The label of a pair; its positions are unpacked when they are first asked for.

        Raises:
            LabelError: it is absent, damaged, or belongs to something else; positions that do not fit raise it later.
        """
        path = self.path(key)
        problem = self.problem(key)
        if problem is not None:
            raise _refusal(path, problem)
        with _refusing_damage(path):
            with safe_open(path, framework="pt") as file:
                tensors, header = {name: file.get_tensor(name) for name in TENSORS}, _header(file)
            for name, tensor in tensors.items():
                if header[f"crc32 {name}"] != _crc32(tensor):
                    raise ValueError(f"{name} has another checksum")
            label = decode(tensors, header)
        return replace(label, positions=partial(_positions, path, label))

    def problem(self, key: PairKey) -> str | None:
        """Why the label of a pair cannot be used, judged by its header alone; None when it can."""
        path = self.path(key)
        if not path.is_file():
            return "absent"
        try:
            with safe_open(path, framework="pt") as file:
                header = _header(file)
        except SafetensorError as error:
            return f"damaged ({error})"
        wrong = [name for name, value in self._identity(key).items() if header.get(name) != value]
        return f"of another {wrong[0]}" if wrong else None

    def missing(self, keys: Iterable[PairKey]) -> list[tuple[PairKey, str]]:
        """The pairs that have no usable label, with the reason."""
        found = ((key, self.problem(key)) for key in keys)
        return [(key, reason) for key, reason in found if reason is not None]

    def _identity(self, key: PairKey) -> dict[str, str]:
        return {
            "schema": str(SCHEMA_VERSION),
            "teacher": self.teacher,
            "video": key.video,
            "frames": f"{key.frame_a},{key.frame_b}",
        }

    def headers(self) -> Iterator[tuple[Path, dict[str, str]]]:
        """Path and header of every readable label of this teacher and schema."""
        for path in sorted(self.folder.glob("??/*.safetensors")):
            try:
                with safe_open(path, framework="pt") as file:
                    header = _header(file)
            except SafetensorError:
                continue  # named when its pair is asked for
            if header.get("schema") == str(SCHEMA_VERSION) and header.get("teacher") == self.teacher:
                yield path, header

    def write_manifest(self) -> Path:
        """(Re)build ``manifest.json`` from the headers: the settings, and for each label its pair, size and bytes."""
        entries = [
            {
                "file": str(path.relative_to(self.folder)),
                "video": header.get("video"),
                "frames": header.get("frames"),
                "size": [int(header["height"]), int(header["width"])],
                "kept": int(header["kept"]),
                "bytes": path.stat().st_size,
            }
            for path, header in self.headers()
        ]
        manifest = self.folder / "manifest.json"
        content = {"schema": SCHEMA_VERSION, "teacher": self.teacher, "settings": self.settings, "labels": entries}
        with replacing(manifest) as partial:
            partial.write_text(json.dumps(content, indent=1))
        return manifest


def _refusal(path: Path, problem: str) -> LabelError:
    return LabelError(f"{path}: label {problem}; run the command again, it makes just what is missing")


@contextmanager
def _refusing_damage(path: Path) -> Iterator[None]:
    """Make a :class:`LabelError` of what cannot be decoded, and remove the file.

    Its header looks right, so nothing but its absence would have it made again.
    """
    try:
        yield
    except (SafetensorError, KeyError, ValueError, zlib.error) as error:
        path.unlink(missing_ok=True)
        raise _refusal(path, f"damaged ({error})") from error


def _positions(path: Path, label: FlowLabel) -> Tensor:
    with _refusing_damage(path):
        return label.index


def _crc32(tensor: Tensor) -> str:
    return f"{zlib.crc32(tensor.numpy().tobytes()):08x}"


def _header(file: Any) -> dict[str, str]:
    """What :meth:`LabelStore.write` noted in an open file; empty where it is not one of ours."""
    try:
        header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
    except json.JSONDecodeError:
        return {}
    return header if isinstance(header, dict) else {}
