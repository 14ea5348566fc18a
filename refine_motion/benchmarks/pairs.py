"""Frame pairs with true flow, found in the official layouts of the benchmarks or in any tree of folders."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from refine_motion.benchmarks.flow_files import is_flow_png
from refine_motion.benchmarks.flow_pair import FlowPair, read_pair
from refine_motion.benchmarks.kitti import find_kitti
from refine_motion.benchmarks.middlebury import find_middlebury
from refine_motion.benchmarks.sintel import find_sintel
from refine_motion.benchmarks.spring import find_spring
from refine_motion.errors import BenchmarkError
from refine_motion.video.sources import IMAGE_SUFFIXES

__all__ = ["FlowPair", "find_pairs", "read_pair"]

_LAYOUTS = (
    "Middlebury (other-data/ and other-gt-flow/), KITTI (image_2/ or colored_0/ and flow_occ/), "
    "MPI-Sintel (clean/ or final/ and flow/), Spring (train/*/flow_FW_left/), or .flo files beside their two frames"
)
_FRAME_SUFFIXES = (("_img1", "_img2"), ("_1", "_2"), ("_a", "_b"))


def find_pairs(folder: str | Path) -> list[FlowPair]:
    """All frame pairs with true flow in a folder, sorted by sequence.

    Layouts, tried in this order:

    - **Middlebury**: ``other-data/<Seq>/frame10.png``, ``frame11.png`` and ``other-gt-flow/<Seq>/flow10.flo``.
    - **KITTI** 2015 and 2012: ``image_2/000000_10.png`` (or ``colored_0/``), ``000000_11.png`` and
      ``flow_occ/000000_10.png``, in the folder or in its ``training/``. Every pair is a sequence of its own, so that
      the mean over sequences is KITTI's mean over images.
    - **MPI-Sintel**: ``clean/<scene>/frame_0001.png`` or ``final/…`` and ``flow/<scene>/frame_0001.flo``, in the folder
      or in its ``training/``. The folder of one pass (``…/training/clean``) gives that pass alone.
    - **Spring**: ``train/0001/frame_left/frame_left_0001.png`` and ``flow_FW_left/flow_FW_left_0001.flo5``, both
      cameras and directions where they are there; reading needs h5py.
    - **Any other tree**: every flow file lies in one folder with its two frames, and the sequence is that folder. A
      flow file is a ``.flo``, or a 16-bit RGB PNG with "flow" in its name. The frames of ``NAME.flo``,
      ``NAME_flow.flo`` or ``flow_NAME.flo`` are the first of these that exists: ``NAME_img1`` and ``NAME_img2``
      (FlyingChairs), ``NAME_1`` and ``NAME_2``, ``NAME_a`` and ``NAME_b``; the frames with the number at the end of
      NAME and the next number (``flow10.flo``: ``frame10.png`` and ``frame11.png``); the only two pictures beside the
      only flow file, in the order of their names.

    Args:
        folder: where to look.

    Raises:
        BenchmarkError: there is no such folder, no true flow in it, or a flow file without its frames.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BenchmarkError(f"{folder}: no such folder; give the folder of a benchmark with true flow")
    # A list each, of its own kind of pairs.
    finders: tuple[Callable[[Path], Sequence[FlowPair]], ...] = (
        find_middlebury,
        find_kitti,
        find_sintel,
        find_spring,
        _beside_frames,
    )
    pairs = next((found for find in finders if (found := find(folder))), [])
    if not pairs:
        raise BenchmarkError(f"{folder}: no true flow found; accepted are {_LAYOUTS}")
    return sorted(pairs, key=lambda pair: (pair.sequence, pair.flow))


def _beside_frames(folder: Path) -> list[FlowPair]:
    flows: dict[Path, list[Path]] = defaultdict(list)
    pictures: dict[Path, dict[str, Path]] = defaultdict(dict)
    for path in sorted(folder.rglob("*")):
        suffix = path.suffix.lower()
        if suffix == ".flo" or (suffix == ".png" and "flow" in path.stem.lower() and is_flow_png(path)):
            flows[path.parent].append(path)
        elif suffix in IMAGE_SUFFIXES:
            pictures[path.parent].setdefault(path.stem, path)
    pairs = []
    for place, files in flows.items():
        sequence = place.resolve().name if place == folder else place.relative_to(folder).as_posix()
        for flow in files:
            frames = _frames_of(flow, pictures[place], alone=len(files) == 1)
            pairs.append(FlowPair(f"{sequence}/{flow.stem}", sequence, *frames, flow))
    return pairs


def _frames_of(flow: Path, pictures: dict[str, Path], alone: bool) -> tuple[Path, Path]:
    """The two frames of a flow file among the pictures (stem to path) of its folder; see :func:`find_pairs`."""
    name = re.sub(r"^flow_|_flow$", "", flow.stem)
    for first, second in _FRAME_SUFFIXES:
        if name + first in pictures and name + second in pictures:
            return pictures[name + first], pictures[name + second]
    prefix, number = _split_number(name)
    if number:
        following = str(int(number) + 1).zfill(len(number))
        prefixes = {_split_number(stem)[0] for stem in pictures}
        fitting = [p for p in sorted(prefixes) if p + number in pictures and p + following in pictures]
        if prefix in fitting:
            fitting = [prefix]
        if len(fitting) == 1:
            return pictures[fitting[0] + number], pictures[fitting[0] + following]
    if alone and len(pictures) == 2:
        first, second = sorted(pictures, key=_by_number)
        return pictures[first], pictures[second]
    raise BenchmarkError(
        f"{flow}: its two frames were not found beside it; name them like flow10.flo, frame10.png and frame11.png"
    )


def _split_number(stem: str) -> tuple[str, str]:
    """``frame_0010`` to ``("frame_", "0010")``; the number is empty when the name does not end in one."""
    prefix = stem.rstrip("0123456789")
    return prefix, stem[len(prefix) :]


def _by_number(stem: str) -> tuple[str, int]:
    """Sorting key that puts frame9 before frame10."""
    prefix, number = _split_number(stem)
    return prefix, int(number or 0)
