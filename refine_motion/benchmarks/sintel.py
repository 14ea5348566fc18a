"""MPI-Sintel (Butler et al., "A Naturalistic Open Source Movie for Optical Flow Evaluation", ECCV 2012).

Layout, in the folder or in its ``training/``::

    clean/<scene>/frame_0001.png …                 and final/…: two passes of the same scenes
    flow/<scene>/frame_0001.flo …                  one fewer than frames: from the frame of that number to the next
    occlusions/<scene>/frame_0001.png …            255 where the pixel is not visible in the next frame
    invalid/<scene>/frame_0001.png …               255 where the true flow is not to be relied on

Protocol (princeton-vl/RAFT ``evaluate.py``): 32 iterations, the pixels of all pairs pooled, occluded and "invalid" ones
included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from refine_motion.benchmarks.flow_files import read_flow
from refine_motion.benchmarks.flow_pair import FlowPair, beside, read_picture
from refine_motion.errors import BenchmarkError

PASSES = ("clean", "final")


@dataclass(frozen=True)
class SintelPair(FlowPair):
    """A pair of MPI-Sintel.

    Attributes:
        occlusions: map of the pixels that the next frame hides; ``None`` where the folder has none.
        invalid: map of the pixels to leave out; ``None`` scores all.
    """

    occlusions: Path | None = None
    invalid: Path | None = None

    @property
    def scene(self) -> str:
        """The scene, which both passes show."""
        return self.sequence.split("/")[-1]

    def read_flow(self) -> tuple[Tensor, Tensor]:
        """True flow, known everywhere but in the pixels that are left out."""
        flow, valid = read_flow(self.flow)
        return flow, valid if self.invalid is None else valid & ~_marked(self.invalid)

    def read_matched(self) -> Tensor | None:
        """Pixels that are not occluded."""
        return None if self.occlusions is None else ~_marked(self.occlusions)


def find_sintel(root: Path, passes: Sequence[str] = PASSES, leave_out_invalid: bool = False) -> list[SintelPair]:
    """All pairs with true flow, sorted by pass, scene and frame; none where the layout is another.

    Args:
        root: the folder, or that of one pass (``…/training/clean``), which gives that pass alone.
        passes: ``clean``, ``final`` or both; those without a folder are passed over.
        leave_out_invalid: do not score the pixels that ``invalid/`` marks. Published numbers count them.

    Raises:
        BenchmarkError: a scene has not one frame more than flow files, or lacks a map that other scenes have.
    """
    if root.name in PASSES and (root.parent / "flow").is_dir():
        root, passes = root.parent, [root.name]
    root = beside(root, "flow")
    scenes = sorted({flow.parent.name for flow in (root / "flow").glob("*/frame_*.flo")})
    pairs = []
    for name in (each for each in passes if (root / each).is_dir()):
        for scene in scenes:
            frames = sorted((root / name / scene).glob("frame_*.png"))
            flows = sorted((root / "flow" / scene).glob("frame_*.flo"))
            if [frame.stem for frame in frames[:-1]] != [flow.stem for flow in flows]:
                raise BenchmarkError(
                    f"{root / name / scene}: {len(frames)} frames, and {len(flows)} flow files in {flows[0].parent}; "
                    "there must be a flow file for every frame but the last, so complete the scene or remove it"
                )
            for first, second, flow in zip(frames, frames[1:], flows, strict=False):
                sequence = f"{name}/{scene}"
                occlusions = _map(root / "occlusions", flow)
                invalid = _map(root / "invalid", flow) if leave_out_invalid else None
                pairs.append(SintelPair(f"{sequence}/{flow.stem}", sequence, first, second, flow, occlusions, invalid))
    return pairs


def _map(folder: Path, flow: Path) -> Path | None:
    """The map that belongs to a flow file; ``None`` where there are no maps of this kind at all."""
    path = folder / flow.parent.name / f"{flow.stem}.png"
    if folder.is_dir() and not path.is_file():
        raise BenchmarkError(f"{path}: missing, but {flow} is there; complete the folder {folder.name} or remove it")
    return path if folder.is_dir() else None


def _marked(path: Path) -> Tensor:
    return read_picture(path)[0] > 127
