"""CroHD (Sundararaman et al., CVPR 2021, "HT21"): heads in crowds, as PIPs and arXiv 2401.00850 track them.

Layout::

    HT21/train/HT21-01/img1/000001.jpg …
    HT21Labels/train/HT21-01/gt/gt.txt         or gt/gt.txt beside img1/
      frame, head, left, top, width, height, confidence, class, visibility; numbers from 1

Clips (aharley/pips ``crohddataset.py``, ``test_on_crohd.py``): 24 frames one after the other, every third of them used,
at 768 x 1280; a head's place is the centre of its box; the published error is a mean over the heads and the frames of a
clip, the first one with its error of 0 included, and then over clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refine_motion.benchmarks.flow_pair import read_picture
from refine_motion.benchmarks.pictures import read_images, scaled
from refine_motion.benchmarks.tracks.benchmark import Column, TrackBenchmark
from refine_motion.benchmarks.tracks.frames import existing_frames
from refine_motion.benchmarks.tracks.scoring import ERROR_COLUMNS, ERROR_NOTE, error_scores
from refine_motion.benchmarks.tracks.video import TrackVideo, ask
from refine_motion.errors import BenchmarkError
from refine_motion.types import Tracks

SIZE = (768, 1280)
CLIP, STEP = 24, 3
# Of PIPs: how far a head has to move, summed over the frames in pixels of the file, and how many are used of a clip.
MOTION, MOST = 150.0, 16
# What of a row is read: all but confidence and class.
_USED = (0, 1, 2, 3, 4, 5, 8)
LEAK = (
    "NOTE: heads were chosen by their true motion (above 150 px) and true visibility, and start at their true places, "
    "so the numbers are of hand-picked heads; use them only beside the published ones, whose refined weights were "
    "chosen by these very scores."
)


class Crohd(TrackBenchmark):
    """CroHD; see :mod:`refine_motion.benchmarks.tracks.crohd`.

    Args:
        root: folder that holds ``HT21/``.
        preset: ``clean``: every head that is seen in the first frame of a clip, whatever it does later, and scored
            wherever it has a box behind that frame. ``paper``: PIPs' rule, which **leaks truth into the choice of what
            is scored**: a head must have a box in all 8 frames, be seen in the first two, and truly move more than 150
            px; at most the first 16 that are seen throughout (column "vis"), and the first 16 that are hidden now and
            then ("occ"). In both, points start at true places, as in all benchmarks of tracked points. The published
            numbers leak more: their weights were chosen by the same truth. Unlike PIPs' script, every clip is visited
            once, and clips without such heads are counted as skipped.
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
        labelled = {path.parent.parent.name for path in (root / "HT21Labels" / self.split).glob("*/gt/gt.txt")}
        for name in sorted(labelled - {path.name for path in sequences}):
            self.skipped[f"sequence with labels but without HT21/{self.split}/{name}/img1"] += 1
        # All at once: what is wrong with the last is told before the first is scored.
        yield from [clip for folder in sequences for clip in self._clips(folder, _labels_of(root, folder, self.split))]

    def scores(self, video: TrackVideo, tracks: Tracks) -> dict[str, float]:
        """See :func:`refine_motion.benchmarks.tracks.scoring.error_scores`."""
        return error_scores(video, tracks)

    def _clips(self, folder: Path, file: Path) -> Iterator[TrackVideo]:
        rows = read_heads(file)
        # As in PIPs' script the last one counts.
        if again := len(rows) - len(np.unique(rows[:, :2], axis=0)):
            self.skipped["boxes of heads that have another in the same frame"] += again
        count = int(rows[:, 0].max())
        if count < CLIP:
            raise BenchmarkError(f"{file}: ends with frame {count}, and a clip has {CLIP} frames; get the whole file")
        places = (folder / "img1" / f"{number:06d}.jpg" for number in range(1, count + 1))
        images = existing_frames(places, f"{file} has heads up to frame {count}; get both from one release")
        unlabelled = len(list((folder / "img1").glob("*.jpg"))) // CLIP - count // CLIP
        if unlabelled:
            self.skipped["clips behind the last frame that has a head"] += unlabelled
        height, width = read_picture(images[0]).shape[1:]
        for begin in range(0, count - CLIP + 1, CLIP):
            centres, present, seen = clip_heads(rows, begin)
            heads = self._choose(centres, present, seen)
            if not len(heads):
                self.skipped["clips without a head that fits the rule"] += 1
                continue
            xy = scaled(centres[:, heads], (height, width), SIZE)
            points, scored = torch.arange(len(heads)), present[:, heads]
            if self.preset == "clean":
                # As in all clean presets the frame in which a point is given is not scored.
                scored[0] = False
            yield TrackVideo(
                name=f"{folder.name}/{begin + 1:06d}",
                size=SIZE,
                frames=partial(read_images, images[begin : begin + CLIP : STEP], SIZE),
                xy=xy,
                visible=seen[:, heads],
                valid=scored,
                queries=ask(torch.zeros_like(points), points, xy),
                points=points,
                recording=folder.name,
            )

    def _choose(self, centres: Tensor, present: Tensor, seen: Tensor) -> Tensor:
        """Numbers of the heads of a clip that are scored."""
        if self.preset == "clean":
            return torch.nonzero(seen[0] & present[1:].any(dim=0))[:, 0]
        moves = (centres[1:] - centres[:1]).norm(dim=-1).sum(dim=0) > MOTION
        fits = present.all(dim=0) & seen[:2].all(dim=0) & moves
        throughout = seen.all(dim=0)
        each = (torch.nonzero(fits & kind)[:MOST, 0] for kind in (throughout, ~throughout))
        return torch.cat(list(each))


_PAPER_COLUMNS = (
    Column("ate_visible", "ATE vis", lower_is_better=True),
    Column("ate_occluded", "ATE occ", lower_is_better=True),
)


def read_heads(file: Path) -> NDArray[np.float64]:
    """Labels of a sequence.

    Returns:
        ``(R, 9)`` frame, head, left, top, width, height, confidence, class and visibility; frames and heads are whole
        numbers from 1, the others but confidence and class are finite.

    Raises:
        BenchmarkError: the file cannot be read or holds something else.
    """
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        # Of no rows NumPy warns.
        rows = np.loadtxt(lines, delimiter=",", comments=None, ndmin=2) if lines else np.empty((0, 0))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{file}: cannot be read as a table of numbers ({error}); get the file again") from error
    if rows.shape[1] < 9:
        raise BenchmarkError(f"{file}: is not frame, head, left, top, width, height, conf, class, visibility from 1")
    with np.errstate(over="ignore"):
        finite = np.isfinite(rows[:, _USED].astype(np.float32)).all(axis=1)
    numbers = rows[:, :2]
    box = (rows[:, 4:6] >= 0).all(axis=1)
    wrong = np.flatnonzero(~finite | ~box | ((numbers < 1) | (numbers != np.floor(numbers))).any(axis=1))
    if len(wrong):
        raise BenchmarkError(
            f"{file}: row {wrong[0] + 1}: frame and head must be whole numbers from 1, box and visibility finite, "
            "width and height not negative; get the file again"
        )
    return rows


def clip_heads(rows: NDArray[np.float64], begin: int) -> tuple[Tensor, Tensor, Tensor]:
    """The heads of a clip, in the order of their numbers, in the frames of it that are used.

    Args:
        rows: see :func:`read_heads`.
        begin: frames before the clip.

    Returns:
        Centres ``(T, N, 2)`` float32 in pixels, where there is a box ``(T, N)`` and where the head is wholly seen
        (visibility 1) ``(T, N)``, both bool.
    """
    since = rows[:, 0] - 1 - begin
    used = (since >= 0) & (since < CLIP) & (since % STEP == 0)
    rows, frame = rows[used], since[used].astype(int) // STEP
    heads, head = np.unique(rows[:, 1], return_inverse=True)
    shape = (CLIP // STEP, len(heads))
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
