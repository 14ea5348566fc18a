"""BADJA (Biggs et al., "Creatures great and SMAL", ACCV 2018): joints of animals in the videos of DAVIS.

Layout::

    joint_annotations/<animal>.json                            a list of frames, about every fifth
    DAVIS/JPEGImages/Full-Resolution/<animal>/00000.jpg …
    DAVIS/Annotations/Full-Resolution/<animal>/00000.png …

Protocol (aharley/pips ``badjadataset.py``, ``test_on_badja.py``): 320 x 512, pictures bilinear, masks nearest; all
frames from the first labelled one to the last. The joints of the first frame are followed; in each later labelled frame
a joint is found when it is nearer than 0.2 of the root of the animal's area *in that frame*. A video's value is the
share of all its joints and frames, the benchmark's the mean over videos.

PIPs' script takes the red channel of the mask alone, in which the second object of DAVIS 2017's palette, (0, 128, 0),
is black: of a horse and its rider only the first counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.benchmarks.flow_pair import read_picture
from refine_motion.benchmarks.pictures import read_images, scaled
from refine_motion.benchmarks.tracks.benchmark import Column, TrackBenchmark
from refine_motion.benchmarks.tracks.frames import check_places, existing_frames
from refine_motion.benchmarks.tracks.scoring import plain
from refine_motion.benchmarks.tracks.video import TrackVideo, ask
from refine_motion.errors import BenchmarkError
from refine_motion.metrics.tracks import TransferredKeypoints
from refine_motion.types import Tracks

SIZE = (320, 512)
# The joints of the 37 of the animal model that were labelled.
JOINTS = (8, 9, 10, 12, 13, 14, 15, 18, 19, 20, 22, 23, 24, 25, 28, 31, 32, 33, 35, 36)
_ALL_JOINTS = 37
# Masks may be smaller than frames, as of DAVIS's 480p beside its full size, and rounded to whole pixels.
_OTHER_RATIO = 0.02


class Badja(TrackBenchmark):
    """BADJA; see :mod:`refine_motion.benchmarks.tracks.badja`.

    Args:
        root: folder that holds ``joint_annotations/`` and ``DAVIS/``.
        variant: ``official`` scores every joint that is seen in a later frame, as published, though one that is not
            seen in the first frame is started at whatever the file says there, mostly (0, 0), and of masks with
            several objects the red ones are the animal. ``filtered`` leaves those joints out, and takes all of a mask.
    """

    columns = (Column("pck_t", "PCK-T"),)

    def __init__(self, root: str | None = None, variant: Literal["official", "filtered"] = "official"):
        super().__init__(root)
        self.variant = variant

    @property
    def title(self) -> str:
        """The protocol."""
        return f"BADJA, {self.variant} joints, 320 x 512"

    @property
    def notes(self) -> tuple[str, ...]:
        """The score and the variant."""
        score = "PCK-T: % of joints nearer than 0.2 of the root of the animal's area in that frame."
        if self.variant == "filtered":
            rule = "Joints that are not seen in the first frame are left out, and all objects of a mask are the animal"
            return (score, f"{rule}: not the published protocol.")
        rule = "joints that are not seen in the first frame are started where the file says, and the area of masks with"
        return (score, f"As published, {rule} several objects is that of the red ones.")

    def videos(self) -> Iterator[TrackVideo]:
        """The videos of DAVIS; those from elsewhere are counted as skipped.

        Raises:
            BenchmarkError: a file is missing, damaged or of another layout.
        """
        self.skipped.clear()
        root = self.place()
        files = sorted((root / "joint_annotations").glob("*.json"))
        if not files:
            raise BenchmarkError(f"{root}: has no joint_annotations/*.json; give the folder of BADJA")
        labels_of = {file: _read_labels(file) for file in files}
        extra = [file for file, labels in labels_of.items() if not labels[0]["image_path"].startswith("DAVIS/")]
        if extra:
            self.skipped["of BADJA's extra videos, which have no frames in DAVIS"] += len(extra)
        # All at once: what is wrong with the last is told before the first is scored.
        yield from [self._video(root, file, labels) for file, labels in labels_of.items() if file not in extra]

    def scores(self, video: TrackVideo, tracks: Tracks) -> dict[str, float]:
        """See :class:`refine_motion.metrics.tracks.TransferredKeypoints`."""
        metric = TransferredKeypoints()
        target, visible, _ = video.truth()
        assert video.areas is not None
        metric.update(tracks.xy, target, visible, video.areas)
        return plain(metric.compute())

    def _video(self, root: Path, file: Path, labels: list[dict[str, Any]]) -> TrackVideo:
        numbers = [_number(label["image_path"], file) for label in labels]
        first, last = min(numbers), max(numbers)
        folder, end = Path(labels[0]["image_path"]).parent, Path(labels[0]["image_path"]).suffix
        for label, number in zip(labels, numbers, strict=True):
            if Path(label["image_path"]).parent != folder:
                raise BenchmarkError(f"{file}: {label['image_path']} is not of {folder}; take BADJA's own file")
            if numbers.count(number) > 1:
                raise BenchmarkError(f"{file}: labels {label['image_path']} twice; take BADJA's own file")
        places = (root / folder / f"{number:05d}{end}" for number in range(first, last + 1))
        paths = existing_frames(places, f"{file.name} has joints of this video; add DAVIS's frames")
        height, width = read_picture(paths[0]).shape[1:]
        xy = torch.zeros(len(paths), len(JOINTS), 2)
        visible = torch.zeros(len(paths), len(JOINTS), dtype=torch.bool)
        areas = torch.zeros(len(paths))
        for number, label in zip(numbers, labels, strict=True):
            joints, seen = _joints(label, file)
            check_places(joints[seen], (height, width), f"{file}: {label['image_path']}")
            xy[number - first] = scaled(joints, (height, width), SIZE)
            visible[number - first] = seen
            areas[number - first] = self._area(root / label["segmentation_path"], height / width)
        points = torch.arange(len(JOINTS))
        if self.variant == "filtered":
            points = points[visible[0]]
        return TrackVideo(
            name=file.stem,
            size=SIZE,
            frames=partial(read_images, paths, SIZE),
            xy=xy,
            visible=visible,
            valid=visible,
            queries=ask(torch.zeros_like(points), points, xy),
            points=points,
            areas=areas,
        )

    def _area(self, path: Path, ratio: float) -> int:
        """Pixels of the animal at the size of the protocol; its frames have this ratio of height to width."""
        picture = read_picture(path)
        height, width = picture.shape[1:]
        if abs(height / width / ratio - 1) > _OTHER_RATIO:
            raise BenchmarkError(f"{path}: {width} x {height} is no mask of these frames; get both from one release")
        mask = picture[0] if self.variant == "official" else picture.amax(dim=0)
        return int((F.interpolate(mask[None, None].float(), SIZE, mode="nearest") > 0).sum())


def _read_labels(file: Path) -> list[dict[str, Any]]:
    try:
        labels = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BenchmarkError(f"{file}: cannot be read as JSON ({error}); get the file again") from error
    needed = {"image_path", "segmentation_path", "joints", "visibility"}
    if not isinstance(labels, list) or not labels or not all(isinstance(e, dict) and needed <= set(e) for e in labels):
        raise BenchmarkError(f"{file}: is no list of frames with {', '.join(sorted(needed))}; take BADJA's own file")
    for number, label in enumerate(labels, start=1):
        if not all(isinstance(label[path], str) for path in ("image_path", "segmentation_path")):
            raise BenchmarkError(
                f"{file}: entry {number}: image_path and segmentation_path must be text; take BADJA's own file"
            )
    return labels


def _joints(label: dict[str, Any], file: Path) -> tuple[Tensor, Tensor]:
    """Places ``(20, 2)`` as x, y, which the file has the other way round, and visibility ``(20,)``."""
    try:
        joints, seen = (torch.from_numpy(np.asarray(label[key], dtype=float)) for key in ("joints", "visibility"))
    except (TypeError, ValueError, OverflowError):
        joints, seen = torch.empty(0), torch.empty(0)
    if joints.shape != (_ALL_JOINTS, 2) or seen.shape != (_ALL_JOINTS,):
        raise BenchmarkError(f"{file}: {label['image_path']} has not {_ALL_JOINTS} joints; take BADJA's own file")
    used = joints[list(JOINTS)].float().flip(-1)
    if not used.isfinite().all():
        raise BenchmarkError(f"{file}: {label['image_path']} has a joint at no finite place; take BADJA's own file")
    return used, seen[list(JOINTS)] > 0


def _number(path: str, file: Path) -> int:
    if not re.fullmatch("[0-9]{1,9}", Path(path).stem):
        raise BenchmarkError(f"{file}: {path} is no numbered frame; take BADJA's own file")
    return int(Path(path).stem)
