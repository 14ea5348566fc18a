"""Which frame pairs of which videos are labelled, grouped into windows that are read in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from refine_motion.labels.store import PairKey
from refine_motion.video.clips import Clip, pairs, windows_of
from refine_motion.video.info import VideoInfo


@dataclass(frozen=True)
class PairWindow:
    """A window of frames and the pairs taken from it.

    Attributes:
        clip: the frames.
        pairs: positions ``(a, b)`` in the window.
    """

    clip: Clip
    pairs: tuple[tuple[int, int], ...]

    def label_keys(self) -> list[PairKey]:
        """The name of each pair in a label store."""
        frames = self.clip.frames
        return [PairKey(self.clip.video.key, frames[a], frames[b]) for a, b in self.pairs]

    def only(self, wanted: set[PairKey]) -> PairWindow | None:
        """The same window with just the wanted pairs; None where there are none of them."""
        kept = tuple(pair for pair, key in zip(self.pairs, self.label_keys(), strict=True) if key in wanted)
        return replace(self, pairs=kept) if kept else None


def plan_windows(
    videos: Sequence[VideoInfo],
    length: int,
    frame_steps: Sequence[int],
    seconds_per_step: float | None = None,
) -> list[PairWindow]:
    """Windows over all videos in which every pair of the wanted steps occurs once.

    Args:
        videos: where to take them from.
        length: frames per window; raised where a frame step needs more.
        frame_steps: distances between the two frames of a pair: frames, or multiples of ``seconds_per_step``.
        seconds_per_step: thin the videos out by time first.

    Raises:
        VideoError: no video holds a pair.
        ConfigError: a number is not positive.
    """
    clips = windows_of(
        videos,
        max(length, max(frame_steps) + 1),
        step_seconds=seconds_per_step,
        max_pair_step=max(frame_steps),
    )
    # By first frame, so that a window cut short keeps pairs of every step.
    planned = [PairWindow(clip, tuple(sorted(pairs(clip, frame_steps)))) for clip in clips]
    return [window for window in planned if window.pairs]


def thin_out(planned: Sequence[PairWindow], max_pairs: int) -> list[PairWindow]:
    """At most ``max_pairs`` pairs, from windows spread evenly over all videos.

    Args:
        planned: all windows.
        max_pairs: at least 1.
    """
    total = sum(len(window.pairs) for window in planned)
    if total <= max_pairs:
        return list(planned)
    chosen: list[PairWindow] = []
    count = min(len(planned), max(1, round(len(planned) * max_pairs / total)))
    room = max_pairs
    for number in range(count):
        window = planned[number * len(planned) // count]
        # Spread what is left over the windows that are left, so that the last ones are not starved.
        share = -(-room // (count - number))
        window = replace(window, pairs=window.pairs[:share])
        room -= len(window.pairs)
        chosen.append(window)
    return chosen
