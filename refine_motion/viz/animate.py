"""Short moving pictures, embedded in a page as animated WebP."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from torch import Tensor

from refine_motion.viz.markup import data_uri, figure, image_tag, to_pillow

_QUALITY = 82


@dataclass(frozen=True)
class Animation:
    """A moving picture in a loop, stopped and started by a click or the space key.

    It stands still at first for readers whose system asks for less motion, and in print.

    Attributes:
        frames: ``(3, H, W)`` uint8 RGB each, of one size.
        fps: frames per second.
        caption: prose below it.
        alt: what it shows, for who does not see it.

    Raises:
        ValueError: see :func:`encode_webp`.
    """

    frames: Sequence[Tensor]
    fps: float
    caption: str
    alt: str

    def html(self) -> str:
        """Markup of the moving picture and of its first frame."""
        moving = data_uri(encode_webp(self.frames, self.fps), "image/webp")
        height, width = self.frames[0].shape[1:]
        body = (
            '<label class="animation"><input type="checkbox" autocomplete="off">'
            f'<img class="moving" src="{moving}" alt="{escape(self.alt)}" width="{width}" height="{height}">'
            f'<span class="still">{image_tag(self.frames[0], f"First frame: {self.alt}", "photo")}</span>'
            '<span class="control">Play or pause</span></label>'
        )
        return figure(body, self.caption, "narrow")


def encode_webp(frames: Sequence[Tensor], fps: float) -> bytes:
    """An animated WebP that loops for ever.

    Args:
        frames: ``(3, H, W)`` uint8 RGB each, of one size.
        fps: frames per second; the format counts whole milliseconds, which are dealt out so that none is lost.

    Raises:
        ValueError: there are no frames, they differ in size or are no pictures, or the rate is not positive.
    """
    if not frames or len({frame.shape for frame in frames}) > 1:
        raise ValueError("an animation needs frames of one size")
    if not fps > 0:
        raise ValueError(f"an animation needs a positive rate, not {fps} frames per second")
    first, *others = (to_pillow(frame) for frame in frames)
    ends = [round(1000 * index / fps) for index in range(len(frames) + 1)]
    durations = [end - start for start, end in pairwise(ends)]
    stream = io.BytesIO()
    first.save(stream, "webp", save_all=True, append_images=others, duration=durations, loop=0, quality=_QUALITY)
    return stream.getvalue()
