"""Labels of DeepLabCut projects as tracks: Horse-10 and Horse-30 (Mathis et al., WACV 2021), and anyone's own.

Layout::

    labeled-data/<video>/img0000.png …
    labeled-data/<video>/CollectedData_<scorer>.csv      or .h5, see refine_motion.benchmarks.tracks.deeplabcut_files

The images of a folder, in the order of their numbers, are taken for the frames of a video. Where a project has labelled
frames that were picked from all over a video, most motion lies between them and no tracker does well.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from refine_motion.benchmarks.flow_pair import read_picture
from refine_motion.benchmarks.pictures import Size, read_images, scaled
from refine_motion.benchmarks.tracks.benchmark import TrackBenchmark
from refine_motion.benchmarks.tracks.deeplabcut_files import read_pose_labels
from refine_motion.benchmarks.tracks.frames import check_places
from refine_motion.benchmarks.tracks.scoring import ERROR_COLUMNS, ERROR_NOTE, error_scores
from refine_motion.benchmarks.tracks.video import TrackVideo, ask, ask_first
from refine_motion.errors import BenchmarkError, ConfigError
from refine_motion.types import Tracks
from refine_motion.video.sources import list_images

# Of the paper: frames of a clip, of which every so many are used; points nearer to the edge do not count as seen, in
# pixels of the file; and in more than so many of the frames used a point has to be seen.
CLIP, STEP, BORDER, SEEN = 32, 4, 8, 3
LEAK = (
    "NOTE: points were chosen by their true visibility in later frames, and start at their true places, so the numbers "
    "are of hand-picked points. The published ones are of weights chosen by these very scores, and of clips and points "
    "that are not quite these, so they cannot be compared."
)


class DeepLabCut(TrackBenchmark):
    """A DeepLabCut project; see :mod:`refine_motion.benchmarks.tracks.deeplabcut`.

    Args:
        root: folder that holds ``labeled-data/``, or that folder.
        preset: ``clean``: every point from the first frame in which it is marked, through all images of its folder,
            scored in all later frames in which it is marked. ``paper``: after the rule of arXiv 2401.00850 for horses,
            which **leaks truth into the choice of what is scored**: clips of 32 labelled frames, every fourth used; a
            point has to be seen in the first two of these 8 frames and in more than 3 of them, and is not seen within
            8 px of the edge. The frame that the point is given in counts with its error of 0, the value is a mean over
            clips, and what is left at the end of a video is no clip. The authors' code asks for the first two, and for
            more than 3, of all 32 frames; leaves out a clip that ends with its video, and takes a whole video of 9 to
            31 frames for one; and its mean is over pairs of clip and point. So these numbers cannot be compared with
            published ones, which leak more: their weights were chosen by the same truth.
        size: ``(H, W)`` at which models see the frames and are scored; that of the images when ``None``. The paper has
            256 x 448.

    Raises:
        ConfigError: a side is below 1 pixel.
    """

    columns = ERROR_COLUMNS

    def __init__(
        self,
        root: str | None = None,
        preset: Literal["clean", "paper"] = "clean",
        size: tuple[int, int] | None = None,
    ):
        super().__init__(root)
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ConfigError(f"data.size must be a height and a width of at least 1 pixel, or null, got {list(size)}")
        self.preset, self.size = preset, size
        self._renamed: list[str] = []

    @property
    def title(self) -> str:
        """The preset and the size."""
        size = "images of their own size" if self.size is None else f"{self.size[0]} x {self.size[1]}"
        return f"DeepLabCut labels, {self.preset}, {size}"

    @property
    def notes(self) -> tuple[str, ...]:
        """The scores, what the preset of the paper leaks, and labels that name another folder than they lie in."""
        return (ERROR_NOTE, *([LEAK] if self.preset == "paper" else []), *self._renamed)

    def videos(self) -> Iterator[TrackVideo]:
        """The videos, or their clips.

        Raises:
            BenchmarkError: there are no labels, or a file is missing, damaged or of another layout.
        """
        self.skipped.clear()
        self._renamed.clear()
        root = self.place()
        root = root / "labeled-data" if (root / "labeled-data").is_dir() else root
        folders = sorted({path.parent for path in root.rglob("CollectedData_*") if path.suffix in (".csv", ".h5")})
        if not folders:
            raise BenchmarkError(
                f"{root}: holds no CollectedData_*.csv or .h5; give the folder of a DeepLabCut project (labels as COCO "
                "JSON or as one pickle are not read)"
            )
        names = [folder.relative_to(root).as_posix() if folder != root else folder.name for folder in folders]
        of_folder = self._clips if self.preset == "paper" else self._whole
        # All at once: what is wrong with the last is told before the first is scored.
        yield from [video for name, folder in zip(names, folders, strict=True) for video in of_folder(name, folder)]

    def scores(self, video: TrackVideo, tracks: Tracks) -> dict[str, float]:
        """See :func:`refine_motion.benchmarks.tracks.scoring.error_scores`."""
        return error_scores(video, tracks)

    def _whole(self, name: str, folder: Path) -> Iterator[TrackVideo]:
        images, numbers, labels = self._read(name, folder)
        first, last = min(numbers), max(numbers)
        images = images[first : last + 1]
        size = _size(images[0])
        xy = torch.full((len(images), *labels.shape[1:]), torch.nan)
        xy[torch.tensor(numbers) - first] = scaled(labels, size, self.size or size)
        marked = ~xy.isnan().any(dim=-1)
        # A point that is marked once has nothing to be scored.
        queries, points = ask_first(xy, marked & (marked.sum(dim=0) > 1))
        valid = marked.clone()
        valid[queries[:, 0].long(), points] = False
        yield self._video(name, images, size, xy, marked, valid, (queries, points))

    def _clips(self, name: str, folder: Path) -> Iterator[TrackVideo]:
        images, numbers, labels = self._read(name, folder)
        if left := len(numbers) % CLIP:
            self.skipped[f"labelled frames at the ends of videos, which are no clip of {CLIP}"] += left
        size = _size(images[numbers[0]])
        inside = ((labels >= BORDER) & (labels <= torch.tensor([size[1], size[0]]) - BORDER)).all(dim=-1)
        for begin in range(0, len(numbers) - CLIP + 1, CLIP):
            taken = slice(begin, begin + CLIP, STEP)
            seen = inside[taken]
            points = torch.nonzero(seen[:2].all(dim=0) & (seen.sum(dim=0) > SEEN))[:, 0]
            if not len(points):
                self.skipped["clips without a point that fits the rule"] += 1
                continue
            xy = scaled(labels[taken], size, self.size or size)
            queries = ask(torch.zeros_like(points), points, xy)
            chosen = [images[number] for number in numbers[taken]]
            yield self._video(f"{name}/{begin:06d}", chosen, size, xy, seen, seen, (queries, points), recording=name)

    def _read(self, name: str, folder: Path) -> tuple[list[Path], list[int], Tensor]:
        """All images of a folder, numbers of those with labels, increasing, and the labels ``(F, K, 2)`` of these."""
        # The CSV file is what people edit; DeepLabCut makes the other from it.
        files = sorted(folder.glob("CollectedData_*.csv")) or sorted(folder.glob("CollectedData_*.h5"))
        if len(files) > 1:
            raise BenchmarkError(f"{folder}: labels of several people, {', '.join(f.name for f in files)}; leave one")
        labels = read_pose_labels(files[0])
        if labels.folder not in ("", folder.name):
            self._renamed.append(f"{name}: its labels are of a folder {labels.folder}; taken for one that was renamed.")
        images = list_images(folder)
        number_of = {path.name: number for number, path in enumerate(images)}
        missing = [name for name in labels.images if name not in number_of]
        if missing:
            raise BenchmarkError(f"{folder / missing[0]}: missing, but {files[0].name} labels it; add the image")
        numbers = [number_of[name] for name in labels.images]
        order = sorted(range(len(numbers)), key=numbers.__getitem__)
        xy = torch.from_numpy(labels.xy)[order]
        check_places(xy, _size(images[numbers[0]]), str(files[0]))
        return images, [numbers[place] for place in order], xy

    def _video(
        self,
        name: str,
        images: list[Path],
        size: Size,
        xy: Tensor,
        visible: Tensor,
        valid: Tensor,
        asked: tuple[Tensor, Tensor],
        recording: str = "",
    ) -> TrackVideo:
        frames = partial(read_images, images, self.size)
        return TrackVideo(name, self.size or size, frames, xy, visible, valid, *asked, recording=recording)


def _size(image: Path) -> Size:
    height, width = read_picture(image).shape[1:]
    return height, width
