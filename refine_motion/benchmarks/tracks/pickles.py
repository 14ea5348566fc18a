"""Pickle files of data sets, without the code that a pickle can carry.

A pickle is a program: it may call any function of any module. Here it may name only what NumPy's arrays, types and
scalars are made of, and even those are not called: the pieces are taken down, checked, and put together by us. What is
left are arrays and plain values: dict, list, tuple, str, bytes, int, float, bool, None. No more memory is taken than
the file has bytes.
"""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from refine_motion.errors import BenchmarkError

# Booleans, whole and real numbers, bytes, text and, for lists of unequal pieces, objects.
_TYPE = re.compile(r"[|<>=]?([?biufc][0-9]*|[SU][1-9][0-9]*|O8?|b1)")
_BROKEN = (
    pickle.UnpicklingError, EOFError, AttributeError, TypeError, ValueError, LookupError, ImportError, OverflowError,
    MemoryError, RecursionError, struct.error,
)  # fmt: skip


class _RefusedError(pickle.UnpicklingError):
    """The pickle asks for more than data."""


class _Room:
    """Bytes that arrays may still take: a file that holds its numbers once cannot ask for more than it has."""

    def __init__(self, left: int):
        self.left = left

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise _RefusedError("more memory than its file has bytes")


@dataclass(frozen=True)
class _Allowed:
    """What stands for a name of NumPy; it can be called, and nothing else."""

    call: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)

    def __setstate__(self, state: object) -> NoReturn:
        raise _RefusedError("state of a function")


class _Type:
    """A NumPy type that was asked for."""

    __slots__ = ("order", "text")

    def __init__(self, text: str | bytes, *_: object):
        self.text = text.decode("ascii") if isinstance(text, bytes) else str(text)
        if not _TYPE.fullmatch(self.text):
            raise _RefusedError(f"NumPy type {self.text!r}")
        self.order: Literal["<", ">", "="] = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # Of the state only the byte order matters to plain types; its flags could make bytes pass for objects.
        self.order = state[1] if state[1] in ("<", ">") else "="

    def real(self) -> np.dtype[Any]:
        return np.dtype(self.text).newbyteorder(self.order)


class _Array(np.ndarray):
    """An array whose content is checked before NumPy takes it."""

    _filled = False
    _room = _Room(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:  # type: ignore[override]
        if self._filled:
            # NumPy would free memory that something else may look at.
            raise _RefusedError("an array that is filled twice")
        _, shape, kind, fortran, content = state
        if not isinstance(kind, _Type):
            raise _RefusedError("an array without a type")
        real = kind.real()
        if real.hasobject:
            fits = isinstance(content, list) and len(content) == prod(shape)
        else:
            if isinstance(content, str):  # as Python 2 wrote it
                content = content.encode("latin1")
            fits = isinstance(content, (bytes, bytearray)) and len(content) == prod(shape) * real.itemsize
        if not fits:
            raise _RefusedError("an array whose content does not fit its shape")
        # One byte at least stands for an object.
        self._room.take(len(content))
        super().__setstate__((1, shape, real, bool(fortran), content))  # type: ignore[arg-type]
        self._filled = True


def _reconstruct(room: _Room, *_: object) -> _Array:
    array = np.ndarray.__new__(_Array, (0,), np.int8)
    array._room = room
    return array


def _scalar(room: _Room, kind: _Type, content: bytes | str) -> Any:
    raw = content.encode("latin1") if isinstance(content, str) else content
    return _from_buffer(room, raw, kind, (1,), "C")[0]


def _from_buffer(
    room: _Room, content: bytes, kind: _Type, shape: tuple[int, ...], order: Any, *_: object
) -> NDArray[Any]:
    if not isinstance(kind, _Type) or kind.real().hasobject:
        raise _RefusedError("objects in a buffer")
    # The memory of another array could be of objects, whose addresses could then be written through this one.
    if not isinstance(content, (bytes, bytearray)):
        raise _RefusedError(f"the memory of {type(content).__name__}")
    room.take(len(content))
    return np.frombuffer(content, dtype=kind.real()).reshape(shape, order=order).copy(order=order)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise _RefusedError(f"the encoding {encoding!r}")
    return text.encode("latin1")


def _no_bytes(*args: object) -> bytes:
    if args:
        raise _RefusedError("bytes that are made by a call")
    return b""


def _never(*_: object) -> NoReturn:
    raise _RefusedError("an array that is made by a call")


_NAMES: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _never,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
    # How the oldest protocols write empty bytes.
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
}
# What makes arrays and is told how much room there is.
_MAKERS: dict[tuple[str, str], Callable[..., Any]] = {}
for _core in ("numpy.core", "numpy._core"):
    _MAKERS[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _MAKERS[f"{_core}.multiarray", "scalar"] = _scalar
    _MAKERS[f"{_core}.numeric", "_frombuffer"] = _from_buffer


# The one in C keeps a table as long as the largest number that a pickle of nine bytes may name, some gigabytes.
class _Unpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: BinaryIO, size: int):
        super().__init__(file, encoding="latin1")
        self.room = _Room(size)

    def find_class(self, module: str, name: str) -> _Allowed:
        if maker := _MAKERS.get((module, name)):
            return _Allowed(partial(maker, self.room))
        if (module, name) not in _NAMES:
            raise _RefusedError(f"{module}.{name}")
        return _Allowed(_NAMES[module, name])


def _with_plain_keys(code: bytes, keys: Callable[[Sequence[Any]], Sequence[Any]]) -> None:
    """Refuse tuples as keys of dictionaries: of one that is nested deeply enough, Python dies when it is hashed."""
    load = _Unpickler.dispatch[code[0]]

    def checked(unpickler: Any) -> None:
        if any(isinstance(key, tuple) for key in keys(unpickler.stack)):
            raise _RefusedError("a tuple as a key")
        load(unpickler)

    _Unpickler.dispatch[code[0]] = checked


_with_plain_keys(pickle.SETITEM, lambda stack: stack[-2:-1])
_with_plain_keys(pickle.SETITEMS, lambda stack: stack[::2])
_with_plain_keys(pickle.DICT, lambda stack: stack[::2])
# Their members are hashed as keys are.
for _code in (pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET):
    del _Unpickler.dispatch[_code[0]]


def read_pickle(path: Path) -> Any:
    """Data of a pickle file: NumPy arrays and plain values.

    Args:
        path: the file, as NumPy 1 or 2 wrote it, in any protocol.

    Raises:
        BenchmarkError: it cannot be read, is empty, cut off or no pickle, or asks for anything that is not data.
    """
    try:
        with path.open("rb") as file:
            return _load(file, path.stat().st_size, str(path))
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror or error}); check the file") from error


def parse_pickle(content: bytes, name: str) -> Any:
    """As :func:`read_pickle`, of a piece of a file that is called ``name`` in messages."""
    return _load(BytesIO(content), len(content), name)


def _load(file: BinaryIO, size: int, name: str) -> Any:
    try:
        return _Unpickler(file, size).load()
    except _RefusedError as error:
        wanted = " ".join(str(error).split())
        raise BenchmarkError(
            f"{name}: this pickle asks for {wanted}, which is no data, so it was not run; take the official file"
        ) from error
    except _BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BenchmarkError(f"{name}: damaged or no pickle file ({reason}); get the file again") from error
