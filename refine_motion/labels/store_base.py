"""What label stores share: a safetensors file per label, checked when opened; a manifest that can be rebuilt."""

from __future__ import annotations

import hashlib
import json
import zlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from refine_motion.errors import LabelError
from refine_motion.files import replacing

_HEADER = "refine_motion"


class FrameKey(Protocol):
    """Which frames of which video a label belongs to."""

    @property
    def video(self) -> str:
        """Content key of the video."""
        ...

    @property
    def frames(self) -> tuple[int, ...]:
        """Their numbers."""
        ...

    @property
    def digest(self) -> str:
        """Name of the label's file, without folders and suffix; see :func:`digest_of`."""
        ...


def digest_of(key: FrameKey, more: str = "") -> str:
    """32 hex digits that name some frames of a video, and what else a label is told apart by."""
    parts = [key.video, *map(str, key.frames), *([more] if more else [])]
    return hashlib.sha256(":".join(parts).encode()).hexdigest()[:32]


Key = TypeVar("Key", bound=FrameKey)
Kind = TypeVar("Kind")


class SafetensorStore(Generic[Key, Kind]):
    """Labels that one teacher made, in ``root/<teacher>/<two hex digits>/<digest>.safetensors``.

    Labels of several teachers or settings live side by side under one root, so that nothing already made is lost when a
    setting changes.

    Args:
        root: folder of the store.
        teacher: fingerprint of the teacher and of every setting that changes its labels.
        settings: the same in readable form, written beside the labels.

    Attributes:
        schema: version of what is stored and how.
        tensors: names of what a stored label consists of.
        optional: names of what only some stored labels have.
    """

    schema: str
    tensors: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def __init__(self, root: str | Path, teacher: str, settings: dict[str, object] | None = None):
        self.root = Path(root)
        self.teacher = teacher
        self.settings = settings or {}
        self.folder = self.root / teacher

    @abstractmethod
    def encode(self, label: Kind) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Tensors to store, and what the header must hold to read them, ``height``, ``width`` and ``kept`` included.

        Raises:
            ValueError: the label cannot be stored.
        """

    @abstractmethod
    def decode(self, path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> Kind:
        """The label that :meth:`encode` was given, within its rounding.

        Raises:
            ValueError, KeyError, zlib.error: the tensors do not belong together.
        """

    def path(self, key: Key) -> Path:
        """Where a label is, or will be."""
        return self.folder / key.digest[:2] / f"{key.digest}.safetensors"

    def write(self, key: Key, label: Kind) -> int:
        """Store a label in one step (temporary name, then renamed) and return its size in bytes."""
        path = self.path(key)
        tensors, header = self.encode(label)
        header |= self._identity(key) | {
            **{f"crc32 {name}": _crc32(tensor) for name, tensor in tensors.items()},
            "ceiling": str(self.settings.get("ceiling")),
        }
        with replacing(path) as partial:
            # One entry, because safetensors writes several in a random order and equal labels must be equal files.
            # Not safetensors' own writer, whose files only their owner may read.
            partial.write_bytes(save(tensors, metadata={_HEADER: json.dumps(header, sort_keys=True)}))
        return path.stat().st_size

    def read(self, key: Key) -> Kind:
        """The label of some frames.

        Raises:
            LabelError: it is absent, damaged, or belongs to something else.
        """
        path = self.path(key)
        if not path.is_file():
            raise refusal(path, "absent")
        with refusing_damage(path):
            with safe_open(path, framework="pt") as file:
                header = _header(file)
                problem = self._mismatch(key, header)
                if problem is not None:
                    raise refusal(path, problem)
                more = [name for name in self.optional if f"crc32 {name}" in header]
                tensors = {name: file.get_tensor(name) for name in (*self.tensors, *more)}
            for name, tensor in tensors.items():
                if header[f"crc32 {name}"] != _crc32(tensor):
                    raise ValueError(f"{name} has another checksum")
            return self.decode(path, tensors, header)

    def problem(self, key: Key) -> str | None:
        """Why a label cannot be used, judged by its header alone; None when it can."""
        path = self.path(key)
        if not path.is_file():
            return "absent"
        try:
            with safe_open(path, framework="pt") as file:
                header = _header(file)
        except SafetensorError as error:
            return f"damaged ({error})"
        return self._mismatch(key, header)

    def _mismatch(self, key: Key, header: dict[str, str]) -> str | None:
        wrong = [name for name, value in self._identity(key).items() if header.get(name) != value]
        return f"of another {wrong[0]}" if wrong else None

    def missing(self, keys: Iterable[Key]) -> list[tuple[Key, str]]:
        """Those that have no usable label, with the reason."""
        found = ((key, self.problem(key)) for key in keys)
        return [(key, reason) for key, reason in found if reason is not None]

    def _identity(self, key: Key) -> dict[str, str]:
        return {
            "schema": self.schema,
            "teacher": self.teacher,
            "video": key.video,
            "frames": ",".join(map(str, key.frames)),
        }

    def headers(self) -> Iterator[tuple[Path, dict[str, str]]]:
        """Path and header of every readable label of this teacher and schema."""
        for path in sorted(self.folder.glob("??/*.safetensors")):
            try:
                with safe_open(path, framework="pt") as file:
                    header = _header(file)
            except SafetensorError:
                continue  # named when its pair is asked for
            if header.get("schema") == self.schema and header.get("teacher") == self.teacher:
                yield path, header

    def write_manifest(self) -> Path:
        """(Re)build ``manifest.json`` from the headers: the settings, and for each label its frames, size and bytes."""
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
        content = {"schema": self.schema, "teacher": self.teacher, "settings": self.settings, "labels": entries}
        with replacing(manifest) as partial:
            partial.write_text(json.dumps(content, indent=1))
        return manifest


def refusal(path: Path, problem: str) -> LabelError:
    """What to say of a label that cannot be used."""
    return LabelError(f"{path}: label {problem}; run the command again, it makes just what is missing")


@contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """Make a :class:`LabelError` of what cannot be decoded, and remove the file.

    Its header looks right, so nothing but its absence would have it made again.
    """
    try:
        yield
    except (SafetensorError, KeyError, ValueError, zlib.error) as error:
        path.unlink(missing_ok=True)
        raise refusal(path, f"damaged ({error})") from error


def _crc32(tensor: Tensor) -> str:
    return f"{zlib.crc32(tensor.numpy().tobytes()):08x}"


def _header(file: Any) -> dict[str, str]:
    """What :meth:`LabelStore.write` noted in an open file; empty where it is not one of ours."""
    try:
        header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
    except json.JSONDecodeError:
        return {}
    return header if isinstance(header, dict) else {}
