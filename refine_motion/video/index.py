"""The index of videos: found, probed once, and remembered by content."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from refine_motion.errors import ConfigError, VideoError
from refine_motion.files import replacing
from refine_motion.video.content import content_key
from refine_motion.video.info import VideoInfo
from refine_motion.video.probe import ContentError, ProbeWorker, UnreadableError
from refine_motion.video.sources import find_videos

__all__ = ["VideoIndex", "VideoInfo", "build_index", "content_key"]

_SCHEMA = 2
_MOST_WORKERS = 8


@dataclass(frozen=True)
class VideoIndex:
    """The videos that can be read, and those that cannot with the reason.

    Attributes:
        videos: readable videos in the order of the source; one of each content.
        rejected: path and reason of the others.
    """

    videos: list[VideoInfo]
    rejected: list[tuple[Path, str]]

    def table(self) -> Table:
        """All videos with what was found; rejected ones last with their reason."""
        paths = [info.path for info in self.videos] + [path for path, _ in self.rejected]
        # Only what tells the videos apart: a terminal is too narrow for whole paths and remarks.
        root = os.path.commonpath([path.absolute().parent for path in paths])
        table = Table("video", "what", "remarks", title=f"videos in {root}", box=SIMPLE_HEAD)
        table.columns[0].overflow = "fold"
        for info in self.videos:
            shots = f", {len(info.shots)} shots" if info.cuts else ""
            what = f"{info.frames} of {info.width}x{info.height}{shots}, by {info.reader}"
            table.add_row(escape(os.path.relpath(info.path, root)), what, escape("; ".join(info.faults)))
        for path, reason in self.rejected:
            table.add_row(escape(os.path.relpath(path, root)), "rejected", escape(reason), style="red")
        return table


def build_index(
    source: str | Path | Sequence[str | Path],
    cache_dir: str | Path | None = None,
    strict: bool = False,
    time_limit_s: float = 60.0,
    progress: bool = True,
) -> VideoIndex:
    """Find the videos of a source and probe those that the cache does not know.

    A video is decoded once from end to end in a child process, at a few hundred frames per second. What cannot be
    read is set aside with its reason. Copies of a video (same content) are left out and named at the first of them.

    Args:
        source: what :func:`~refine_motion.video.sources.find_videos` accepts.
        cache_dir: folder for one small JSON file per content key, wherever the video lies; None remembers nothing.
            A rejected video is remembered with its reason, and tried again when its file in this folder is removed,
            or, if it hung, with a larger time limit. A crash of the probe is not remembered: the machine may be short
            of memory, or a decoder badly installed.
        strict: raise on the first video that cannot be read.
        time_limit_s: seconds without progress after which a video is given up.
        progress: show a progress bar while probing, on a terminal.

    Raises:
        VideoError: if the source holds no video, none can be read, or, with ``strict``, one cannot be read.
        ConfigError: if the time limit is not positive, or the cache folder cannot be written.
    """
    if time_limit_s <= 0:
        raise ConfigError(f"time_limit_s is {time_limit_s:g}: it must be more than 0 seconds")
    cache = None if cache_dir is None else Path(cache_dir)
    results: dict[Path, VideoInfo | str] = {}
    copies: dict[str, list[Path]] = {}
    for path in find_videos(source):
        try:
            copies.setdefault(content_key(path), []).append(path)
        except VideoError as error:
            results[path] = str(error).removeprefix(f"{path}: ")
    todo: list[tuple[Path, str]] = []
    for key, (path, *_) in copies.items():
        known = None if cache is None else _load(cache, path, key, time_limit_s)
        if known is None:
            todo.append((path, key))
        else:
            results[path] = known
    for path, key, result in _probe_all(todo, time_limit_s, progress):
        results[path] = result if isinstance(result, VideoInfo) else str(result)
        if cache is not None and isinstance(result, (VideoInfo, ContentError)):
            _store(cache, key, result)

    videos: list[VideoInfo] = []
    rejected = [(path, result) for path, result in results.items() if isinstance(result, str)]
    for path, *others in copies.values():
        found = results[path]
        if isinstance(found, VideoInfo):
            same = tuple(f"same content as {other}, which is left out" for other in others)
            videos.append(replace(found, faults=found.faults + same))
        else:
            rejected += [(other, found) for other in others]
    if rejected and (strict or not videos):
        raise VideoError(_refusal(rejected, readable=len(videos)))
    return VideoIndex(videos, rejected)


def _refusal(rejected: Sequence[tuple[Path, str]], readable: int) -> str:
    path, reason = rejected[0]
    others = f", and {len(rejected) - 1} more cannot be read" if len(rejected) > 1 else ""
    advice = "mend or remove what cannot be read" if readable else "give at least one readable video"
    return f"{path}: {reason}{others}: {advice}"


def _probe_all(
    todo: Sequence[tuple[Path, str]], time_limit_s: float, progress: bool
) -> Iterator[tuple[Path, str, VideoInfo | UnreadableError]]:
    """Probe videos (path, key), several at a time where there are cores; results come in the order given."""
    if not todo:
        return
    workers = [ProbeWorker(time_limit_s) for _ in range(min(len(todo), (os.cpu_count() or 2) // 2 or 1, _MOST_WORKERS))]
    free: SimpleQueue[ProbeWorker] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def probe(path: Path, key: str) -> VideoInfo | UnreadableError:
        worker = free.get()
        try:
            return worker.probe(path, key)
        except UnreadableError as error:
            return error
        finally:
            free.put(worker)

    pool = ThreadPoolExecutor(len(workers))
    try:
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not (progress and console.is_terminal)) as bar:
            task = bar.add_task("probing videos", total=len(todo))
            futures = [pool.submit(probe, path, key) for path, key in todo]
            for (path, key), future in zip(todo, futures, strict=True):
                yield path, key, future.result()
                bar.advance(task)
    finally:
        # Also on Ctrl-C: nothing new starts, and what runs ends with its child.
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.close()


def _entry(cache: Path, key: str) -> Path:
    return cache / f"{key}.json"


def _load(cache: Path, path: Path, key: str, time_limit_s: float) -> VideoInfo | str | None:
    """What is remembered, a str being the reason of a refusal; None where there is no entry, an old or damaged one."""
    try:
        entry = json.loads(_entry(cache, key).read_text(encoding="utf-8"))
        if entry["schema"] != _SCHEMA or entry["key"] != key:
            return None
        if "video" in entry:
            return VideoInfo.from_json(path, entry["video"])
        tried_s = entry["time_limit_s"]
        return None if tried_s is not None and tried_s < time_limit_s else str(entry["refused"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _store(cache: Path, key: str, result: VideoInfo | ContentError) -> None:
    entry: dict[str, Any] = {"schema": _SCHEMA, "key": key}
    if isinstance(result, VideoInfo):
        entry["video"] = result.to_json()
    else:
        entry |= {"refused": str(result), "time_limit_s": result.time_limit_s}
    try:
        with replacing(_entry(cache, key)) as aside:
            aside.write_text(json.dumps(entry), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{cache}: the video index cannot be stored there: {error.strerror}") from error
