"""A key that names the content of a video, wherever it lies and whenever it was written."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from refine_motion.errors import VideoError
from refine_motion.video.sources import list_images

_FILE_CHUNK = 1 << 16
_IMAGE_CHUNK = 1 << 12


def content_key(path: str | Path) -> str:
    """Name the content of a video file or frame folder, quickly: it reads samples, not the whole.

    A file is known by its size and its first, middle and last 64 KiB; a frame folder by the names and sizes of its
    images and the first, middle and last 4 KiB of each. The path and the times of the file do not enter.

    Args:
        path: a video file, or a folder of images.

    Returns:
        32 hexadecimal digits.

    Raises:
        VideoError: if the file cannot be read.
    """
    path = Path(path)
    digest = hashlib.blake2b(digest_size=16)
    try:
        if path.is_dir():
            for image in list_images(path):
                digest.update(f"{image.name}\0".encode("utf-8", "surrogateescape"))
                _add_file(digest, image, _IMAGE_CHUNK)
        elif path.is_file():
            _add_file(digest, path, _FILE_CHUNK)
        else:
            raise VideoError(f"{path}: not a file or folder")
    except OSError as error:
        raise VideoError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _add_file(digest: hashlib.blake2b, path: Path, chunk: int) -> None:
    with path.open("rb") as stream:
        size = _size(stream)
        digest.update(f"{size}\0".encode())
        for start in sorted({0, max(0, size // 2 - chunk // 2), max(0, size - chunk)}):
            stream.seek(start)
            digest.update(stream.read(chunk))


def _size(stream: BinaryIO) -> int:
    stream.seek(0, 2)
    return stream.tell()
