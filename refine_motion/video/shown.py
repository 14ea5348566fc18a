"""Frames of a video with a progress bar beside them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from refine_motion.video.info import VideoInfo
from refine_motion.video.stream import stream_frames


def shown_frames(info: VideoInfo, what: str) -> Iterator[Tensor]:
    """As :func:`refine_motion.video.stream.stream_frames`, with a bar on the error stream, when that is a terminal.

    Args:
        info: the probed video.
        what: is being done; one word beside the bar.
    """
    console = Console(stderr=True)
    # To a file it would write an empty line, and that when its frames are no longer asked for.
    with Progress(transient=True, console=console, disable=not console.is_terminal) as progress:
        yield from progress.track(stream_frames(info), total=info.frames, description=what)
