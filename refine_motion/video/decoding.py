"""The two video decoders, PyAV and decord, reduced to numpy arrays. Nothing here imports torch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray


def open_video(path: Path) -> tuple[InputContainer, VideoStream]:
    """Open a file and choose its first video stream (cover pictures do not count).

    Raises:
        av.FFmpegError: if the file cannot be opened.
        ValueError: if it holds no video stream.
    """
    container = av.open(str(path))
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        container.close()
        raise ValueError("no video stream")
    # One thread: the work is spread over files and loader workers, and errors fall on the same frame every time.
    streams[0].codec_context.thread_count = 1
    return container, streams[0]


def frame_time(frame: VideoFrame) -> float | None:
    """Presentation time in seconds, or None where the container gives none."""
    return None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)


def to_rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """A decoded frame as ``(H, W, 3)`` uint8 RGB, contiguous, turned or mirrored as its display matrix says.

    The matrix is followed in multiples of 90 degrees; containers write no other.
    """
    # One thread: the threads that PyAV starts by default do not survive a fork, and the worker then hangs or crashes.
    image = np.asarray(frame.reformat(format="rgb24", threads=1).to_ndarray(), dtype=np.uint8)
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if isinstance(matrix, SideData):
        # Shown x = a x + c y, shown y = b x + d y, in 16.16 fixed point; rows of three.
        a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5]
        if a == 0 and d == 0:
            image, a, d = image.transpose(1, 0, 2), c, b
        image = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(image)


def read_pyav(
    path: Path, frames: Iterable[int], timestamps: Sequence[float], keyframes: Sequence[int]
) -> dict[int, NDArray[np.uint8]]:
    """Decode some frames with PyAV, equal to what decoding from the start would give.

    Frames after a seek are known by their timestamp, never by counting. Where a seek does not bring the frames
    (it went too far, or to frames without their timestamps), the file is decoded from the start.

    Args:
        path: the video file.
        frames: frame numbers wanted, in any order.
        timestamps: presentation time of every frame, seconds, increasing.
        keyframes: frame numbers, increasing, that a seek reaches exactly; empty where none is trusted, and then
            timestamps are not used.

    Returns:
        ``(H, W, 3)`` uint8 RGB arrays by frame number.

    Raises:
        av.FFmpegError: if the file cannot be opened or decoded.
        IndexError: if the file ends before a frame wanted; the message is the frame number.
    """
    wanted = sorted(set(frames))
    found: dict[int, NDArray[np.uint8]] = {}
    container, stream = open_video(path)
    with container:
        decoded: Iterator[tuple[int, VideoFrame]] = enumerate(container.decode(stream))
        reached = 0  # the next frame that the decoder will show
        for frame in wanted:
            before = bisect_right(keyframes, frame)
            keyframe = keyframes[before - 1] if before else 0
            if keyframe > reached:
                container.seek(_to_pts(timestamps[keyframe], stream), stream=stream)
                decoded = _known_by_time(container.decode(stream), timestamps, keyframe)
            for index, picture in decoded:
                reached = index + 1
                if index == frame:
                    found[index] = to_rgb(picture)
                if index >= frame:
                    break
            if frame not in found:
                break
    missing = [frame for frame in wanted if frame not in found]
    if missing and keyframes:
        return found | read_pyav(path, missing, timestamps, keyframes=())
    if missing:
        raise IndexError(missing[0])
    return found


def read_decord(path: Path, frames: Sequence[int]) -> NDArray[np.uint8]:
    """Decode frames with decord, ``(T, H, W, 3)`` uint8 RGB, in the order given.

    Raises:
        RuntimeError, IndexError: if the file or a frame cannot be read.
    """
    import decord

    # Opened here, one thread, and let go at once: a reader opened before a fork hangs, and one that lies idle goes on
    # decoding until the whole file is in memory.
    decord.logging.set_level(decord.logging.QUIET)
    try:
        batch = decord.VideoReader(str(path), num_threads=1).get_batch(list(frames))
    except decord.DECORDError as error:
        raise RuntimeError(str(error)) from error
    # The program around us may have set decord's global bridge to torch; its tensors convert without a copy.
    return batch.asnumpy() if hasattr(batch, "asnumpy") else np.asarray(batch)


def count_decord(path: Path) -> int:
    """Number of frames that decord believes a file has.

    Raises:
        RuntimeError: if the file cannot be opened.
    """
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    try:
        return len(decord.VideoReader(str(path), num_threads=1))
    except decord.DECORDError as error:
        raise RuntimeError(str(error)) from error


def _known_by_time(
    decoded: Iterator[VideoFrame], timestamps: Sequence[float], first: int
) -> Iterator[tuple[int, VideoFrame]]:
    """Number frames by their timestamps, leaving out what comes before ``first`` (it may lack its references)."""
    for picture in decoded:
        time = frame_time(picture)
        if time is not None and time < timestamps[first]:
            continue
        index = bisect_right(timestamps, time) - 1 if time is not None else -1
        if index < 0 or timestamps[index] != time:
            return
        yield index, picture


def _to_pts(seconds: float, stream: VideoStream) -> int:
    assert stream.time_base is not None  # every demuxed stream has one
    return round(seconds / stream.time_base)
