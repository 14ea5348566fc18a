"""Two frames with true flow: where the files are, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypedDict

import torch
from PIL import Image
from torch import Tensor

from refine_motion.benchmarks.flow_files import read_flow
from refine_motion.errors import BenchmarkError
from refine_motion.video.images import read_image

Padding = Literal["even", "kitti"]


@dataclass(frozen=True)
class FlowPair:
    """Two frames and the true flow from the first to the second; benchmarks with more to read have a subclass.

    Attributes:
        name: sequence and file, for messages and pictures; no two pairs of a benchmark have the same.
        sequence: the sequence that the pair belongs to; tables have one row for each.
        image_a: first frame.
        image_b: second frame.
        flow: flow file, ``.flo`` or KITTI PNG.
        padding: how the benchmark's protocol fills frames up to the stride of a model; see
            :func:`refine_motion.benchmarks.estimate.estimate_flow`.
    """

    name: str
    sequence: str
    image_a: Path
    image_b: Path
    flow: Path

    padding: ClassVar[Padding] = "even"

    @property
    def scene(self) -> str:
        """What was filmed or rendered: sequences of one scene are not independent of one another."""
        return self.sequence

    def read_flow(self) -> tuple[Tensor, Tensor]:
        """True flow ``(2, H, W)`` float32 in pixels, and ``(H, W)`` bool where it is known.

        Raises:
            BenchmarkError: a file cannot be read.
        """
        return read_flow(self.flow)

    def read_matched(self) -> Tensor | None:
        """``(H, W)`` bool: which pixels are visible in the second frame; ``None`` where the benchmark does not say.

        Raises:
            BenchmarkError: a file cannot be read.
        """
        return None


def read_pair(pair: FlowPair) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Read a pair's files.

    Returns:
        First and second frame ``(3, H, W)`` uint8 RGB, flow ``(2, H, W)`` float32 in pixels (Spring: ``(4, 2, H, W)``,
        four true vectors for each pixel) and ``(H, W)`` bool where it is known.

    Raises:
        BenchmarkError: a file cannot be read, or a frame has another size than the flow.
    """
    flow, valid = pair.read_flow()
    frames = []
    for path in (pair.image_a, pair.image_b):
        frame = read_picture(path)
        if frame.shape[1:] != flow.shape[-2:]:
            raise BenchmarkError(
                f"{path} has {_size(frame)} pixels and its true flow {pair.flow} has {_size(flow)}; "
                "give the frames that the flow was made for"
            )
        frames.append(frame)
    return frames[0], frames[1], flow, valid


class FlowSample(TypedDict):
    """A pair that was read: a plain dictionary, which data loaders and Lightning can hand on.

    ``image_a``, ``image_b``, ``flow`` and ``valid`` are those of :func:`read_pair`, ``matched`` is that of
    :meth:`FlowPair.read_matched`, ``path`` the file of the first frame; the rest is as in the pair.
    """

    name: str
    sequence: str
    scene: str
    path: str
    padding: Padding
    image_a: Tensor
    image_b: Tensor
    flow: Tensor
    valid: Tensor
    matched: Tensor | None


def read_sample(pair: FlowPair) -> FlowSample:
    """Everything that scoring a pair needs.

    Raises:
        BenchmarkError: a file cannot be read, or has another size than the flow.
    """
    a, b, flow, valid = read_pair(pair)
    matched = pair.read_matched()
    if matched is not None and matched.shape != valid.shape:
        raise BenchmarkError(
            f"{pair.flow}: {_size(valid)} pixels of flow and {_size(matched)} in the map of what is visible in both "
            "frames; give the maps of the same dataset"
        )
    return FlowSample(
        name=pair.name,
        sequence=pair.sequence,
        scene=pair.scene,
        path=str(pair.image_a),
        padding=pair.padding,
        image_a=a,
        image_b=b,
        flow=flow,
        valid=valid,
        matched=matched,
    )


def read_picture(path: Path) -> Tensor:
    """A frame or a map: ``(3, H, W)`` uint8 RGB.

    Raises:
        BenchmarkError: the file is missing or no picture.
    """
    try:
        pixels = read_image(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BenchmarkError(f"{path}: cannot be read as a picture ({error}); check or replace the file") from None
    # Pillow's memory is read-only, which a tensor cannot express.
    return torch.tensor(pixels).permute(2, 0, 1).contiguous()


def check_frames(pair: FlowPair) -> FlowPair:
    """The pair itself, when its frames are there.

    Raises:
        BenchmarkError: a frame is missing.
    """
    for path in (pair.image_a, pair.image_b):
        if not path.is_file():
            raise BenchmarkError(
                f"{path}: missing, but its true flow {pair.flow} is there; complete the benchmark's frames"
            )
    return pair


def beside(root: Path, folder: str) -> Path:
    """``root/training`` where that holds the folder, else ``root``: both are given as the root of a benchmark."""
    return root / "training" if (root / "training" / folder).is_dir() else root


def _size(tensor: Tensor) -> str:
    return f"{tensor.shape[-1]} x {tensor.shape[-2]}"
