"""Spring (Mehl et al., "Spring: A High-Resolution High-Detail Dataset and Benchmark …", CVPR 2023).

Layout, in the folder or in its ``spring/``::

    train/0001/frame_left/frame_left_0001.png …
    train/0001/flow_FW_left/flow_FW_left_0001.flo5 …          HDF5, dataset "flow" (2 H, 2 W, 2)
    train/0001/maps/matchmap_flow_FW_left/matchmap_flow_FW_left_0001.png …

and the same with ``right`` for the other camera. Forward flow (``FW``) is to the next frame and missing for the last,
backward flow (``BW``) to the previous one and missing for the first.

The truth has twice the size of the frames, and its vectors are in pixels of the frames. So a pixel has four true
vectors, and the error is that to the nearest of them; a pixel with nan in any of the four is not scored. A pixel is
unmatched where the red or the green channel of the match map, which has the size of the frames, is not 0. All of this
follows the benchmark's own code: cv-stuttgart/springwebsite ``evaluation.py`` and ``create_evalfiles.py``,
cv-stuttgart/spring_utils ``dataloader.py``. Differences: the server scores a sample of the pixels, and rounds the truth
to half precision first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from refine_motion.benchmarks.flow_pair import FlowPair, check_frames, read_picture
from refine_motion.errors import BenchmarkError

_STEP = {"FW": 1, "BW": -1}


@dataclass(frozen=True)
class SpringPair(FlowPair):
    """A pair of Spring.

    Attributes:
        matchmap: map of the pixels without a counterpart; ``None`` where the folder has none.
    """

    matchmap: Path | None = None

    @property
    def scene(self) -> str:
        """The scene, which both cameras and both directions show."""
        return self.sequence.split("/")[0]

    def read_flow(self) -> tuple[Tensor, Tensor]:
        """Four true vectors ``(4, 2, H, W)`` float32 for each pixel, and ``(H, W)`` bool where all four are known."""
        return read_flo5(self.flow)

    def read_matched(self) -> Tensor | None:
        """Pixels with a counterpart in the second frame."""
        return None if self.matchmap is None else ~(read_picture(self.matchmap)[:2] > 0).any(dim=0)


def find_spring(
    root: Path, directions: Sequence[str] = ("FW", "BW"), cameras: Sequence[str] = ("left", "right")
) -> list[SpringPair]:
    """All pairs with true flow, sorted by scene, direction, camera and frame; none where the layout is another.

    Args:
        root: the folder.
        directions: ``FW``, ``BW`` or both; those without files are passed over.
        cameras: ``left``, ``right`` or both; likewise.

    Raises:
        BenchmarkError: a frame, a flow file or the match map of some pairs only is missing.
    """
    root = root / "spring" if (root / "spring" / "train").is_dir() else root
    pairs = []
    for scene in sorted(folder for folder in (root / "train").glob("[0-9]*") if folder.is_dir()):
        for direction in directions:
            for camera in cameras:
                pairs += _sequence(scene, direction, camera)
    return pairs


def read_flo5(path: Path) -> tuple[Tensor, Tensor]:
    """Read a ``.flo5`` file of twice the size of the frames.

    Returns:
        ``(4, 2, H, W)`` float32: the four vectors of each pixel of the frames, in pixels of the frames, the upper left
        one first; and ``(H, W)`` bool where all four are finite. Unknown flow is 0.

    Raises:
        BenchmarkError: h5py is not installed, or the file cannot be read or does not hold such a flow.
    """
    try:
        import h5py
    except ImportError:
        raise BenchmarkError(
            f"{path}: reading it needs h5py; install it with `pip install refine-motion[benchmarks]`"
        ) from None
    try:
        with h5py.File(path, "r") as file:
            values = torch.from_numpy(file["flow"][()]).float()
    except (OSError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path}: cannot be read as a .flo5 ({error}); check or copy it again") from None
    if values.ndim != 3 or values.shape[2] != 2 or values.shape[0] % 2 or values.shape[1] % 2:
        raise BenchmarkError(
            f"{path}: holds {tuple(values.shape)} values where (2 H, 2 W, 2) are expected; give the file of the dataset"
        )
    four = torch.stack([values[y::2, x::2] for y in (0, 1) for x in (0, 1)]).permute(0, 3, 1, 2)
    valid = four.isfinite().all(dim=1).all(dim=0)
    return torch.where(valid, four, 0).contiguous(), valid


def _sequence(scene: Path, direction: str, camera: str) -> list[SpringPair]:
    kind = f"{direction}_{camera}"
    flows = sorted((scene / f"flow_{kind}").glob(f"flow_{kind}_*.flo5"))
    frames = sorted((scene / f"frame_{camera}").glob(f"frame_{camera}_*.png"))
    if flows and len(flows) != len(frames) - 1:
        raise BenchmarkError(
            f"{scene}: {len(frames)} frames in frame_{camera} and {len(flows)} files in flow_{kind}; there must be one "
            "frame more than flow files, so complete the scene or remove it"
        )
    maps = scene / "maps" / f"matchmap_flow_{kind}"
    pairs = []
    for flow in flows:
        number = flow.stem.split("_")[-1]
        a, b = (
            scene / f"frame_{camera}" / f"frame_{camera}_{index:0{len(number)}d}.png"
            for index in (int(number), int(number) + _STEP[direction])
        )
        matchmap = maps / f"matchmap_flow_{kind}_{number}.png"
        if maps.is_dir() and not matchmap.is_file():
            raise BenchmarkError(f"{matchmap}: missing, but {flow} is there; complete its folder or remove it")
        sequence = f"{scene.name}/{kind}"
        pair = SpringPair(f"{sequence}/{number}", sequence, a, b, flow, matchmap if maps.is_dir() else None)
        check_frames(pair)
        pairs.append(pair)
    return pairs
