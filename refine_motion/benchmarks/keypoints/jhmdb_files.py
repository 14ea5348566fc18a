"""The files of JHMDB: which clips are tested, and where their joints are."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import NamedTuple

import torch
from torch import Tensor

from refine_motion.errors import BenchmarkError

_TEST = "2"


class ClipName(NamedTuple):
    """A clip of JHMDB.

    Attributes:
        folder: the class, which may hold underscores.
        video: without ``.avi``.
    """

    folder: str
    video: str


def read_splits(folder: Path, split: int) -> list[ClipName]:
    """The test clips of all classes.

    Args:
        folder: ``splits/``, with ``<class>_test_split<number>.txt``.
        split: the number.

    Raises:
        BenchmarkError: there is no such file, one cannot be read, or none names a test clip.
    """
    found = []
    end = f"_test_split{split}.txt"
    for file in sorted(folder.glob(f"*{end}")):
        for number, words in _lines(file):
            if len(words) != 2 or words[1] not in ("1", _TEST):
                raise BenchmarkError(f"{file}: line {number}: is no '<video>.avi 1' or '<video>.avi 2'; mend the line")
            if words[1] == _TEST:
                found.append(ClipName(file.name.removesuffix(end), words[0].removesuffix(".avi")))
    if not found:
        raise BenchmarkError(f"{folder}: no *{end} names a test clip; add JHMDB's splits, or give a data.clip_list")
    return found


def read_clip_list(file: Path) -> list[ClipName]:
    """The clips of a list with the file of joints and the folder of frames in each line, in either order.

    Raises:
        BenchmarkError: it cannot be read, names nothing, or a line is of another kind or of two different clips.
    """
    found = [_named(words, f"{file}: line {number}") for number, words in _lines(file)]
    if not found:
        raise BenchmarkError(f"{file}: names no clip; give a list such as UVC's testlist_split1.txt")
    return found


def read_joint_positions(file: Path, joints: int) -> Tensor:
    """Places of the joints, counted from 0 where the file counts from 1.

    Args:
        file: ``joint_positions.mat``.
        joints: how many there have to be.

    Returns:
        ``(T, J, 2)`` float64 x, y in pixels.

    Raises:
        BenchmarkError: scipy is not installed, or the file is missing, damaged or holds something else.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise BenchmarkError(f"{file}: reading it needs scipy; install it with `pip install scipy`") from None
    try:
        places = torch.as_tensor(loadmat(str(file), variable_names=["pos_img"])["pos_img"], dtype=torch.float64)
    except Exception as error:
        # Damaged files make it raise nearly anything.
        reason = "no pos_img" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise BenchmarkError(f"{file}: cannot be read as joints ({reason}); get it from JHMDB again") from error
    if places.ndim != 3 or places.shape[:2] != (2, joints):
        raise BenchmarkError(
            f"{file}: pos_img is {tuple(places.shape)} where (2, {joints}, T) is expected; give JHMDB's own file"
        )
    return places.permute(2, 1, 0) - 1


def _named(words: list[str], where: str) -> ClipName:
    # The columns are told apart by what they hold: lists have them in either order.
    files = [PurePosixPath(word).parent for word in words if word.endswith(".mat")]
    folders = [PurePosixPath(word) for word in words if not word.endswith(".mat")]
    if len(files) != 1 or len(folders) != 1:
        raise BenchmarkError(f"{where}: must hold a joint_positions.mat and a folder of frames; mend the line")
    clips = {ClipName(path.parent.name, path.name) for path in (*files, *folders)}
    if len(clips) != 1:
        raise BenchmarkError(f"{where}: joints and frames are of different clips; mend the line")
    return clips.pop()


def _lines(file: Path) -> list[tuple[int, list[str]]]:
    """Number, from 1, and words of each line that is not empty."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BenchmarkError(f"{file}: cannot be read ({reason}); get the list of clips again") from error
    return [(number, words) for number, line in enumerate(lines, start=1) if (words := line.split())]
