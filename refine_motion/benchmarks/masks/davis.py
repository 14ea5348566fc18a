"""DAVIS 2016 and 2017 (Perazzi et al., CVPR 2016; Pont-Tuset et al., 2017): masks of objects through a video.

Layout::

    JPEGImages/480p/<sequence>/00000.jpg …
    Annotations/480p/<sequence>/00000.png …     2017: palette, the number of the object, 255 = void; 2016: 0 or 255
    ImageSets/2017/val.txt, ImageSets/2016/val.txt     a name a line
    ImageSets/480p/val.txt     in the release of 2016: "/JPEGImages/480p/<sequence>/00000.jpg /Annotations/…" a line

The sequences of 2016 have one object. Where the folder is that of 2017, all its objects together are the one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from refine_motion.benchmarks.masks.benchmark import MaskBenchmark, MaskSequence
from refine_motion.benchmarks.root import existing_root
from refine_motion.errors import BenchmarkError
from refine_motion.video.sources import list_images

_FRAMES, _MASKS = Path("JPEGImages/480p"), Path("Annotations/480p")


class Davis(MaskBenchmark):
    """DAVIS; see :mod:`refine_motion.benchmarks.masks.davis`.

    Args:
        root: folder that holds ``JPEGImages/`` and ``Annotations/``.
        year: 2017 scores each object, 2016 the one object of a sequence.
        split: ``train`` or ``val``; or ``all``, the sequences of the folder without any list.
    """

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
        objects = "one object a sequence" if self.year == 2016 else "objects by number"
        return f"DAVIS {self.year} {self.split}, {objects}, 480p"

    def sequences(self) -> Iterator[MaskSequence]:
        """The sequences, in the order of the list.

        Raises:
            BenchmarkError: there are none, or one has no frames.
        """
        root = existing_root(self.root, type(self).__name__)
        if not (root / _FRAMES).is_dir() or not (root / _MASKS).is_dir():
            raise BenchmarkError(f"{root}: has no JPEGImages/480p and Annotations/480p; give the folder of DAVIS")
        for name in self._names(root):
            folder = root / _FRAMES / name
            images = list_images(folder) if folder.is_dir() else []
            if not images:
                raise BenchmarkError(f"{folder}: has no frames; complete the folder, or take {name} off the list")
            masks = [root / _MASKS / name / f"{image.stem}.png" for image in images]
            yield MaskSequence(name, images, masks, single=self.year == 2016)

    def _names(self, root: Path) -> list[str]:
        if self.split == "all":
            source, names = root / _FRAMES, sorted(path.name for path in (root / _FRAMES).iterdir() if path.is_dir())
        else:
            source = root / "ImageSets" / str(self.year) / f"{self.split}.txt"
            pairs = root / "ImageSets" / "480p" / f"{self.split}.txt"
            if self.year == 2016 and not source.is_file() and pairs.is_file():
                source = pairs
            names = _read_list(source)
        if not names:
            raise BenchmarkError(f"{source}: names no sequence; give the folder of DAVIS")
        return names


def _read_list(file: Path) -> list[str]:
    """Names of sequences: the lines themselves, or the folder of the first frame of each line, once."""
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(
            f"{file}: cannot be read; add DAVIS's list, or set data.split to all for every sequence there"
        ) from error
    firsts = [PurePosixPath(words[0]) for words in lines if words]
    return list(dict.fromkeys(first.parent.name if first.suffix else first.name for first in firsts))
