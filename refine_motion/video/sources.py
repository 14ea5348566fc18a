"""From what the user names (files, folders, patterns, lists) to the list of videos."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from refine_motion.errors import VideoError

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".gif")
)
IMAGE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff", ".webp"))

_ACCEPTED = (
    "give a video file, a folder of videos or of frame folders, a glob pattern in quotes, or a .txt list of paths "
    f"(videos in folders: {' '.join(sorted(VIDEO_SUFFIXES))}; frames: {' '.join(sorted(IMAGE_SUFFIXES))})"
)


def find_videos(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the videos that a source stands for. A video is a file, or a folder of images (its frames).

    A folder is searched with all folders below it; hidden files are passed over. In a folder that holds video files,
    loose images (posters, thumbnails) are no video. A single file that is named is taken whatever its extension.

    Args:
        source: a video file, a folder of videos, a folder of frames, a folder of frame folders (or a mixture), a glob
            pattern (``**`` reaches into folders), a ``.txt`` list (one path per line, relative to the list; ``#``
            starts a comment), or a sequence of these.

    Returns:
        Paths without repeats: in the order given for lists and sequences, and inside folders and patterns in natural
        order (``clip2`` before ``clip10``).

    Raises:
        VideoError: if the source, or one entry of a list, holds no video.
    """
    sources = [source] if isinstance(source, (str, Path)) else list(source)
    if not sources:
        raise VideoError(f"the list of videos is empty: {_ACCEPTED}")
    return list(dict.fromkeys(path for one in sources for path in _expand(one)))


def list_images(folder: Path) -> list[Path]:
    """Images directly inside a folder, hidden ones left out, in natural order."""
    return natural_sort(entry for entry in folder.iterdir() if _has_suffix(entry, IMAGE_SUFFIXES) and entry.is_file())


def natural_sort(paths: Iterable[Path]) -> list[Path]:
    """Paths sorted part by part, runs of digits by their value."""
    # The path itself decides between names that differ only in case or in leading zeros.
    return sorted(paths, key=lambda path: ([_natural_key(part) for part in path.parts], path))


def _natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    stem, suffix = os.path.splitext(name.lower())
    pieces = re.split(r"([0-9]+)", stem)
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in pieces if piece], suffix


def _expand(source: str | Path) -> list[Path]:
    path = Path(source).expanduser()
    if path.is_dir():
        found = _search(path)
    elif path.exists():
        if path.suffix.lower() == ".txt":
            return _read_list(path)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            raise VideoError(f"{path}: one image is no video: give the folder of its frames")
        found = [path]
    elif glob.has_magic(str(path)):
        found = _match(str(path))
    else:
        raise VideoError(f"{source}: no such file or folder: {_ACCEPTED}")
    if not found:
        raise VideoError(f"{source}: no video found: {_ACCEPTED}")
    return found


def _search(folder: Path) -> list[Path]:
    found: list[Path] = []
    seen: set[str] = set()
    # Data sets are often linked into place, so links are followed; a link back to a folder above must not loop.
    for name, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [sub for sub in folders if not sub.startswith(".")]
        here = Path(name)
        videos = [here / file for file in files if _has_suffix(here / file, VIDEO_SUFFIXES)]
        if videos:
            found += videos
        elif any(_has_suffix(here / file, IMAGE_SUFFIXES) for file in files):
            found.append(here)
    return natural_sort(found)


def _match(pattern: str) -> list[Path]:
    matches = [Path(match) for match in glob.glob(pattern, recursive=True)]
    # A pattern that spells out the extension (*.y4m) vouches for the files as a single named file does.
    spelled = Path(pattern).suffix.lower()
    suffixes = VIDEO_SUFFIXES if glob.has_magic(spelled) else VIDEO_SUFFIXES | ({spelled} - IMAGE_SUFFIXES - {""})
    found = [match for match in matches if match.is_file() and _has_suffix(match, suffixes)]
    found += [video for match in matches if match.is_dir() for video in _search(match)]
    return natural_sort(set(found))


def _read_list(path: Path) -> list[Path]:
    found: list[Path] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise VideoError(f"{path}: a list of videos must be UTF-8 text: {error}") from error
    for number, line in enumerate(lines, start=1):
        # A '#' inside a path is part of it.
        entry = re.sub(r"(^|\s)#.*", "", line).strip()
        if not entry:
            continue
        if entry.lower().endswith(".txt"):
            raise VideoError(f"{path}, line {number}: a list cannot name another list: {entry}")
        try:
            found += _expand(path.parent / Path(entry).expanduser())
        except VideoError as error:
            raise VideoError(f"{path}, line {number}: {error}") from error
    if not found:
        raise VideoError(f"{path}: the list names no video: {_ACCEPTED}")
    return found


def _has_suffix(path: Path, suffixes: Iterable[str]) -> bool:
    return path.suffix.lower() in suffixes and not path.name.startswith(".")
