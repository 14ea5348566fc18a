"""The benchmarks as test data for Lightning: one class each, whose arguments are the keys of ``data`` in YAML."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from refine_motion.benchmarks.flow_pair import FlowPair, FlowSample, read_sample
from refine_motion.benchmarks.flying_chairs import find_flying_chairs
from refine_motion.benchmarks.kitti import find_kitti
from refine_motion.benchmarks.middlebury import find_middlebury
from refine_motion.benchmarks.sintel import find_sintel
from refine_motion.benchmarks.spring import find_spring
from refine_motion.errors import BenchmarkError


class FlowPairs(Dataset[FlowSample]):
    """Pairs, read when they are asked for.

    Args:
        pairs: where their files are.
    """

    def __init__(self, pairs: Sequence[FlowPair]):
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> FlowSample:
        return read_sample(self.pairs[index])


class FlowBenchmark(LightningDataModule):
    """Pairs of frames with true flow, one a step, because their sizes differ.

    Args:
        root: folder of the benchmark in its official layout.
        num_workers: processes that read.

    Attributes:
        pairs: where the files are; set by ``setup``.
    """

    pairs: Sequence[FlowPair] = ()

    def __init__(self, root: str | None = None, num_workers: int = 1):
        super().__init__()
        self.root, self.num_workers = root, num_workers

    @abstractmethod
    def find(self, root: Path) -> Sequence[FlowPair]:
        """The pairs to score; none where the folder has another layout."""

    def setup(self, stage: str) -> None:
        """Find the pairs.

        Raises:
            BenchmarkError: no folder is given, or it does not exist, has another layout, or is incomplete.
        """
        name = type(self).__name__
        if self.root is None:
            raise BenchmarkError(f"no folder given: pass that of {name} as --data.root")
        root = Path(self.root)
        if not root.is_dir():
            raise BenchmarkError(f"{root}: no such folder; give that of {name} as --data.root")
        self.pairs = self.find(root)
        if not self.pairs:
            raise BenchmarkError(
                f"{root}: not the layout of {name}; the head of its file in configs/benchmarks shows it"
            )

    def test_dataloader(self) -> DataLoader[FlowSample]:
        """The pairs in their order."""
        return DataLoader(FlowPairs(self.pairs), batch_size=None, num_workers=min(self.num_workers, len(self.pairs)))


class Sintel(FlowBenchmark):
    """MPI-Sintel; see :mod:`refine_motion.benchmarks.sintel`.

    Args:
        root: folder that holds ``training/``, or what is in it.
        passes: which of the two renderings; with both, every scene has two rows.
        leave_out_invalid: do not score the pixels that ``invalid/`` marks. Published numbers count them.
        num_workers: processes that read.
    """

    def __init__(
        self,
        root: str | None = None,
        passes: Literal["clean", "final", "both"] = "both",
        leave_out_invalid: bool = False,
        num_workers: int = 1,
    ):
        super().__init__(root, num_workers)
        self.passes, self.leave_out_invalid = passes, leave_out_invalid

    def find(self, root: Path) -> Sequence[FlowPair]:
        """All training pairs of the passes."""
        passes = ("clean", "final") if self.passes == "both" else (self.passes,)
        return find_sintel(root, passes, self.leave_out_invalid)


class Kitti2015(FlowBenchmark):
    """KITTI 2015; see :mod:`refine_motion.benchmarks.kitti`.

    Args:
        root: folder that holds ``training/``, or what is in it.
        num_workers: processes that read.
    """

    def find(self, root: Path) -> Sequence[FlowPair]:
        """The training pairs."""
        return find_kitti(root)


class FlyingChairs(FlowBenchmark):
    """FlyingChairs; see :mod:`refine_motion.benchmarks.flying_chairs`.

    Args:
        root: folder that holds ``data/`` and ``chairs_split.txt``, or ``FlyingChairs_release/``.
        split: which pairs.
        split_file: where the split is, when not beside ``data/``.
        num_workers: processes that read.
    """

    def __init__(
        self,
        root: str | None = None,
        split: Literal["training", "validation"] = "validation",
        split_file: str | None = None,
        num_workers: int = 1,
    ):
        super().__init__(root, num_workers)
        self.split, self.split_file = split, None if split_file is None else Path(split_file)

    def find(self, root: Path) -> Sequence[FlowPair]:
        """The pairs of the split."""
        return find_flying_chairs(root, self.split, self.split_file)


class Spring(FlowBenchmark):
    """Spring; see :mod:`refine_motion.benchmarks.spring`.

    Args:
        root: folder that holds ``train/``, or ``spring/``.
        directions: ``FW`` to the next frame, ``BW`` to the previous one; those without files are passed over.
        cameras: of the stereo rig; likewise.
        num_workers: processes that read.
    """

    def __init__(
        self,
        root: str | None = None,
        directions: Sequence[Literal["FW", "BW"]] = ("FW", "BW"),
        cameras: Sequence[Literal["left", "right"]] = ("left", "right"),
        num_workers: int = 1,
    ):
        super().__init__(root, num_workers)
        self.directions, self.cameras = directions, cameras

    def find(self, root: Path) -> Sequence[FlowPair]:
        """The training pairs."""
        return find_spring(root, self.directions, self.cameras)


class Middlebury(FlowBenchmark):
    """Middlebury optical flow; see :mod:`refine_motion.benchmarks.middlebury`.

    Args:
        root: folder that holds ``other-data/`` and ``other-gt-flow/``.
        num_workers: processes that read.
    """

    def find(self, root: Path) -> Sequence[FlowPair]:
        """The pairs with public truth."""
        return find_middlebury(root)
