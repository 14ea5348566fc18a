"""HMDB51 (Kuehne et al., ICCV 2011): 51 actions, 6,766 videos; 70 of a class are to learn from and 30 to test on.

Layout::

    hmdb51/<class>/<video>.avi
    splits/<class>_test_split{1,2,3}.txt           "<video>.avi 1" a line; 1 = train, 2 = test, 0 = neither

Names of videos hold characters such as ``#``, ``!``, ``(`` and ``&``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from refine_motion.benchmarks.actions.benchmark import ActionBenchmark, ActionVideo, check_there, read_lines
from refine_motion.errors import BenchmarkError

_LISTS, _VIDEOS = "splits", "hmdb51"
_NEITHER, _TRAIN, _TEST = "0", "1", "2"


class Hmdb51(ActionBenchmark):
    """HMDB51; see :mod:`refine_motion.benchmarks.actions.hmdb51`.

    Args:
        root: folder that holds ``hmdb51/`` and ``splits/``.
        split: 1, 2 or 3; papers give the mean of all three, retrieval is of the first.
    """

    def __init__(self, root: str | None = None, split: Literal[1, 2, 3] = 1):
        super().__init__(root)
        self.split = split

    @property
    def title(self) -> str:
        """The split."""
        return f"HMDB51 split {self.split}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by label, in alphabetical order.

        Raises:
            BenchmarkError: the split has no lists, or a class has videos and no list.
        """
        lists, videos = self._folder(_LISTS), self._folder(_VIDEOS)
        end = self._end
        names = sorted(file.name.removesuffix(end) for file in lists.glob(f"*{end}"))
        if not names:
            raise BenchmarkError(f"{lists}: has no *{end}; add HMDB51's splits")
        for folder in sorted(videos.iterdir()):
            if folder.is_dir() and not folder.name.startswith(".") and folder.name not in names:
                raise BenchmarkError(f"{lists / (folder.name + end)}: missing, but {folder} is there; add the list")
        return tuple(names)

    def train(self) -> list[ActionVideo]:
        """The videos to learn from, by class and in the order of its list.

        Raises:
            BenchmarkError: see :meth:`classes`; or a list or a video is missing or does not fit.
        """
        return self._part(_TRAIN)

    def test(self) -> list[ActionVideo]:
        """The videos to test on; see :meth:`train`."""
        return self._part(_TEST)

    @property
    def _end(self) -> str:
        return f"_test_split{self.split}.txt"

    def _part(self, wanted: str) -> list[ActionVideo]:
        lists, videos = self._folder(_LISTS), self._folder(_VIDEOS)
        found = []
        for label, name in enumerate(self.classes):
            file = lists / f"{name}{self._end}"
            entries = _read(file)
            own = [ActionVideo(videos / name / video, label) for video, part in entries if part == wanted]
            # Before one part is taken, so that a video in both is found.
            check_there(
                [ActionVideo(videos / name / video, label) for video, part in entries if part != _NEITHER], file
            )
            if not own:
                kind = "train" if wanted == _TRAIN else "test"
                raise BenchmarkError(f"{file}: names no {kind} video ({wanted}); get HMDB51's splits again")
            found += own
        return found


def _read(file: Path) -> list[tuple[str, str]]:
    """Video and part of each line."""
    found = []
    for line, text in read_lines(file):
        words = text.rsplit(maxsplit=1)
        if len(words) != 2 or words[1] not in (_NEITHER, _TRAIN, _TEST) or "/" in words[0]:
            raise BenchmarkError(f"{file}: line {line}: is no '<video>.avi' with 0, 1 or 2; mend the line")
        found.append((words[0], words[1]))
    return found
