"""UCF101 (Soomro et al., 2012, arXiv 1212.0402): 101 actions, 13,320 videos.

Layout::

    UCF-101/<Class>/v_<Class>_g01_c01.avi
    ucfTrainTestlist/classInd.txt                  "<number from 1> <Class>" a line
    ucfTrainTestlist/trainlist0{1,2,3}.txt         "<Class>/<file>.avi <number>" a line
    ucfTrainTestlist/testlist0{1,2,3}.txt          "<Class>/<file>.avi" a line

The videos of a group (``g01``) are cut from one and the same, so no group is in both parts. The class is that of the
folder: file names spell one of them in another way (``HandstandPushups/v_HandStandPushups_g01_c01.avi``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from refine_motion.benchmarks.actions.benchmark import ActionBenchmark, ActionVideo, check_there, read_lines
from refine_motion.errors import BenchmarkError

_LISTS, _VIDEOS = "ucfTrainTestlist", "UCF-101"
_ENTRY = re.compile(r"(?P<class>[^/]+)/(?P<file>[^/]+_(?P<group>g\d+)_c\d+\.avi)(\s+(?P<number>\d+))?")


class Ucf101(ActionBenchmark):
    """UCF101; see :mod:`refine_motion.benchmarks.actions.ucf101`.

    Args:
        root: folder that holds ``UCF-101/`` and ``ucfTrainTestlist/``.
        split: 1, 2 or 3; papers give the mean of all three, retrieval is of the first.
    """

    def __init__(self, root: str | None = None, split: Literal[1, 2, 3] = 1):
        super().__init__(root)
        self.split = split

    @property
    def title(self) -> str:
        """The split."""
        return f"UCF101 split {self.split}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by label, which is the number of ``classInd.txt`` less 1.

        Raises:
            BenchmarkError: the file is missing, or does not name each number from 1 once.
        """
        file = self._folder(_LISTS) / "classInd.txt"
        names: dict[int, str] = {}
        lines = read_lines(file)
        for line, text in lines:
            words = text.split(maxsplit=1)
            if len(words) != 2 or not words[0].isdecimal():
                raise BenchmarkError(f"{file}: line {line}: is no '<number> <class>'; mend the line")
            names[int(words[0])] = words[1]
        count = len(lines)
        if not count or sorted(names) != list(range(1, count + 1)) or len(set(names.values())) != count:
            raise BenchmarkError(f"{file}: must name a class for each number from 1 on, once; get UCF101's lists again")
        return tuple(names[number] for number in sorted(names))

    def train(self) -> list[ActionVideo]:
        """The videos to learn from, in the order of the list.

        Raises:
            BenchmarkError: see :meth:`classes`; or a list or a video is missing or does not fit, or a group is in both
                parts.
        """
        return self._parts()[0]

    def test(self) -> list[ActionVideo]:
        """The videos to test on; see :meth:`train`."""
        return self._parts()[1]

    def _parts(self) -> tuple[list[ActionVideo], list[ActionVideo]]:
        files = [self._folder(_LISTS) / f"{part}list0{self.split}.txt" for part in ("train", "test")]
        train, test = (self._read(file) for file in files)
        split_up = {video.group for video in train} & {video.group for video in test}
        if split_up:
            raise BenchmarkError(
                f"{files[1]}: group {min(filter(None, split_up))} is in {files[0].name} as well, so that test videos "
                "are known from training; get UCF101's lists again"
            )
        return train, test

    def _read(self, file: Path) -> list[ActionVideo]:
        videos, labels = self._folder(_VIDEOS), {name: label for label, name in enumerate(self.classes)}
        found = []
        for line, text in read_lines(file):
            entry = _ENTRY.fullmatch(text)
            if entry is None:
                raise BenchmarkError(f"{file}: line {line}: is no '<Class>/<file>_g01_c01.avi'; mend the line")
            label = labels.get(entry["class"])
            if label is None:
                raise BenchmarkError(f"{file}: line {line}: classInd.txt has no {entry['class']}; mend the line")
            # Test lists have no numbers.
            if entry["number"] is not None and int(entry["number"]) != label + 1:
                raise BenchmarkError(
                    f"{file}: line {line}: {entry['class']} is {label + 1} in classInd.txt, not {entry['number']}; "
                    "mend the line"
                )
            path = videos / entry["class"] / entry["file"]
            found.append(ActionVideo(path, label, f"{entry['class']}/{entry['group']}"))
        check_there(found, file)
        return found
