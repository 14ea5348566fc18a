"""Does a point stay on its object? DAVIS 2016 and 2017 (Perazzi et al., CVPR 2016; Pont-Tuset et al., 2017).

Layout::

    JPEGImages/480p/<sequence>/00000.jpg …
    Annotations/480p/<sequence>/00000.png …     2017: palette, the number of the object, 255 = void; 2016: 0 or 255
    ImageSets/2017/val.txt, ImageSets/2016/val.txt

Protocol, our own, for masks are public where true tracks are not: points on a grid inside each object's mask of the
first frame, a few pixels from its edge, so that no truth of motion is needed to choose them; they are followed, and
wherever a point is said to be seen it has to lie on the mask of the same object. Points that are said to be hidden do
not count, so what share was said to be seen is told as well; nor do those on void, of which nobody says what it is. The
test sets have masks of the first frame alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.benchmarks.masks.davis import Davis
from refine_motion.benchmarks.pictures import read_images
from refine_motion.benchmarks.tracks.benchmark import Column, TrackBenchmark
from refine_motion.benchmarks.tracks.video import TrackVideo
from refine_motion.errors import BenchmarkError
from refine_motion.metrics.functional.masks import VOID
from refine_motion.types import Tracks

# Points of an object, about, and how far from its edge, in pixels.
POINTS, MARGIN = 50, 4


class DavisMasks(TrackBenchmark):
    """DAVIS's masks; see :mod:`refine_motion.benchmarks.tracks.davis_masks`.

    Args:
        root: folder that holds ``JPEGImages/`` and ``Annotations/``.
        year: of the list of sequences; of 2016, all objects are one.
        split: ``train`` or ``val``; or ``all``, the sequences of the folder without any list.
    """

    columns = (Column("on_object", "on object", 100), Column("seen", "seen", 100, lower_is_better=None))

    def __init__(
        self,
        root: str | None = None,
        year: Literal[2016, 2017] = 2017,
        split: Literal["train", "val", "all"] = "val",
    ):
        super().__init__(root)
        self.year, self.split = year, split

    @property
    def title(self) -> str:
        """The split."""
        return f"DAVIS {self.year} {self.split}, points on their object, 480p"

    @property
    def notes(self) -> tuple[str, ...]:
        """The scores."""
        return (
            "on object: % of the later places where a point is said to be seen that lie on the object it began on. "
            "seen: % of later places where it is said to be seen. Truth gives masks alone: not where on the object.",
        )

    def videos(self) -> Iterator[TrackVideo]:
        """The sequences.

        Raises:
            BenchmarkError: there are none, or frames or masks are missing, damaged or do not fit together.
        """
        self.skipped.clear()
        for sequence in Davis(str(self.place()), self.year, self.split).sequences():
            files = sequence.annotations
            known = torch.tensor([file.is_file() for file in files])
            if not known[0]:
                raise BenchmarkError(
                    f"{files[0]}: no mask of the first frame of {sequence.name}; give DAVIS's own folders"
                )
            first = sequence.truth(0, with_void=True)
            masks = torch.zeros(len(files), *first.shape, dtype=torch.uint8)
            for number in known.nonzero()[:, 0].tolist():
                masks[number] = sequence.truth(number, (first.shape[0], first.shape[1]), with_void=True)
            yield _video(sequence.name, sequence.images, masks, known)

    def scores(self, video: TrackVideo, tracks: Tracks) -> dict[str, float]:
        """``on_object`` and ``seen``, shares in 0..1; see :func:`on_object`."""
        assert video.masks is not None
        x, y = video.queries[:, 1:].round().long().unbind(dim=1)
        later = video.valid[:, video.points].clone()
        later[0] = False
        return on_object(tracks, video.masks, video.masks[0, y, x], later)


def inside_points(mask: Tensor) -> Tensor:
    """About 50 points on a grid inside a mask ``(H, W)`` bool, 4 px from its edge; nearer where it is thinner.

    Returns:
        ``(N, 2)`` float32 x, y; none of an empty mask.
    """
    inner = mask
    for _ in range(MARGIN):
        # The edge of the frame is an edge of the object.
        smaller = 1 - F.max_pool2d(F.pad(1 - inner[None, None].float(), (1, 1, 1, 1), value=1.0), 3, stride=1)[0, 0]
        if not smaller.any():
            break
        inner = smaller.bool()
    step = max(1, round(float(inner.sum() / POINTS) ** 0.5))
    rows, columns = torch.nonzero(inner).unbind(dim=1)
    grid = (rows % step == step // 2) & (columns % step == step // 2)
    # A thin object may lie between the lines of the grid.
    chosen = grid if grid.any() else torch.arange(len(rows)) % max(1, len(rows) // POINTS) == 0
    return torch.stack((columns[chosen], rows[chosen]), dim=1).float()


def on_object(tracks: Tracks, masks: Tensor, objects: Tensor, counted: Tensor) -> dict[str, float]:
    """Whether points lie on their objects.

    Args:
        tracks: ``(T, M)``.
        masks: ``(T, H, W)`` numbers of objects; at places in void (255) nothing counts.
        objects: ``(M,)`` the number of each point's object.
        counted: ``(T, M)`` bool.

    Returns:
        ``on_object``: of the counted places said to be seen, the share on the same object (0..1; not a number where
        none is said to be seen); ``seen``: of the counted places, the share said to be seen.
    """
    height, width = masks.shape[1:]
    x, y = tracks.xy.nan_to_num(nan=-1.0).round().clamp(-1, max(height, width)).long().unbind(dim=-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    time = torch.arange(len(masks))[:, None]
    there = masks[time, y.clamp(0, height - 1), x.clamp(0, width - 1)]
    counted = counted & ~(inside & (there == VOID))
    seen = counted & tracks.visible
    right = seen & inside & (there == objects)
    return {
        "on_object": float(right.sum().double() / seen.sum()),
        "seen": float(seen.sum().double() / counted.sum()),
    }


def _video(name: str, images: Sequence[Path], masks: Tensor, known: Tensor) -> TrackVideo:
    objects = [int(number) for number in masks[0].unique() if number not in (0, VOID)]
    starts = torch.cat([torch.empty(0, 2), *(inside_points(masks[0] == number) for number in objects)])
    count = len(starts)
    return TrackVideo(
        name=name,
        size=(masks.shape[1], masks.shape[2]),
        frames=partial(read_images, images),
        # Where a point goes is not known.
        xy=starts.expand(len(images), -1, -1),
        visible=torch.zeros(len(images), count, dtype=torch.bool),
        valid=known[:, None].expand(-1, count),
        queries=torch.cat((torch.zeros(count, 1), starts), dim=1),
        points=torch.arange(count),
        masks=masks,
    )
