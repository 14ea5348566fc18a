"""The child process that looks into files, one JSON request and answer per line.

It is apart because a decoder can hang while it holds the interpreter lock, or crash: then only this process dies.
It imports no torch, so that it starts fast. Run by :mod:`refine_motion.video.probe`.

Requests: ``{"do": "examine", "path": …}`` and ``{"do": "compare", "path": …, "frames": …, "samples": …}``.
Answers: any number of ``{"alive": frames so far}``, then ``{"result": …}``, ``{"refused": "reason"}`` for a file that
cannot be used, or ``{"failed": "reason"}`` where that is not certain.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from PIL import Image

from refine_motion.video.decoding import count_decord, frame_time, open_video, read_decord, read_pyav, to_rgb
from refine_motion.video.images import read_image
from refine_motion.video.shots import THUMBNAIL_SIZE, ShotDetector
from refine_motion.video.sources import list_images

FRAME_FOLDER_FPS = 24.0
_KEYFRAMES_TRIED = 4
_ALIVE_EVERY_S = 0.5

Alive = Callable[[int], None]


class RefusedError(Exception):
    """The file cannot be used; the message is the reason."""


class _Scan:
    """What one pass over packets and frames gathers: a few numbers per frame, never the frames."""

    def __init__(self) -> None:
        self.packets = 0
        self.discarded = 0
        self.open_gop = False
        self.size: tuple[int, int] | None = None
        self.pixel_format = ""
        self.bits = 8
        self.times: list[float | None] = []
        self.checksums: list[int] = []
        self.keyframes: list[int] = []
        self.shots = ShotDetector()
        self.unshown_keys: set[int | None] = set()
        self._keyframe_pts: int | None = None

    def add_packet(self, packet: Packet) -> None:
        if packet.size == 0:  # the end marker that empties the decoder
            return
        self.packets += 1
        self.discarded += packet.is_discard
        if packet.is_keyframe:
            self._keyframe_pts = packet.pts
            if not packet.is_discard:
                self.unshown_keys.add(packet.pts)
        elif packet.pts is not None and self._keyframe_pts is not None and packet.pts < self._keyframe_pts:
            # Stored after the keyframe, shown before it: it may need frames of the group before.
            self.open_gop = True

    def add_frame(self, frame: VideoFrame) -> None:
        # The whole file is decoded here, once: only this gives the true number of frames, finds damage anywhere, and
        # feeds the shot detector; the checksums make every later comparison free.
        rgb = to_rgb(frame)
        size = (rgb.shape[1], rgb.shape[0])
        if self.size is None:
            self.size, self.pixel_format = size, frame.format.name
            self.bits = max(component.bits for component in frame.format.components)
        if frame.is_corrupt:
            raise RefusedError("damaged picture")
        if size != self.size:
            raise RefusedError(f"the picture size changes from {self.size} to {size}")
        if frame.key_frame:
            self.keyframes.append(len(self.checksums))
            self.unshown_keys.discard(frame.pts)
        self.times.append(frame_time(frame))
        self.checksums.append(zlib.crc32(rgb.data))
        width, height = THUMBNAIL_SIZE
        thumbnail = frame.reformat(width, height, format="rgb24", interpolation="AREA", threads=1).to_ndarray()
        self.shots.add(np.asarray(thumbnail, dtype=np.uint8))


def examine_file(path: Path, alive: Alive) -> dict[str, Any]:
    """Decode a file with PyAV from end to end, and try PyAV's seek.

    Returns:
        The fields of VideoInfo but for path, key and reader, and ``samples``: runs of frames that tell whether
        another reader agrees, each a list of ``[frame, checksum]``.

    Raises:
        RefusedError: if no frame can be decoded.
    """
    if path.is_file() and path.stat().st_size == 0:
        raise RefusedError("the file is empty")
    try:
        container, stream = open_video(path)
    except (av.FFmpegError, ValueError) as error:
        raise RefusedError(f"no video, damaged, or cut short ({_words(error)})") from error
    with container:
        scan, stop = _scan(container.demux(stream), alive)
        fps = float(stream.average_rate or 0)
        streams = len(container.streams.video)
        expected = max(scan.packets - scan.discarded, stream.frames - scan.discarded)
    frames = len(scan.checksums)
    if scan.size is None or frames == 0:
        raise RefusedError(f"no frame can be decoded: {stop or 'the video stream is empty'}")

    faults = []
    if streams > 1:
        faults.append(f"{streams} video streams: the first is read")
    if scan.bits > 8:
        faults.append(f"{scan.bits}-bit pixels ({scan.pixel_format}) are brought to 8 bits")
    if scan.discarded:
        faults.append(f"edit list: {scan.discarded} of {scan.packets} stored frames are not shown")
    if scan.open_gop:
        faults.append("open GOP: frames near keyframes depend on the group before")
    if scan.unshown_keys and not stop:
        # The container calls them keyframes and the decoder does not: intra refresh, which decord takes for exact.
        faults.append("some keyframes of the file need the frames before them")
    if stop:
        faults.append(f"frame {frames} cannot be used ({stop}): only the {frames} before it of {expected} are read")
    elif scan.packets - scan.discarded != frames:
        faults.append(f"{scan.packets - scan.discarded} packets give {frames} frames")

    timestamps, known = _timestamps(scan.times, fps)
    if not known:
        faults.append("frame times are missing or not increasing: frames are taken as evenly spaced")
    keyframes = scan.keyframes if known else []
    later = [keyframe for keyframe in keyframes if keyframe > 0]
    tried = later[:: max(1, -(-len(later) // _KEYFRAMES_TRIED))]
    if not _seek_is_exact(path, tried, timestamps, keyframes, scan.checksums):
        faults.append("seeking is not exact: the file is read from its start every time")
        keyframes = []
    if fps <= 0:
        fps = (frames - 1) / (timestamps[-1] - timestamps[0]) if frames > 1 else FRAME_FOLDER_FPS
    return {
        "frames": frames,
        "width": scan.size[0],
        "height": scan.size[1],
        "fps": fps,
        "timestamps": timestamps,
        "keyframes": keyframes,
        "cuts": scan.shots.cuts(),
        "faults": faults,
        "samples": [[(frame, scan.checksums[frame]) for frame in run] for run in _runs(frames, tried)],
    }


def examine_images(folder: Path, alive: Alive) -> dict[str, Any]:
    """Read every image of a frame folder once. The result is that of :func:`examine_file`, without samples.

    Raises:
        RefusedError: if an image cannot be read, or has another size than the first.
    """
    images = list_images(folder)
    if not images:
        raise RefusedError("the folder holds no image")
    shots = ShotDetector()
    size = None
    for index, image in enumerate(images):
        try:
            rgb = read_image(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise RefusedError(f"{image.name} is not a readable image: {_words(error)}") from error
        size = size or rgb.shape
        if rgb.shape != size:
            raise RefusedError(
                f"{image.name} is {rgb.shape[1]}x{rgb.shape[0]}, the images before it {size[1]}x{size[0]}: "
                "put frames of one size into a folder"
            )
        shots.add(np.asarray(Image.fromarray(rgb).resize(THUMBNAIL_SIZE, Image.Resampling.BOX)))
        alive(index + 1)
    assert size is not None
    return {
        "frames": len(images),
        "width": size[1],
        "height": size[0],
        "fps": FRAME_FOLDER_FPS,
        "timestamps": [index / FRAME_FOLDER_FPS for index in range(len(images))],
        "keyframes": [],
        "cuts": shots.cuts(),
        "faults": [],
    }


def compare_decord(path: Path, frames: int, samples: Sequence[Sequence[tuple[int, int]]], alive: Alive) -> str | None:
    """Say in one line how decord differs from PyAV on this file, or None where it does not.

    Args:
        path: the video file.
        frames: number of frames PyAV shows.
        samples: runs of ``(frame, checksum)`` from :func:`examine_file`.
        alive: called between readings.
    """
    try:
        counted = count_decord(path)
        if counted != frames:
            return f"decord counts {counted} frames"
        for run in samples:
            # Each run with a reader of its own, as the reader of clips does it.
            pictures = read_decord(path, [frame for frame, _ in run])
            for (frame, checksum), picture in zip(run, pictures, strict=True):
                if zlib.crc32(np.ascontiguousarray(picture).data) != checksum:
                    return f"decord shows another picture at frame {frame}"
            alive(0)
    except ImportError:
        return "decord is not installed"
    except (RuntimeError, IndexError) as error:
        return f"decord cannot read it: {_words(error)}"
    return None


def _scan(packets: Iterable[Packet], alive: Alive) -> tuple[_Scan, str]:
    """Decode until the end, or until the first frame that cannot be used, and say why it stopped there."""
    scan = _Scan()
    try:
        for packet in packets:
            scan.add_packet(packet)
            for frame in packet.decode():
                assert isinstance(frame, VideoFrame)
                scan.add_frame(frame)
            alive(len(scan.checksums))
    except (av.FFmpegError, RefusedError) as error:
        return scan, _words(error)
    return scan, ""


def _timestamps(times: Sequence[float | None], fps: float) -> tuple[list[float], bool]:
    """Frame times in seconds, and whether they are the file's own."""
    known = [time for time in times if time is not None]
    if len(known) == len(times) and all(a < b for a, b in pairwise(known)):
        return known, True
    return [index / (fps if fps > 0 else FRAME_FOLDER_FPS) for index in range(len(times))], False


def _runs(frames: int, keyframes: Sequence[int]) -> list[list[int]]:
    """Short runs of frames where readers go wrong: the start, the middle, the end, and around keyframes."""
    starts = [0, frames // 2, frames - 2, *(keyframe - 1 for keyframe in keyframes)]
    return [[f for f in range(start, start + 4) if 0 <= f < frames] for start in starts]


def _seek_is_exact(
    path: Path,
    tried: Sequence[int],
    timestamps: Sequence[float],
    keyframes: Sequence[int],
    checksums: Sequence[int],
) -> bool:
    """Whether seeking to some keyframes gives them and the frames after them as decoding from the start does."""
    # Each frame by a seek of its own. The end of a group is not tried: reaching it costs the whole group.
    frames = [frame for keyframe in tried for frame in (keyframe, keyframe + 1) if frame < len(checksums)]
    try:
        return all(
            zlib.crc32(read_pyav(path, [frame], timestamps, keyframes)[frame].data) == checksums[frame]
            for frame in frames
        )
    except (av.FFmpegError, IndexError):
        return False


def _words(error: Exception) -> str:
    text = error.strerror if isinstance(error, (OSError, av.FFmpegError)) and error.strerror else str(error)
    # decord puts the time, the line of its C++ source and the condition first.
    lines = re.sub(r"^\[[0-9:]+\] \S+: (Check failed: .*?\) ?)?", "", text.strip()).splitlines()
    return lines[0] if lines else type(error).__name__


def _answer(request: dict[str, Any], alive: Alive) -> dict[str, Any]:
    path = Path(request["path"])
    try:
        if request["do"] == "compare":
            return {"result": compare_decord(path, request["frames"], request["samples"], alive)}
        return {"result": (examine_images if path.is_dir() else examine_file)(path, alive)}
    except RefusedError as error:
        return {"refused": str(error)}
    except Exception as error:  # whatever a strange file brings up is named with that file, and the rest goes on
        return {"failed": f"the probe failed with {type(error).__name__}: {error}"}


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer requests until their stream ends."""
    said = time.monotonic()

    def say(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    def alive(frames: int) -> None:
        nonlocal said
        if time.monotonic() - said > _ALIVE_EVERY_S:
            said = time.monotonic()
            say({"alive": frames})

    say({"alive": 0})
    for line in requests:
        say(_answer(json.loads(line), alive))


if __name__ == "__main__":
    # Decoders write to standard output as they like; the answers go where nothing else writes.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as channel:
        os.dup2(2, 1)
        serve(sys.stdin, channel)
