"""One's own videos, sorted into a folder for each class.

Layout, either of::

    train/<class>/<video>.mp4                      with the parts given
    test/<class>/<video>.mp4

    <class>/<video>.mp4                            a share of each class is drawn for the test

Videos may lie in folders below that of their class. Hidden files and folders are passed over.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from refine_motion.benchmarks.actions.benchmark import ActionBenchmark, ActionVideo
from refine_motion.errors import BenchmarkError, ConfigError, VideoError
from refine_motion.video.sources import find_videos, natural_sort

_TRAIN, _TEST = "train", "test"


class ClassFolders(ActionBenchmark):
    """A folder of folders of videos; see :mod:`refine_motion.benchmarks.actions.class_folders`.

    Args:
        root: the folder.
        test_share: of each class, for the test, where the folder does not say; more than 0 and less than 1.
        seed: of the draw.

    Raises:
        ConfigError: the share is beyond its bounds.
    """

    def __init__(self, root: str | None = None, test_share: float = 0.3, seed: int = 0):
        super().__init__(root)
        if not 0 < test_share < 1:
            raise ConfigError(f"data.test_share must be more than 0 and less than 1, got {test_share}")
        self.test_share, self.seed = test_share, seed

    @property
    def title(self) -> str:
        """Folder and parts."""
        name = Path(self.root or "").name
        return (
            name if self._is_split() else f"{name}, {self.test_share:.0%} of each class for the test (seed {self.seed})"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by label, in natural order.

        Raises:
            BenchmarkError: the folder is missing, has fewer than 2 classes, or the test has a class that training has
                not.
        """
        folder = self._folder(_TRAIN) if self._is_split() else self._folder()
        names = _names(folder)
        if len(names) < 2:
            raise BenchmarkError(
                f"{folder}: has {len(names)} of the 2 folders of classes that are needed at least; add some"
            )
        unknown = [name for name in _names(self._folder(_TEST)) if name not in names] if self._is_split() else []
        if unknown:
            raise BenchmarkError(
                f"{self._folder(_TEST) / unknown[0]}: {folder} has no such class; add it there, or take it off here"
            )
        return tuple(names)

    def train(self) -> list[ActionVideo]:
        """The videos to learn from, by class and in natural order.

        Raises:
            BenchmarkError: see :meth:`classes`; or a class has no video, or no two where some are drawn for the test.
        """
        return self._part(_TRAIN)

    def test(self) -> list[ActionVideo]:
        """The videos to test on; a class may have none where the parts are given. See :meth:`train`."""
        return self._part(_TEST)

    def _is_split(self) -> bool:
        root = self._folder()
        return all((root / part).is_dir() for part in (_TRAIN, _TEST))

    def _part(self, part: str) -> list[ActionVideo]:
        root = self._folder()
        if self._is_split():
            there = _names(root / part)
            return [
                ActionVideo(path, label)
                for label, name in enumerate(self.classes)
                if name in there
                for path in _videos(root / part / name)
            ]
        found = []
        for label, name in enumerate(self.classes):
            videos = _videos(root / name)
            if len(videos) < 2:
                raise BenchmarkError(
                    f"{root / name}: one video cannot be in both parts; add one, or make train/ and test/"
                )
            drawn = self._drawn(name, videos)
            found += [ActionVideo(path, label) for path in videos if (path in drawn) == (part == _TEST)]
        return found

    def _drawn(self, name: str, videos: Sequence[Path]) -> set[Path]:
        """Those for the test, at least one, with at least one left. By class, so that no class changes another's."""
        count = min(max(1, round(self.test_share * len(videos))), len(videos) - 1)
        return set(random.Random(f"{self.seed}/{name}").sample(list(videos), count))


def _names(folder: Path) -> list[str]:
    entries = (entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return [entry.name for entry in natural_sort(entries)]


def _videos(folder: Path) -> list[Path]:
    try:
        return find_videos(folder)
    except VideoError as error:
        raise BenchmarkError(f"{folder}: has no video; add some, or take the folder away") from error
