"""The data of MotionFit's trainings: clips of labelled videos, or of pseudo-labelled ones."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from refine_motion.benchmarks.actions.benchmark import ActionBenchmark, ActionVideo
from refine_motion.benchmarks.actions.subset import labelled_subset
from refine_motion.errors import ConfigError, VideoError
from refine_motion.motionfit.clip_settings import ClipSettings
from refine_motion.motionfit.clips import (
    CellClips,
    DrawnClips,
    LabelledCell,
    LabelledVideo,
    SpreadClips,
    fitting_stride,
    starts,
)
from refine_motion.motionfit.label_store import read_labels
from refine_motion.motionfit.timeline import timeline
from refine_motion.training.stream import Batches, step_loader
from refine_motion.video.index import VideoIndex, build_index
from refine_motion.video.info import VideoInfo


class ClipDataModule(LightningDataModule):
    """What both kinds of data share.

    Args:
        clip: see :class:`ClipSettings`.
        clips: N of each sample, which are classified together.
        batch_size: samples per step and process.
        num_workers: processes that decode.
        cache: folder of the video index and of flow.
        seed: of everything that is drawn.

    Attributes:
        reader: of the clips.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, clip: ClipSettings, clips: int, batch_size: int, num_workers: int, cache: str, seed: int):
        super().__init__()
        if clips < 1 or batch_size < 1 or num_workers < 0:
            raise ConfigError(
                "data: clips and batch_size must be at least 1 and num_workers not negative, got "
                f"{clips}, {batch_size} and {num_workers}"
            )
        self.clip, self.clips, self.batch_size, self.num_workers = clip, clips, batch_size, num_workers
        self.cache, self.seed = Path(cache), seed
        self.reader = clip.reader(self.cache / "flow")

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Names by label; after ``setup``."""

    @property
    @abstractmethod
    def videos(self) -> list[VideoInfo]:
        """All that clips are taken from; after ``setup``."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the training depends on here, as JSON can hold it; after ``setup``."""

    @abstractmethod
    def _training(self) -> Dataset[dict[str, Tensor]]:
        """The samples to learn from."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Those of the clips."""
        return self.clip.strides

    def fill(self, device: torch.device, world: int = 1, rank: int = 0) -> None:
        """Compute what clips need besides their videos: flow that is not there yet.

        Each process begins with its share and goes on with what the others have not come to, from the end.

        Args:
            device: to compute it on.
            world: processes that do so.
            rank: of this one.
        """
        videos = self.videos
        others = [video for number, video in enumerate(videos) if number % world != rank]
        self.reader.prepare(videos[rank::world] + others[::-1], self.strides, device)

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """A batch per step: ``clips`` ``(B, N, C, T, H, W)``, ``label`` and ``weight`` ``(B,)``, and seeds."""
        trainer = self.trainer
        world, rank = (1, 0) if trainer is None else (trainer.world_size, trainer.global_rank)
        batches = Batches(self._training(), self.batch_size, self.seed, world, rank)
        return step_loader(batches, trainer, self.num_workers)

    def _common(self, samples: Sequence[str]) -> dict[str, Any]:
        """What is common, of samples that are named with their labels."""
        digest = hashlib.sha256("\n".join(samples).encode()).hexdigest()[:16]
        return {
            "videos": digest,
            "reader": self.reader.settings(),
            "length": self.clip.length,
            "strides": list(self.strides),
            "clips": self.clips,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }


class ActionDataModule(ClipDataModule):
    """Videos with labels, of a collection in its official layout: for the teacher, and for a target collection.

    Args:
        benchmark: the collection.
        clip: see :class:`ClipSettings`.
        clips: N of each video, which are classified together.
        labelled_share: of the videos to learn from, those whose labels are used, by class.
        share_seed: of the draw of that share.
        test_clips: spread over each video to test on; 0 tests nothing.
        batch_size: videos per step and process.
        num_workers: processes that decode.
        cache: folder of the video index and of flow.
        seed: of everything that is drawn for training.
    """

    def __init__(
        self,
        benchmark: ActionBenchmark,
        clip: ClipSettings = ClipSettings(),  # noqa: B008  (frozen)
        clips: int = 1,
        labelled_share: float = 1.0,
        share_seed: int = 0,
        test_clips: int = 10,
        batch_size: int = 8,
        num_workers: int = 2,
        cache: str = "runs/motionfit/cache",
        seed: int = 0,
    ):
        super().__init__(clip, clips, batch_size, num_workers, cache, seed)
        if test_clips < 0:
            raise ConfigError(f"data.test_clips must not be negative, got {test_clips}")
        self.benchmark, self.labelled_share, self.share_seed = benchmark, labelled_share, share_seed
        self.test_clips = test_clips
        self.train_videos: list[LabelledVideo] = []
        self.test_videos: list[LabelledVideo] = []

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by label."""
        return self.benchmark.classes

    @property
    def videos(self) -> list[VideoInfo]:
        """To learn from."""
        return [labelled.video for labelled in self.train_videos]

    def setup(self, stage: str | None = None) -> None:
        """Read the lists of the collection and probe its videos.

        Raises:
            BenchmarkError: the collection is not whole.
            VideoError: a video cannot be read, or none has room for a clip.
        """
        if self.train_videos:
            return
        chosen = labelled_subset(self.benchmark.train(), self.labelled_share, self.share_seed)
        train = self._found(chosen, "to learn from", min(self.strides))
        if self.test_clips:
            self.test_videos = self._found(self.benchmark.test(), "to test on", 1)
            train = self._without_test(train)
        self.train_videos = train

    def settings(self) -> dict[str, Any]:
        """See :class:`ClipDataModule`; what it is tested on does not count."""
        labels = [f"{labelled.video.key}:{labelled.label}" for labelled in self.train_videos]
        return self._common(labels) | {"benchmark": self.benchmark.title, "classes": list(self.classes)}

    def fill_test(self, device: torch.device) -> None:
        """As :meth:`fill`, of the test videos and their strides alone."""
        by_stride: dict[int, list[VideoInfo]] = {}
        for labelled in self.test_videos:
            frames = len(timeline(labelled.video, self.reader.footage.fps))
            stride = fitting_stride(frames, self.clip.length, self.strides[0])
            by_stride.setdefault(stride, []).append(labelled.video)
        for stride, videos in by_stride.items():
            self.reader.prepare(videos, [stride], device)

    def test_dataloader(self, part: Literal["train", "test"] = "test") -> DataLoader[dict[str, Tensor]]:
        """Clips spread over the videos of one part, one video a batch.

        Args:
            part: which.
        """
        videos = self.train_videos if part == "train" else self.test_videos
        clips = SpreadClips(videos, self.reader, self.clip.length, self.strides[0], self.test_clips)
        return DataLoader(clips, batch_size=1, num_workers=self.num_workers)

    def _training(self) -> Dataset[dict[str, Tensor]]:
        return DrawnClips(self.train_videos, self.reader, self.clip.length, self.strides, self.clips, self.seed)

    def _found(self, listed: Sequence[ActionVideo], use: str, stride: int) -> list[LabelledVideo]:
        index = build_index([video.path for video in listed], self.cache / "index")
        by_path = {info.path: info for info in index.videos}
        found = [LabelledVideo(by_path[video.path], video.label) for video in listed if video.path in by_path]
        fit = [video for video in found if self._fits(video.video, stride)]
        if not fit:
            raise VideoError(
                f"{self.benchmark.title}: no video {use} has {self.clip.length} frames at stride {stride}; lower "
                "data.clip.length or data.clip.strides"
            )
        if len(fit) < len(listed):
            short, lost = len(found) - len(fit), len(listed) - len(found)
            rank_zero_info(
                f"{use}: {len(fit)} of {len(listed)} videos; left out: {short} too short for a clip, "
                f"{lost} that cannot be read or are copies"
            )
        return fit

    def _without_test(self, train: list[LabelledVideo]) -> list[LabelledVideo]:
        """Without copies of test videos, which would be tested by heart."""
        tested = {labelled.video.key for labelled in self.test_videos}
        kept = [labelled for labelled in train if labelled.video.key not in tested]
        if not kept:
            raise VideoError(f"{self.benchmark.title}: all videos to learn from are copies of test videos; give others")
        if len(kept) < len(train):
            rank_zero_info(f"to learn from: {len(train) - len(kept)} copies of test videos are left out")
        return kept

    def _fits(self, video: VideoInfo, stride: int) -> bool:
        return bool(starts(len(timeline(video, self.reader.footage.fps)), self.clip.length, stride, self.reader))


class PseudoLabelDataModule(ClipDataModule):
    """Videos with pseudo-labels of a folder of ``refine-motion label``; no flow is needed to learn from them.

    Args:
        videos: those that were labelled: a folder, a glob pattern or a list file.
        labels: the folder with ``labels.csv``.
        clip: see :class:`ClipSettings`; the strides must be among those that were labelled.
        clips: N of a cell, which are classified together.
        min_confidence: labels that are less sure are left out.
        weigh: multiply the loss of a clip by the confidence of its label.
        batch_size: cells per step and process.
        num_workers: processes that decode.
        cache: folder of the video index.
        seed: of everything that is drawn.
    """

    def __init__(
        self,
        videos: str | None = None,
        labels: str | None = None,
        clip: ClipSettings = ClipSettings(),  # noqa: B008  (frozen)
        clips: int = 1,
        min_confidence: float = 0.0,
        weigh: bool = False,
        batch_size: int = 8,
        num_workers: int = 2,
        cache: str = "runs/motionfit/cache",
        seed: int = 0,
    ):
        super().__init__(clip, clips, batch_size, num_workers, cache, seed)
        if videos is None or labels is None:
            name = "videos" if videos is None else "labels"
            what = "the unlabelled videos" if videos is None else "the folder that `refine-motion label` has written"
            raise ConfigError(f"no {name} given: set data.{name} to {what}")
        self.source, self.labels = videos, labels
        self.min_confidence, self.weigh = min_confidence, weigh
        self.index: VideoIndex | None = None
        self.samples: CellClips | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by label."""
        return self._store.classes

    @property
    def videos(self) -> list[VideoInfo]:
        """Those that have a label in use."""
        assert self.samples is not None
        used = {cell.cell.video for cells in self.samples.cells.values() for cell in cells}
        return [video for key, video in self.samples.videos.items() if key in used]

    def setup(self, stage: str | None = None) -> None:
        """Find the videos and their labels, and say what is not used.

        Raises:
            LabelError: the labels are missing or damaged, or none is left.
            ConfigError: a stride was not labelled, or the videos were looked at at another rate.
            VideoError: there is no video.
        """
        if self.samples is not None:
            return
        self._store = read_labels(self.labels)
        self._check()
        self.index = build_index(self.source, self.cache / "index")
        videos = {video.key: video for video in self.index.videos}
        ours = [row for row in self._store.rows if row.cell.video in videos and row.cell.stride in self.strides]
        sure = [row for row in ours if row.confidence >= self.min_confidence]
        cells = [LabelledCell(row.cell, row.label, row.confidence if self.weigh else 1.0) for row in sure]
        samples = CellClips(
            cells, videos, self.reader, self._store.granularity, self.clip.length, self.clips, self.seed
        )
        used = sum(map(len, samples.cells.values()))
        if len(samples.cells) < 2:
            raise ConfigError(
                f"{self.labels}: of {len(self._store.rows)} labels {len(ours)} are of these videos and strides and "
                f"{len(sure)} sure enough, with {len(samples.cells)} classes among them, and 2 are needed; check "
                "data.videos, lower data.min_confidence or data.clip.length"
            )
        strangers = len(videos.keys() - {row.cell.video for row in self._store.rows})
        rank_zero_info(
            f"{used} of {len(self._store.rows)} labels in use, of {len(samples.cells)} of {len(self.classes)} "
            f"classes; {strangers} of {len(videos)} videos have none, and {len(self.index.rejected)} cannot be read"
        )
        self.samples = samples

    def settings(self) -> dict[str, Any]:
        """See :class:`ClipDataModule`."""
        return self._common([video.key for video in self.videos]) | {
            "labels": self._store.digest,
            "min_confidence": self.min_confidence,
            "weigh": self.weigh,
        }

    def _check(self) -> None:
        unknown = sorted(set(self.strides) - set(self._store.granularity.strides))
        if unknown:
            raise ConfigError(
                f"{self.labels}: has labels at strides {list(self._store.granularity.strides)}, and data.clip.strides "
                f"asks for {unknown[0]}; leave it out, or label it as well"
            )
        if self._store.fps != self.clip.footage.fps:
            raise ConfigError(
                f"{self.labels}: was made at footage.fps {self._store.fps}, and data.clip.footage.fps is "
                f"{self.clip.footage.fps}; set the same"
            )

    def _training(self) -> Dataset[dict[str, Tensor]]:
        assert self.samples is not None
        return self.samples
