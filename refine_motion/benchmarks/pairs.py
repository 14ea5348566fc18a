"""Frame pairs with true flow, found in the official layouts of the benchmarks or in any tree of folders."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from refine_motion.benchmarks.flow_files import is_flow_png, read_flow
from refine_motion.errors import BenchmarkError
from refine_motion.video.images import read_image
from refine_motion.video.sources import IMAGE_SUFFIXES

_LAYOUTS = (
    "Middlebury (other-data/ and other-gt-flow/), KITTI (image_2/ or colored_0/ and flow_occ/), "
    "MPI-Sintel (clean/ or final/ and flow/), or .flo files beside their two frames"
)
_FRAME_SUFFIXES = (("_img1", "_img2"), ("_1", "_2"), ("_a", "_b"))


@dataclass(frozen=True)
class FlowPair:
    """Two frames and the true flow from the first to the second.

    Attributes:
        name: sequence and file, for messages and pictures.
        sequence: the sequence that the pair belongs to; tables have one row for each.
        image_a: first frame.
        image_b: second frame.
        flow: flow file, ``.flo`` or KITTI PNG.
    """

    name: str
    sequence: str
    image_a: Path
    image_b: Path
    flow: Path


def find_pairs(folder: str | Path) -> list[FlowPair]:
    """All frame pairs with true flow in a folder, sorted by sequence.

    Layouts, tried in this order:

    - **Middlebury**: ``other-data/<Seq>/frame10.png``, ``frame11.png`` and ``other-gt-flow/<Seq>/flow10.flo``.
    - **KITTI** 2015 and 2012: ``image_2/000000_10.png`` (or ``colored_0/``), ``000000_11.png`` and
      ``flow_occ/000000_10.png``, in the folder or in its ``training/``. Every pair is a sequence of its own, so that
      the mean over sequences is KITTI's mean over images.
    - **MPI-Sintel**: ``clean/<scene>/frame_0001.png`` or ``final/…`` and ``flow/<scene>/frame_0001.flo``, in the folder
      or in its ``training/``. The folder of one pass (``…/training/clean``) gives that pass alone.
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
    pairs = _middlebury(folder) or _kitti(folder) or _sintel(folder) or _beside_frames(folder)
    if not pairs:
        raise BenchmarkError(f"{folder}: no true flow found; accepted are {_LAYOUTS}")
    return sorted(pairs, key=lambda pair: (pair.sequence, pair.flow))


def read_pair(pair: FlowPair) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Read a pair's files.

    Returns:
        First and second frame ``(3, H, W)`` uint8 RGB, flow ``(2, H, W)`` float32 in pixels and ``(H, W)`` bool where
        it is known.

    Raises:
        BenchmarkError: a file cannot be read, or a frame has another size than the flow.
    """
    flow, valid = read_flow(pair.flow)
    frames = []
    for path in (pair.image_a, pair.image_b):
        frame = _read_frame(path)
        if frame.shape[1:] != flow.shape[1:]:
            raise BenchmarkError(
                f"{path} has {_size(frame)} pixels and its true flow {pair.flow} has {_size(flow)}; "
                "give the frames that the flow was made for"
            )
        frames.append(frame)
    return frames[0], frames[1], flow, valid


def _read_frame(path: Path) -> Tensor:
    try:
        pixels = read_image(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BenchmarkError(f"{path}: cannot be read as a picture ({error}); check or replace the file") from None
    # Pillow's memory is read-only, which a tensor cannot express.
    return torch.tensor(pixels).permute(2, 0, 1).contiguous()


def _middlebury(folder: Path) -> list[FlowPair]:
    pairs = []
    for flow in (folder / "other-gt-flow").glob("*/flow10.flo"):
        sequence = flow.parent.name
        frames = folder / "other-data" / sequence
        pairs.append(_existing(f"{sequence}/flow10", sequence, frames / "frame10.png", frames / "frame11.png", flow))
    return pairs


def _kitti(folder: Path) -> list[FlowPair]:
    root = folder / "training" if (folder / "training" / "flow_occ").is_dir() else folder
    frames = root / ("image_2" if (root / "image_2").is_dir() else "colored_0")
    pairs = []
    for flow in (root / "flow_occ").glob("*_10.png"):
        number = flow.stem.removesuffix("_10")
        pairs.append(_existing(number, number, frames / f"{number}_10.png", frames / f"{number}_11.png", flow))
    return pairs


def _sintel(folder: Path) -> list[FlowPair]:
    root = folder / "training" if (folder / "training" / "flow").is_dir() else folder
    if root.name in ("clean", "final") and (root.parent / "flow").is_dir():
        root, passes = root.parent, [root.name]
    else:
        passes = [name for name in ("clean", "final") if (root / name).is_dir()]
    pairs = []
    for name in passes:
        for flow in (root / "flow").glob("*/frame_*.flo"):
            sequence, number = f"{name}/{flow.parent.name}", int(flow.stem.removeprefix("frame_"))
            first, second = (root / sequence / f"frame_{n:04d}.png" for n in (number, number + 1))
            pairs.append(_existing(f"{sequence}/{flow.stem}", sequence, first, second, flow))
    return pairs


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


def _existing(name: str, sequence: str, image_a: Path, image_b: Path, flow: Path) -> FlowPair:
    for path in (image_a, image_b):
        if not path.is_file():
            raise BenchmarkError(f"{path}: missing, but its true flow {flow} is there; complete the benchmark's frames")
    return FlowPair(name, sequence, image_a, image_b, flow)


def _size(tensor: Tensor) -> str:
    return f"{tensor.shape[-1]} x {tensor.shape[-2]}"
