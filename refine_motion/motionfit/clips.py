"""Clips of videos with labels: drawn at random to learn from, spread over the video to judge by.

All numbers of frames are those of the timeline, see :mod:`refine_motion.motionfit.timeline`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset

from refine_motion.motionfit.granularity import Cell, Granularity
from refine_motion.motionfit.readers import ClipReader
from refine_motion.motionfit.timeline import timeline
from refine_motion.training.stream import ENDLESS, sample_seed
from refine_motion.video.info import VideoInfo


@dataclass(frozen=True)
class LabelledVideo:
    """A video and the number of its class."""

    video: VideoInfo
    label: int


@dataclass(frozen=True)
class LabelledCell:
    """A cell of a video and its pseudo-label.

    Attributes:
        cell: which.
        label: number of its cluster or class.
        weight: by which the loss of its clips is multiplied.
    """

    cell: Cell
    label: int
    weight: float = 1.0


def starts(frames: int, length: int, stride: int, reader: ClipReader) -> range:
    """Where a clip may begin in a video; nowhere where it is too short.

    Args:
        frames: of the video's timeline.
        length: frames of the clip.
        stride: frames from one of them to the next.
        reader: of the clips.
    """
    return range(0, max(0, frames - (length - 1) * stride), reader.step(stride))


def fitting_stride(frames: int, length: int, stride: int) -> int:
    """The stride of clips to judge a video by: the one asked for, or the largest that a short video has room for.

    Test sets have videos of less than a second; left out, the score would be of another test set.

    Args:
        frames: of the video's timeline.
        length: frames of a clip.
        stride: asked for.

    Returns:
        0 where there is no room at any.
    """
    return stride if length == 1 else min(stride, (frames - 1) // (length - 1))


class DrawnClips(Dataset[dict[str, Tensor]]):
    """Clips of labelled videos without end: every video once, in an order that is drawn anew each time around.

    Args:
        videos: each with room for a clip of one of the strides.
        reader: reads the clips.
        length: T, frames of a clip.
        strides: each clip has one of them, drawn among those that the video has room for.
        clips: N of each video.
        seed: of order, strides and starts.
    """

    def __init__(
        self,
        videos: Sequence[LabelledVideo],
        reader: ClipReader,
        length: int,
        strides: Sequence[int],
        clips: int,
        seed: int,
    ):
        self.videos, self.reader, self.length, self.strides = list(videos), reader, length, tuple(strides)
        self.clips, self.seed = clips, seed
        self._round, self._order = -1, torch.empty(0)

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Sample ``number``.

        Returns:
            ``clips`` ``(N, C, T, H, W)`` as the reader gives them, ``label`` int64 and ``weight``, which is 1.

        Raises:
            VideoError: a frame cannot be read.
            LabelError: flow cannot be read.
        """
        around, place = divmod(number, len(self.videos))
        if around != self._round:
            generator = Generator().manual_seed(sample_seed(self.seed, around, "order"))
            self._round, self._order = around, torch.randperm(len(self.videos), generator=generator)
        chosen = self.videos[int(self._order[place])]
        frames = len(timeline(chosen.video, self.reader.footage.fps))
        generator = Generator().manual_seed(sample_seed(self.seed, number, "clips"))
        read = []
        for _ in range(self.clips):
            room = [(s, found) for s in self.strides if (found := starts(frames, self.length, s, self.reader))]
            stride, found = room[_below(len(room), generator)]
            read.append(self.reader.read(chosen.video, found[_below(len(found), generator)], stride, self.length))
        return _sample(torch.stack(read), chosen.label)


class CellClips(Dataset[dict[str, Tensor]]):
    """Clips of cells with pseudo-labels without end: every label equally often, however many cells have it.

    Args:
        cells: all that may be learnt from; cells in which no clip has its middle are left out.
        videos: by their keys.
        reader: reads the clips.
        granularity: of the cells.
        length: T, frames of a clip.
        clips: N of a cell.
        seed: of everything that is drawn.

    Attributes:
        cells: those in use, by label.
    """

    def __init__(
        self,
        cells: Sequence[LabelledCell],
        videos: Mapping[str, VideoInfo],
        reader: ClipReader,
        granularity: Granularity,
        length: int,
        clips: int,
        seed: int,
    ):
        self.videos, self.reader, self.granularity, self.length = dict(videos), reader, granularity, length
        self.clips, self.seed = clips, seed
        by_label: dict[int, list[LabelledCell]] = defaultdict(list)
        for cell in cells:
            if self._starts(cell.cell):
                by_label[cell.label].append(cell)
        self.cells = {label: by_label[label] for label in sorted(by_label)}

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Sample ``number``; see :meth:`DrawnClips.__getitem__`. ``weight`` is that of the cell."""
        labels = list(self.cells)
        around, place = divmod(number, len(labels))
        order = torch.randperm(len(labels), generator=Generator().manual_seed(sample_seed(self.seed, around, "order")))
        members = self.cells[labels[int(order[place])]]
        generator = Generator().manual_seed(sample_seed(self.seed, number, "clips"))
        chosen = members[_below(len(members), generator)]
        found, cell = self._starts(chosen.cell), chosen.cell
        read = [
            self.reader.read(self.videos[cell.video], found[_below(len(found), generator)], cell.stride, self.length)
            for _ in range(self.clips)
        ]
        return _sample(torch.stack(read), chosen.label, chosen.weight)

    def _starts(self, cell: Cell) -> range:
        frames, step = len(timeline(self.videos[cell.video], self.reader.footage.fps)), self.reader.step(cell.stride)
        found = self.granularity.starts_in(cell, frames, self.length)
        return range(-(-found.start // step) * step, found.stop, step)


class SpreadClips(Dataset[dict[str, Tensor]]):
    """Clips at even distances over each video, to judge it by.

    Args:
        videos: each with room for a clip.
        reader: reads the clips.
        length: T, frames of a clip.
        stride: frames from one of them to the next; see :func:`fitting_stride`.
        count: K of each video; some come again where it has not so many.
    """

    def __init__(self, videos: Sequence[LabelledVideo], reader: ClipReader, length: int, stride: int, count: int):
        self.videos, self.reader = list(videos), reader
        self.length, self.stride, self.count = length, stride, count

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Video ``number``: ``clips`` ``(K, C, T, H, W)``, ``label`` and ``number``, int64.

        Raises:
            IndexError: there is none.
            VideoError: a frame cannot be read.
            LabelError: flow cannot be read.
        """
        chosen = self.videos[number]
        frames = len(timeline(chosen.video, self.reader.footage.fps))
        stride = fitting_stride(frames, self.length, self.stride)
        found = starts(frames, self.length, stride, self.reader)
        last = len(found) - 1
        # One clip is that of the middle.
        places = torch.tensor([last / 2]) if self.count == 1 else torch.linspace(0, last, self.count)
        read = [
            self.reader.read(chosen.video, found[place], stride, self.length)
            for place in places.round().long().tolist()
        ]
        return {"clips": torch.stack(read), "label": torch.tensor(chosen.label), "number": torch.tensor(number)}


def _below(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _sample(clips: Tensor, label: int, weight: float = 1.0) -> dict[str, Tensor]:
    return {"clips": clips, "label": torch.tensor(label), "weight": torch.tensor(weight)}
