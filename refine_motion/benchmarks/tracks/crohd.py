"""CroHD (Sundararaman et al., CVPR 2021, "HT21"): heads in crowds, as PIPs and arXiv 2401.00850 track them.

Layout::

    HT21/train/HT21-01/img1/000001.jpg …
    HT21Labels/train/HT21-01/gt/gt.txt         or gt/gt.txt beside img1/
      frame, head, left, top, width, height, confidence, class, visibility; numbers from 1

Clips (aharley/pips ``crohddataset.py``, ``test_on_crohd.py``): 24 frames one after the other, every third of them used,
at 768 x 1280; a head's place is the centre of its box; the error is a mean over the heads and the frames of a clip,
the first one with its error of 0 included, and then over clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from refine_motion.benchmarks.flow_pair import read_picture
from refine_motion.benchmarks.pictures import read_images, scaled
from refine_motion.benchmarks.tracks.benchmark import Column, TrackBenchmark
from refine_motion.benchmarks.tracks.scoring import ERROR_COLUMNS, ERROR_NOTE, error_scores
from refine_motion.benchmarks.tracks.video import TrackVideo, ask
from refine_motion.errors import BenchmarkError
from refine_motion.types import Tracks

SIZE = (768, 1280)
CLIP, STEP = 24, 3
# Of PIPs: how far a head has to move, summed over the frames in pixels of the file, and how many are used of a clip.
MOTION, MOST = 150.0, 16
LEAK = (
    "NOTE: heads were chosen by their true motion (above 150 px) and true visibility, so the numbers are of "
    "hand-picked heads; use them only beside the published ones."
)


class Crohd(TrackBenchmark):
    """CroHD; see :mod:`refine_motion.benchmarks.tracks.crohd`.

    Args:
        root: folder that holds ``HT21/``.
        preset: ``clean``: every head that is seen in the first frame of a clip, whatever it does later, and scored
            wherever it has a box. ``paper``: PIPs' rule, which **leaks truth into the choice of what is scored**: a
            head must have a box in all 8 frames, be seen in the first two, and truly move more than 150 px; at most the
            first 16 that are seen throughout (column "vis"), and the first 16 that are hidden now and then ("occ"). In
            both, points start at true places, as in all benchmarks of tracked points. Unlike PIPs' script, every clip
            is visited once, and clips without such heads are counted as skipped.
        split: ``train`` has public labels.
    """

    def __init__(
        self,
        root: str | None = None,
        preset: Literal["clean", "paper"] = "clean",
        split: Literal["train", "val", "test"] = "train",
    ):
        super().__init__(root)
        self.preset, self.split = preset, split
        self.columns = _PAPER_COLUMNS if preset == "paper" else ERROR_COLUMNS

    @property
    def title(self) -> str:
        """The preset."""
        return f"CroHD {self.split}, {self.preset}, 768 x 1280"

    @property
    def notes(self) -> tuple[str, ...]:
        """The scores, and what the preset of the paper leaks."""
        if self.preset == "clean":
            return (ERROR_NOTE,)
        return ("ATE: mean error in px; vis: of heads seen in all 8 frames of a clip, occ: of the others.", LEAK)

    def videos(self) -> Iterator[TrackVideo]:
        """The clips of all sequences, each once.

        Raises:
            BenchmarkError: there is no sequence, or its labels or frames are missing, damaged or do not fit.
        """
        self.skipped.clear()
        root = self.place()
        sequences = sorted(path.parent for path in (root / "HT21" / self.split).glob("*/img1"))
        if not sequences:
            raise BenchmarkError(f"{root}: has no HT21/{self.split}/*/img1; give the folder that holds HT21/")
        for folder in sequences:
            yield from self._clips(folder, _labels_of(root, folder, self.split))

    def scores(self, video: TrackVideo, tracks: Tracks) -> dict[str, float]:
        """See :func:`refine_motion.benchmarks.tracks.scoring.error_scores`."""
        return error_scores(video, tracks)

    def _clips(self, folder: Path, file: Path) -> Iterator[TrackVideo]:
        centres, present, seen = read_heads(file)
        images = sorted((folder / "img1").glob("*.jpg"))
        count = len(centres)
        if len(images) < count:
            raise BenchmarkError(f"{folder / 'img1'}: {len(images)} frames, but {file} has heads up to frame {count}")
        height, width = read_picture(images[0]).shape[1:]
        for begin in range(0, count - CLIP + 1, CLIP):
            taken = slice(begin, begin + CLIP, STEP)
            heads = self._choose(centres[taken], present[taken], seen[taken])
            if not len(heads):
                self.skipped["clips without a head that fits the rule"] += 1
                continue
            xy = scaled(centres[taken][:, heads], (height, width), SIZE)
            points = torch.arange(len(heads))
            yield TrackVideo(
                name=f"{folder.name}/{begin + 1:06d}",
                size=SIZE,
                frames=partial(read_images, images[taken], SIZE),
                xy=xy,
                visible=seen[taken][:, heads],
                valid=present[taken][:, heads],
                queries=ask(torch.zeros_like(points), points, xy),
                points=points,
                recording=folder.name,
            )

    def _choose(self, centres: Tensor, present: Tensor, seen: Tensor) -> Tensor:
        """Numbers of the heads of a clip that are scored."""
        if self.preset == "clean":
            return torch.nonzero(seen[0])[:, 0]
        moves = (centres[1:] - centres[:1]).norm(dim=-1).sum(dim=0) > MOTION
        fits = present.all(dim=0) & seen[:2].all(dim=0) & moves
        throughout = seen.all(dim=0)
        each = (torch.nonzero(fits & kind)[:MOST, 0] for kind in (throughout, ~throughout))
        return torch.cat(list(each))


_PAPER_COLUMNS = (
    Column("ate_visible", "ATE vis", lower_is_better=True),
    Column("ate_occluded", "ATE occ", lower_is_better=True),
)


def read_heads(file: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Labels of a sequence.

    Returns:
        Centres ``(T, N, 2)`` float32 in pixels, where there is a box ``(T, N)`` and where the head is wholly seen
        (visibility 1) ``(T, N)``, both bool. Frames and heads run to the largest numbers in the file.

    Raises:
        BenchmarkError: the file cannot be read.
    """
    try:
        rows = np.loadtxt(file, delimiter=",", ndmin=2, dtype=np.float64)
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{file}: cannot be read as a table of numbers ({error}); get the file again") from error
    if not rows.size or rows.shape[1] < 9 or (rows[:, :2] < 1).any():
        raise BenchmarkError(f"{file}: is not frame, head, left, top, width, height, conf, class, visibility from 1")
    frame, head = (rows[:, column].astype(int) - 1 for column in (0, 1))
    shape = (frame.max() + 1, head.max() + 1)
    centres, present, seen = np.zeros((*shape, 2), np.float32), np.zeros(shape, bool), np.zeros(shape, bool)
    # A box begins at an edge of pixels; half a pixel less is the same place counted from pixel centres.
    centres[frame, head] = rows[:, 2:4] + rows[:, 4:6] / 2 - 0.5
    present[frame, head] = True
    seen[frame, head] = rows[:, 8] == 1
    return torch.from_numpy(centres), torch.from_numpy(present), torch.from_numpy(seen)


def _labels_of(root: Path, folder: Path, split: str) -> Path:
    places = (root / "HT21Labels" / split / folder.name / "gt" / "gt.txt", folder / "gt" / "gt.txt")
    for file in places:
        if file.is_file():
            return file
    raise BenchmarkError(f"{places[0]}: missing, and {places[1]} as well; add the labels of {folder.name}")
