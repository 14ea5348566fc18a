"""Spans of time that are kept from training: of windows that overlap, those that reach into one are not trained on."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from refine_motion.labels.track_windows import TrackWindow
from refine_motion.refine.holdout import LEAST_WINDOWS, HeldOut, in_blocks


@dataclass(frozen=True, order=True)
class _Span:
    """Frames of a video, from the first to the last."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    def holds(self, other: _Span) -> bool:
        """Whether all of the other lies inside."""
        return self.first <= other.first and other.last <= self.last


def hold_out_spans(windows: Sequence[TrackWindow], share: float, seed: int) -> HeldOut[TrackWindow]:
    """Spans as long as the longest window, spread evenly; blocks of the picture where that leaves too little.

    Windows inside a span are to judge by, those outside all spans to train on, and those across the end of one serve
    neither, so that a model is judged by frames that it was not trained on. Spans are in turn to choose by and to
    decide by, and there are at least two. The last one of an unbroken piece of video ends with it, where only one of
    its ends costs windows. With fewer than eight windows, or fewer than half of them left to train on, twice the share
    of the picture is held out in blocks instead.

    Args:
        windows: all of them.
        share: share of the time to hold out, in [0, 0.5]; 0 holds nothing out.
        seed: of the choice of blocks.
    """
    if share == 0:
        return HeldOut(list(windows), ([], []))
    by_video: dict[Path, list[_Span]] = {}
    for window in windows:
        by_video.setdefault(window.clip.video.path, []).append(_span(window))
    held = _held(by_video, share)
    halves: tuple[list[TrackWindow], list[TrackWindow]] = ([], [])
    training = []
    for window in windows:
        span = _span(window)
        spans = held.get(window.clip.video.path, [])
        # Spans do not overlap, so none before this one reaches farther.
        before = bisect_right(spans, span.last, key=lambda numbered: numbered[1].first) - 1
        if before < 0 or spans[before][1].last < span.first:
            training.append(window)
        elif spans[before][1].holds(span):
            halves[spans[before][0] % 2].append(window)
    if len(windows) < LEAST_WINDOWS or 2 * len(training) < len(windows) or not all(halves):
        return in_blocks(windows, share, seed)
    return HeldOut(training, halves)


def _span(window: TrackWindow) -> _Span:
    return _Span(window.clip.frames[0], window.clip.frames[-1])


def _held(by_video: dict[Path, list[_Span]], share: float) -> dict[Path, list[tuple[int, _Span]]]:
    """Numbered spans to hold out of each video, in order of time."""
    pieces = [(video, piece) for video, spans in by_video.items() for piece in _pieces(spans)]
    # A piece counts as often as its longest window goes into it.
    sizes = [_whole(piece).length / max(span.length for span in piece) for _, piece in pieces]
    count = max(2, round(share * sum(sizes)))
    held: dict[Path, list[tuple[int, _Span]]] = {}
    reached, taken, number = 0.0, 0, 0
    for (video, piece), size in zip(pieces, sizes, strict=True):
        reached += size
        # Rounding must not lose the last one.
        until = int(reached / sum(sizes) * count + 1e-6)
        for span in _spread(piece, until - taken):
            held.setdefault(video, []).append((number, span))
            number += 1
        taken = until
    return held


def _pieces(spans: list[_Span]) -> Iterator[list[_Span]]:
    """The windows of one video in groups that share no frame with one another."""
    group, reached, numbered = -1, -1, []
    for span in sorted(spans):
        group += span.first > reached
        reached = max(reached, span.last)
        numbered.append((group, span))
    for _, part in groupby(numbered, key=lambda pair: pair[0]):
        yield [span for _, span in part]


def _whole(piece: list[_Span]) -> _Span:
    return _Span(piece[0].first, max(span.last for span in piece))


def _spread(piece: list[_Span], count: int) -> Iterator[_Span]:
    """So many of the longest windows of a piece, as far as they fit without overlap, the last at its end."""
    longest = max(span.length for span in piece)
    candidates = sorted({span for span in piece if span.length == longest})
    whole = _whole(piece)
    begin = 0
    for number in range(count):
        target = whole.first + whole.length * (number + 1) / count - longest
        after = bisect_left(candidates, target, lo=begin, key=lambda span: span.first)
        near = [n for n in (after, after - 1) if begin <= n < len(candidates)]
        if not near:
            return
        chosen = candidates[min(near, key=lambda n: abs(candidates[n].first - target))]
        yield chosen
        begin = bisect_right(candidates, chosen.last, key=lambda span: span.first)
