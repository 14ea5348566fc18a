"""The data of a CorrFlow training: short clips of videos, or made ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from refine_motion.corrflow.clips import HeldOutClips, TrainingClips
from refine_motion.errors import ConfigError, VideoError
from refine_motion.training.clip_source import ClipSource
from refine_motion.training.stream import Batches, step_loader
from refine_motion.video.clips import Clip, whole_windows
from refine_motion.video.index import VideoIndex, build_index

# At most this share of the windows is held out.
_MOST_HELD_OUT = 0.2


class CorrFlowDataModule(LightningDataModule):
    """Clips of a few frames, without labels of any kind.

    Args:
        videos: a video, a folder of videos or of frame folders, a glob pattern, or a list file.
        made: clips that are made, in place of videos.
        frames: of a clip.
        fps: frames a second at which videos are looked at; where a video has fewer, the frames that it has.
        size: ``(H, W)`` that frames are brought to, whatever their shape.
        batch_size: clips per step and process.
        num_workers: processes that decode or render.
        held_out: clips for validation. Of videos they are the last ones in order of paths and time, at most a fifth.
        cache: folder of the video index.
        seed: of order, starts of clips, and everything that is drawn for a step or a clip.

    Attributes:
        index: the videos in use, and those that are not with the reason; None for made clips, and before ``setup``.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        videos: str | None = None,
        made: ClipSource | None = None,
        frames: int = 3,
        fps: float = 6.0,
        size: tuple[int, int] = (256, 256),
        batch_size: int = 6,
        num_workers: int = 2,
        held_out: int = 32,
        cache: str = "runs/corrflow/index",
        seed: int = 0,
    ):
        super().__init__()
        if frames < 2 or not fps > 0 or batch_size < 1 or num_workers < 0 or held_out < 0 or min(size) < 4:
            raise ConfigError(
                "data: frames must be at least 2, fps positive, size at least 4 pixels on each side, batch_size at "
                f"least 1, num_workers and held_out not negative; got {frames}, {fps:g}, {tuple(size)}, {batch_size}, "
                f"{num_workers}, {held_out}"
            )
        if videos is not None and made is not None:
            raise ConfigError("data.videos and data.made exclude each other: set one of them")
        self.videos, self.made, self.frames, self.fps, self.size = videos, made, frames, fps, (size[0], size[1])
        self.batch_size, self.num_workers, self.held_out = batch_size, num_workers, held_out
        self.cache, self.seed = Path(cache), seed
        self.index: VideoIndex | None = None
        self._windows: list[Clip] = []

    def prepare_data(self) -> None:
        """Probe the videos, once; the other processes then read the cached index."""
        if self.made is None:
            build_index(self._source(), self.cache)

    def setup(self, stage: str | None = None) -> None:
        """Find videos and windows, and say what is not used.

        Raises:
            ConfigError: there is neither a video nor anything made.
            VideoError: no video holds a whole clip.
        """
        if self.made is not None or self._windows:
            return
        self.index = build_index(self._source(), self.cache, progress=False)
        found = [whole_windows(video, self.frames, 1 / self.fps) for video in self.index.videos]
        short = [video.path for video, windows in zip(self.index.videos, found, strict=True) if not windows]
        self._windows = [window for windows in found for window in windows]
        told = f"{self.frames} frames of one shot at {self.fps:g} a second"
        if not self._windows:
            raise VideoError(f"{self.videos}: no video has {told}; give longer ones, or raise data.fps")
        if short or self.index.rejected:
            rank_zero_info(
                f"left out: {len(short)} videos without {told}, {len(self.index.rejected)} that cannot be read"
            )

    def settings(self) -> dict[str, Any]:
        """What the training depends on here, as JSON can hold it; after ``setup``."""
        settings: dict[str, Any] = {
            "frames": self.frames,
            "size": list(self.size),
            "batch_size": self.batch_size,
            "held_out": self.held_out,
            "seed": self.seed,
        }
        if self.made is not None:
            return settings | {"made": {"kind": type(self.made).__name__, **self.made.settings()}}
        assert self.index is not None
        keys = "\n".join(video.key for video in self.index.videos)
        return settings | {"fps": self.fps, "videos": hashlib.sha256(keys.encode()).hexdigest()[:16]}

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """A batch per step, from the trainer's present step on: ``frames`` ``(B, T, 3, H, W)`` uint8, and seeds."""
        trainer = self.trainer
        world, rank = (1, 0) if trainer is None else (trainer.world_size, trainer.global_rank)
        batches = Batches(self._training(), self.batch_size, self.seed, world, rank)
        return step_loader(batches, trainer, self.num_workers)

    def val_dataloader(self) -> Sequence[DataLoader[dict[str, Tensor]]]:
        """The held-out clips; none where nothing is held out."""
        count = self.held_out if self.made is not None else len(self._held_out())
        if not count:
            return []
        clips: Dataset[dict[str, Tensor]]
        if self.made is not None:
            clips = self.made.held_out(self.frames, self.size, count)
        else:
            clips = HeldOutClips(self._held_out(), self.size)
        return [DataLoader(clips, batch_size=self.batch_size, num_workers=min(self.num_workers, 1))]

    def _source(self) -> str:
        if self.videos is None:
            raise ConfigError("no videos given: set data.videos to a folder of them")
        return self.videos

    def _held_out(self) -> list[Clip]:
        count = min(self.held_out, int(_MOST_HELD_OUT * len(self._windows)))
        return self._windows[len(self._windows) - count :]

    def _training(self) -> Dataset[dict[str, Tensor]]:
        if self.made is not None:
            return self.made.training(self.frames, self.size, self.seed)
        count = len(self._windows) - len(self._held_out())
        # The last one begins where it begins: later, it would reach into the first that is held out.
        kept = frozenset([count - 1]) if count < len(self._windows) else frozenset()
        return TrainingClips(self._windows[:count], self.size, 1 / self.fps, self.seed, kept)
