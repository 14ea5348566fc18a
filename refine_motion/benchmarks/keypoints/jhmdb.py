"""JHMDB (Jhuang et al., "Towards understanding action recognition", ICCV 2013): 15 joints of a person.

Layout::

    Rename_Images/<class>/<video>/00001.png …
    joint_positions/<class>/<video>/joint_positions.mat     pos_img (2, 15, T): x, then y, in pixels from 1
    splits/<class>_test_split1.txt                          "<video>.avi 2" a line; 1 = train, 2 = test

Papers on label propagation name the test clips of the first split, 268 of them, by one list of their own instead, whose
lines hold the file of joints and the folder of frames. Liusifei/UVC ``testlist_split1.txt`` has the joints first,
ajabri/videowalk wants the frames first; either is read here, since a line says which is which.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from refine_motion.benchmarks.keypoints.benchmark import KeypointBenchmark, KeypointClip
from refine_motion.benchmarks.keypoints.jhmdb_files import ClipName, read_clip_list, read_joint_positions, read_splits
from refine_motion.benchmarks.root import existing_root
from refine_motion.errors import BenchmarkError
from refine_motion.video.sources import list_images


class Jhmdb(KeypointBenchmark):
    """JHMDB's test clips; see :mod:`refine_motion.benchmarks.keypoints.jhmdb`.

    Args:
        root: folder that holds ``Rename_Images/`` and ``joint_positions/``.
        split: 1, 2 or 3; published figures are of the first.
        clip_list: file that names the clips instead of ``splits/``, as UVC and videowalk have it. Only class and video
            are taken from its paths, so that it may come from another machine.
    """

    joints = (
        "neck",
        "belly",
        "face",
        "right shoulder",
        "left shoulder",
        "right hip",
        "left hip",
        "right elbow",
        "left elbow",
        "right knee",
        "left knee",
        "right wrist",
        "left wrist",
        "right ankle",
        "left ankle",
    )

    def __init__(self, root: str | None = None, split: Literal[1, 2, 3] = 1, clip_list: str | None = None):
        super().__init__(root)
        self.split, self.clip_list = split, clip_list

    @property
    def title(self) -> str:
        """The split or the list."""
        which = f"split {self.split} test" if self.clip_list is None else Path(self.clip_list).name
        return f"JHMDB {which}, 15 joints"

    def clips(self) -> Iterator[KeypointClip]:
        """The clips, by class.

        Where a clip has more frames than joints, or the other way round, the rest is cut off.

        Raises:
            BenchmarkError: there are none, a file is missing or damaged, or scipy is not installed.
        """
        root = existing_root(self.root, type(self).__name__)
        for name in self._names(root):
            folder = root / "Rename_Images" / name.folder / name.video
            images = list_images(folder) if folder.is_dir() else []
            if not images:
                raise BenchmarkError(f"{folder}: has no frames; complete Rename_Images/ of JHMDB")
            file = root / "joint_positions" / name.folder / name.video / "joint_positions.mat"
            xy = read_joint_positions(file, len(self.joints))
            count = min(len(images), len(xy))
            yield KeypointClip(f"{name.folder}/{name.video}", images[:count], xy[:count])

    def _names(self, root: Path) -> list[ClipName]:
        if self.clip_list is not None:
            return read_clip_list(Path(self.clip_list).expanduser())
        return read_splits(root / "splits", self.split)
