"""Spans of time that are kept from training: of windows that overlap, those that reach into one are not trained on."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_motion.labels.track_windows import TrackWindow
from refine_motion.refine.holdout import LEAST_WINDOWS, HeldOut, in_blocks

# Of one moment nobody can tell how much moments differ: two to choose by, and two to decide by.
_LEAST_SPANS = 4
# So much of the longest window's length is long enough for a span.
_NEARLY = 0.9


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
    decide by. There are at least four, and so many that at least half of the windows are left to train on, if that is
    fewer than the share. The last one of an unbroken piece of video ends with it, where only one of its ends costs
    windows; a piece shorter than two windows is held out as a whole. Where there are fewer than eight windows, or four
    spans leave too little, twice the share of the picture is held out in blocks instead.

    Args:
        windows: all of them.
        share: share of the time to hold out, in [0, 0.5]; 0 holds nothing out.
        seed: of the choice of blocks.
    """
    if share == 0:
        return HeldOut(list(windows), ([], []))
    pieces = _pieces(windows)
    count = max(_LEAST_SPANS, round(share * sum(piece.size for piece in pieces)))
    while len(windows) >= LEAST_WINDOWS and count >= _LEAST_SPANS:
        held = _held(pieces, count)
        found = _parted(windows, held)
        # Not all that were asked for may have found room.
        if 2 * len(found.training) >= len(windows) and sum(map(len, held.values())) >= _LEAST_SPANS:
            return found
        # By a tenth, and at last to the least.
        count = max(_LEAST_SPANS, count * 9 // 10) if count > _LEAST_SPANS else 0
    return in_blocks(windows, share, seed)


def moments(windows: Sequence[TrackWindow]) -> list[str]:
    """Names, the same for windows of the same piece of video, which are not independent of one another.

    Args:
        windows: any.
    """
    begin = {(p.video, span): f"{p.video} from {p.whole.first}" for p in _pieces(windows) for span in p.spans}
    return [begin[window.clip.video.path, _span(window)] for window in windows]


@dataclass(frozen=True)
class _Piece:
    """Windows of one video that hang together by the frames they share, in order of time."""

    video: Path
    spans: list[_Span]

    @property
    def whole(self) -> _Span:
        return _Span(self.spans[0].first, max(span.last for span in self.spans))

    @property
    def longest(self) -> int:
        return max(span.length for span in self.spans)

    @property
    def size(self) -> float:
        """How often its longest window goes into it."""
        return self.whole.length / self.longest


def _span(window: TrackWindow) -> _Span:
    return _Span(window.clip.frames[0], window.clip.frames[-1])


def _parted(windows: Sequence[TrackWindow], held: dict[Path, list[tuple[int, _Span]]]) -> HeldOut[TrackWindow]:
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
    return HeldOut(training, halves)


def _held(pieces: list[_Piece], count: int) -> dict[Path, list[tuple[int, _Span]]]:
    """Numbered spans to hold out of each video, in order of time."""
    held: dict[Path, list[tuple[int, _Span]]] = {}
    total = sum(piece.size for piece in pieces)
    reached, taken, number = 0.0, 0, 0
    for piece in pieces:
        reached += piece.size
        # Rounding must not lose the last one.
        until = int(reached / total * count + 1e-6)
        for span in _spread(piece, until - taken):
            held.setdefault(piece.video, []).append((number, span))
            number += 1
        taken = until
    return held


def _pieces(windows: Sequence[TrackWindow]) -> list[_Piece]:
    by_video: dict[Path, list[_Span]] = {}
    for window in windows:
        by_video.setdefault(window.clip.video.path, []).append(_span(window))
    pieces: list[_Piece] = []
    for video, spans in by_video.items():
        reached = -1
        for span in sorted(spans):
            if span.first > reached:
                pieces.append(_Piece(video, []))
            pieces[-1].spans.append(span)
            reached = max(reached, span.last)
    return pieces


def _spread(piece: _Piece, count: int) -> Iterator[_Span]:
    """So many of the longest windows of a piece, as far as they fit without overlap, the last at its end."""
    whole, longest = piece.whole, piece.longest
    if count and piece.size < 2:
        yield whole
        return
    # Where frames are thinned out by time, windows differ a little in length.
    candidates = sorted({span for span in piece.spans if span.length >= _NEARLY * longest})
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
