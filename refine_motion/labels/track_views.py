"""Views of the teacher of tracks: how a model of windows is shown them, as a text in ``label.views``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from refine_motion.errors import ConfigError
from refine_motion.labels.views import View, parse_view


@dataclass(frozen=True)
class TrackView:
    """How a model goes through a window.

    Attributes:
        view: how the frames are resized and mirrored.
        iters: iterations of the model.
        frames: in sub-windows of so many frames, each begun where the one before ended; None is the whole window at
            once. A model that first takes points to be at rest is nearer to those that move fast.
        reversed: places are those of the frames in reverse order of time, that is of the way back from where the way
            there ended; which way comes first matters where they err apart.
    """

    view: View
    iters: int
    frames: int | None = None
    reversed: bool = False


def parse_track_view(text: str, iters: int) -> TrackView:
    """The view of a text such as ``1.5x flip reversed 4 frames 12 iters``; all but the scale may be left out.

    Args:
        text: a view of :func:`refine_motion.labels.views.parse_view`, and words after it.
        iters: where the text names none.

    Raises:
        ConfigError: it is none.
    """
    found = re.fullmatch(r"(.*?)( reversed)?(?: (\d+) frames)?(?: (\d+) iters)?", text, re.DOTALL)
    assert found is not None  # It fits everything.
    view, count = parse_view(found[1]), int(found[4] or iters)
    frames = int(found[3]) if found[3] else None
    if count < 1:
        raise ConfigError(f"no view {text!r}: a model iterates at least once")
    if frames is not None and frames < 2:
        raise ConfigError(f"no view {text!r}: a sub-window has at least 2 frames")
    return TrackView(view, count, frames, found[2] is not None)
