"""Windows of frames with pseudo-tracks as training and validation samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from refine_motion.labels.opened import scattered
from refine_motion.labels.track_codec import TrackLabel
from refine_motion.labels.track_store import ClipKey
from refine_motion.labels.track_windows import TrackWindow
from refine_motion.labels.weighted import WeightedLabels
from refine_motion.motion.grid import resize_frames
from refine_motion.refine.holdout_spans import moments
from refine_motion.refine.made_tracks import random_clip
from refine_motion.refine.order import PairRequest, sample_seed
from refine_motion.video.reader import read_frames

# Windows besides its own that a made clip takes pieces from.
_OTHERS = 2
# Windows that are looked at for one with a track.
_TRIES = 16


@dataclass(frozen=True)
class TrackSource:
    """What both kinds of samples are taken from.

    Attributes:
        windows: windows with tracks.
        labels: these and their weights.
        points: tracks of a sample.
        seed: run seed.
        shown_size: of a frame size ``(H, W)``, to which it is brought; None leaves frames as they are.
        region: of a frame size ``(H, W)``, where tracks that begin there count as long as they stay there, ``(H, W)``
            bool; None is everywhere.
        least: frames in which a track has to be known to weigh anything, the first one included.
    """

    windows: Sequence[TrackWindow]
    labels: WeightedLabels[ClipKey, TrackLabel]
    points: int
    seed: int
    shown_size: Callable[[tuple[int, int]], tuple[int, int]] | None = None
    region: Callable[[tuple[int, int]], Tensor] | None = None
    least: int = 2

    def read(self, number: int) -> tuple[Tensor, TrackLabel, Tensor]:
        """Frames ``(S, 3, H, W)`` uint8 in the size and order of the tracks, the tracks, and weights ``(N,)`` of them.

        Raises:
            VideoError: frames cannot be read.
            LabelError: a label is missing or damaged.
        """
        window, (label, weight) = self.windows[number], self.tracks(number)
        frames = resize_frames(read_frames(window.clip.video, window.clip.frames), label.size)
        return frames.flip(0) if window.backward else frames, label, weight

    def tracks(self, number: int) -> tuple[TrackLabel, Tensor]:
        """The tracks of a window, and weights ``(N,)`` of them.

        Raises:
            LabelError: a label is missing or damaged.
        """
        key = self.windows[number].key
        label, weight = self.labels.read(key, sample_seed(self.seed, 0, key))
        if self.region is not None:
            label = while_inside(label, self.region(label.size))
            weight = weight * (label.known.sum(dim=0) >= self.least)
        return label, weight

    def picture(self, number: int) -> Tensor:
        """First frame of a window, ``(3, H, W)`` uint8.

        Raises:
            VideoError: it cannot be read.
        """
        clip = self.windows[number].clip
        frames = read_frames(clip.video, clip.frames[:1])
        if self.shown_size is not None:
            frames = resize_frames(frames, self.shown_size((frames.shape[-2], frames.shape[-1])))
        return frames[0]


class TrackSamples(Dataset[dict[str, Any]]):
    """Whole windows, each with tracks that are drawn anew in every epoch, as often as they weigh; see :func:`drawn`.

    In place of a window of which the rules keep nothing another one is taken, as in the published training.

    Args:
        source: what to take from.
        made_share: share of the samples that are made of their first frame and pieces of other windows' instead; see
            :func:`refine_motion.refine.made_tracks.random_clip`.
    """

    def __init__(self, source: TrackSource, made_share: float = 0.0):
        self.source, self.made_share = source, made_share

    def __len__(self) -> int:
        return len(self.source.windows)

    def __getitem__(self, request: PairRequest) -> dict[str, Any]:
        """``frames``, ``xy (S, N, 2)``, ``valid`` and ``visible (S, N)``, and ``seed``, ``epoch`` and ``clip``.

        Tracks are fewer than wanted where fewer weigh anything: the last ones are valid in no frame.
        """
        seed = sample_seed(self.source.seed, request.epoch, self.source.windows[request.number].key)
        number = self._with_tracks(request.number, seed ^ 4)
        window = self.source.windows[number]
        frames, label, weight = self.source.read(number)
        generator = torch.Generator().manual_seed(seed ^ 1)
        chosen = drawn(weight, self.source.points, generator)
        first, last = window.key.frames[0], window.key.frames[-1]
        sample = _tensors(label.keep(chosen), self.source.points)
        about = {"seed": seed, "epoch": request.epoch, "clip": f"{window.clip.video.path} (frames {first} to {last})"}
        chance = torch.rand(1, generator=torch.Generator().manual_seed(seed ^ 2)).item()
        if chance < self.made_share:
            frames, sample = self._made(frames[0], len(frames), seed ^ 3)
        return {"frames": frames, **sample, **about}

    def _with_tracks(self, number: int, seed: int) -> int:
        """A window with a track to learn from: this one, or another; after some tries, whatever it is."""
        generator = torch.Generator().manual_seed(seed)
        for _ in range(_TRIES):
            if (self.source.tracks(number)[1] > 0).any():
                break
            number = int(torch.randint(len(self), (1,), generator=generator))
        return number

    def _made(self, frame: Tensor, length: int, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Frames and tracks of a made clip, in which a frame is the background."""
        generator = torch.Generator().manual_seed(seed ^ 1)
        others = torch.randint(len(self), (_OTHERS,), generator=generator).tolist()
        pictures = [frame, *map(self.source.picture, others)]
        made = random_clip(pictures, length, self.source.points, seed)
        return made.frames, {"xy": made.xy, "valid": made.inside, "visible": made.visible}


class HeldOutTracks(Dataset[dict[str, Any]]):
    """Held-out windows with all their tracks that weigh anything.

    Args:
        source: what they are taken from.
        limit: at most so many, spread over all; None takes all.
    """

    def __init__(self, source: TrackSource, limit: int | None = None):
        self.source = source
        self.numbers = scattered(range(len(source.windows)), limit or len(source.windows))
        self.units = moments(source.windows)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Frames and tracks of one window.

        Returns:
            ``frames (S, 3, H, W)`` uint8; of the tracks that weigh anything ``places (S, N, 2)``, ``known (S, N)`` and
            ``flow (N, 2)`` and ``relative (N, 2)``, their displacement as far as it is known, and that against the
            dominant motion; ``window``, its number; ``unit``, the same for windows that share frames; ``counts``, False
            for what :class:`HeldOutOrder` repeats.
        """
        number = self.numbers[index if index >= 0 else -1 - index]
        frames, label, weight = self.source.read(number)
        kept = label.keep(weight > 0)
        tracks = {"places": kept.places, "known": kept.known, "flow": kept.flow, "relative": kept.relative}
        return {"frames": frames, **tracks, "window": number, "unit": self.units[number], "counts": index >= 0}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """All of them in order."""
        return (self[number] for number in range(len(self)))


def drawn(weight: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Numbers of tracks, each as often as it weighs: the whole part of its share of all, and one more as its rest says.

    Drawn without being put back, all would be there once where no more of them weigh anything than are wanted, and what
    they weigh would be lost. (Systematic resampling, Kitagawa 1996.)

    Args:
        weight: ``(N,)``, 0 and more.
        most: so many are drawn, or as many as weigh anything where that is fewer.
        generator: of the order, and of the offset at which shares are counted.

    Returns:
        ``(M,)`` int64.
    """
    order = torch.randperm(len(weight), generator=generator)
    order = order[weight[order] > 0]
    count = min(most, len(order))
    if not count:
        return order
    shares = weight[order].double().cumsum(dim=0)
    marks = torch.arange(count, dtype=torch.float64) + torch.rand((), generator=generator, dtype=torch.float64)
    # Rounding must not lead behind the last.
    return order[torch.searchsorted(shares, marks * (shares[-1] / count), right=True).clamp(max=len(order) - 1)]


def while_inside(label: TrackLabel, region: Tensor) -> TrackLabel:
    """Tracks that are known only as long as they stay in a region, and nowhere where they begin outside of it.

    Windows overlap, and go back in time too: a point that leaves one region for another is tracked from there as well,
    so that what is learnt and what is judged are apart only where each ends at its border.

    Args:
        label: tracks; what weighs, and the dominant motion, stay as they are.
        region: ``(H, W)`` bool, of the label's size.
    """
    height, width = label.size
    x, y = label.places.round().long().unbind(dim=-1)
    left = label.known & ~region[y.clamp(0, height - 1), x.clamp(0, width - 1)]
    return replace(label, seen_back=label.seen_back & (left.cumsum(dim=0) == 0), motion=label.dominant)


def _tensors(label: TrackLabel, points: int) -> dict[str, Tensor]:
    """Tracks as tensors of a fixed number, what is missing being valid nowhere."""
    frames, count = label.known.shape
    xy = torch.zeros(frames, points, 2)
    valid, visible = torch.zeros(2, frames, points, dtype=torch.bool)
    xy[:, :count], valid[:, :count], visible[:, :count] = label.places, label.known, label.known
    return {"xy": xy, "valid": valid, "visible": visible}
