"""A label store together with the videos it was made from, opened by the folder that a run wrote."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from refine_motion.errors import LabelError
from refine_motion.files import replacing
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.track_store import TrackStore
from refine_motion.video.index import build_index
from refine_motion.video.info import VideoInfo
from refine_motion.video.reader import read_frames
from refine_motion.video.sources import natural_sort

_NOTE = "videos.json"
Item = TypeVar("Item")


@dataclass(frozen=True)
class OpenedLabels:
    """The labels of one teacher and the videos they belong to.

    Attributes:
        store: the labels.
        videos: the labelled videos by content key.
        keys: every labelled pair of these videos, video by video in order of time.
    """

    store: LabelStore
    videos: dict[str, VideoInfo]
    keys: list[PairKey]

    @property
    def names(self) -> dict[str, str]:
        """For each content key the path of the video below the folder that all videos share."""
        paths = {key: info.path.absolute() for key, info in self.videos.items()}
        root = os.path.commonpath([path.parent for path in paths.values()])
        return {key: os.path.relpath(path, root) for key, path in paths.items()}

    def frames(self, key: PairKey) -> Tensor:
        """Both frames of a pair, ``(2, 3, H, W)`` uint8 RGB.

        Raises:
            VideoError: they cannot be read.
        """
        return read_frames(self.videos[key.video], [key.frame_a, key.frame_b])

    def spread(self, most: int) -> dict[PairKey, FlowLabel]:
        """At most ``most`` labels, evenly spaced over all pairs; each takes about 36 bytes a stored pixel in memory.

        Raises:
            LabelError: one of them is damaged.
        """
        return {key: self.store.read(key) for key in evenly(self.keys, most)}


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """At most ``most`` of the items (at least 1), from the middles of equal stretches."""
    count = min(most, len(items))
    return [items[(2 * number + 1) * len(items) // (2 * count)] for number in range(count)]


def scattered(items: Sequence[Item], most: int) -> list[Item]:
    """At most ``most`` of the items (at least 1), one from anywhere in each of equal stretches; always the same.

    Of items that take turns, such as windows forward and back in time, :func:`evenly` may take those of one kind alone.
    """
    count, source = min(most, len(items)), random.Random(0)
    numbers: list[int] = []
    for stretch in range(count):
        number = int((stretch + source.random()) * len(items) / count)
        numbers.append(max(number, numbers[-1] + 1) if numbers else number)
    return [items[number] for number in numbers]


def note_videos(root: str | Path, index: str | Path, videos: Iterable[VideoInfo]) -> Path:
    """Write beside the labels where their videos are; notes of earlier runs stay.

    The labels themselves name a video by its content, which is the same on every machine; this file belongs to one.

    Args:
        root: folder of the label store.
        index: folder of the video index.
        videos: the labelled videos.

    Returns:
        The file, ``videos.json``.
    """
    path = Path(root) / _NOTE
    known = _noted(path)[1] | {info.key: str(info.path.absolute()) for info in videos}
    with replacing(path) as partial:
        partial.write_text(json.dumps({"index": str(Path(index).absolute()), "videos": known}, indent=1))
    return path


def open_labels(folder: str | Path, videos: str | Path | None = None, teacher: str | None = None) -> OpenedLabels:
    """Open the labels of a flow run and find their videos.

    Args:
        folder: the work folder of a run, or the label store in it.
        videos: where the videos are now, as given to stage 1; None takes the places that stage 1 noted. With it, only
            the labels of these videos are opened.
        teacher: fingerprint, the name of a folder in the store; None takes the one that stage 1 used last.

    Raises:
        LabelError: there are no labels, or they are tracks, or their videos are not found.
        VideoError: ``videos`` holds none that can be read.
    """
    root = Path(folder)
    if (root / "labels").is_dir():
        root /= "labels"
    store = _newest(root) if teacher is None else _store(root / teacher)
    found = [header for _, header in store.headers()]
    if not found and any(True for _ in TrackStore(store.root, store.teacher).headers()):
        raise LabelError(f"{store.folder}: these labels are tracks; only those of flow can be opened here")
    if not found:
        raise LabelError(f"{store.folder}: no labels of this version; make them with `refine-motion label` or `fit`")
    keys = [PairKey(header["video"], *map(int, header["frames"].split(","))) for header in found]
    index, places = _noted(root / _NOTE)
    if videos is None:
        # A file that has changed since is another video: build_index names it by what it holds now.
        there = [path for key in {k.video for k in keys} & places.keys() if (path := Path(places[key])).exists()]
        infos = build_index(natural_sort(there), cache_dir=index).videos if there else []
    else:
        infos = build_index(videos, cache_dir=index).videos
    labelled = {key.video for key in keys}
    by_key = {info.key: info for info in infos if info.key in labelled}
    lost = labelled - by_key.keys()
    if lost and (videos is None or not by_key):
        raise LabelError(
            f"{root}: {len(lost)} of {len(labelled)} labelled videos are not found (one was "
            f"{places.get(min(lost), 'never noted')}); say where they are now: open_labels(folder, videos=...)"
        )
    order = {key: number for number, key in enumerate(by_key)}
    kept = sorted((k for k in keys if k.video in order), key=lambda k: (order[k.video], k.frame_a, k.frame_b))
    return OpenedLabels(store, by_key, kept)


def _newest(root: Path) -> LabelStore:
    folders = {path.parent.parent for path in root.glob("*/??/*.safetensors")}
    if not folders:
        raise LabelError(f"{root}: no label store; give the work folder of `refine-motion label` or `fit`")
    return _store(max(folders, key=lambda path: (_manifest(path).exists(), _changed(path))))


def _store(folder: Path) -> LabelStore:
    manifest = _manifest(folder)
    settings = json.loads(manifest.read_text())["settings"] if manifest.exists() else None
    return LabelStore(folder.parent, folder.name, settings)


def _manifest(folder: Path) -> Path:
    return folder / "manifest.json"


def _changed(folder: Path) -> float:
    """Stage 1 writes the manifest anew each time, also when nothing was left to label."""
    manifest = _manifest(folder)
    return (manifest if manifest.exists() else folder).stat().st_mtime


def _noted(path: Path) -> tuple[Path | None, dict[str, str]]:
    """Folder of the index and place of each video; nothing where no note, or a damaged one, is there."""
    try:
        note = json.loads(path.read_text())
        return Path(note["index"]), dict(note["videos"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, {}
