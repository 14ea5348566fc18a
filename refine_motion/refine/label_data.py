"""What the data modules of flow and of tracks share: videos cut into windows, labels of stage 1, what is held out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

from refine_motion.errors import ConfigError, LabelError, VideoError
from refine_motion.labels.generate import UnlabelledWindows
from refine_motion.labels.label import Label
from refine_motion.labels.select import LabelRule
from refine_motion.labels.store_base import FrameKey, SafetensorStore
from refine_motion.labels.weighted import WeightedLabels
from refine_motion.refine.holdout import HeldOut
from refine_motion.video.clips import Clip
from refine_motion.video.index import VideoIndex, build_index
from refine_motion.video.info import VideoInfo

# A decoder that hangs holds the interpreter lock of its process: only the one that waits for it can tell.
_HANG_SECONDS = 300

Key = TypeVar("Key", bound=FrameKey)
Kind = TypeVar("Kind", bound=Label)


class Window(Protocol[Key]):
    """Frames that are read in one go, and the names of their labels."""

    @property
    def clip(self) -> Clip:
        """The frames."""
        ...

    def label_keys(self) -> list[Key]:
        """The names of the labels in a store."""
        ...

    def only(self, wanted: set[Key]) -> Any:
        """The window with just these labels; None where it has none of them."""
        ...


class LabelDataModule(LightningDataModule, Generic[Key, Kind]):
    """Streams videos window by window and serves the labels that stage 1 cached.

    Args:
        videos: a video, a folder of videos or of frame folders, a glob pattern, or a list file.
        labels: root folder of the label store.
        cache: folder of the video index.
        holdout: share kept to judge by; see :meth:`hold_out`.
        filters: rules applied in order when a label is read, by name.
        batch_size: samples per step and process.
        num_workers: processes that decode.
        strict: stop at the first video that cannot be read, instead of going on with the rest.
        seed: seed of order, crops and augmentation.

    Attributes:
        index: the videos in use, and those that are not with the reason.
        windows: those of all videos in use, without what would serve neither training nor judging.
        store: where labels are; set by stage 1.
        min_side: videos that are smaller, as models see them, are left out; set by stage 1 to what its model can take.
        pending: windows that stage 1 is about to label; set by it.
        asked_for: whether every window was asked for one by one: then all of them are in use.
        between: whether its teacher looks at the frames between those of a window; set by it.
        unit: what a label is of, in the plural, for messages.

    Raises:
        ConfigError: a value is out of range.
    """

    store: SafetensorStore[Key, Kind] | None = None
    min_side: int = 1
    pending: Sequence[Any] = ()
    asked_for: bool = False
    between: bool = False
    unit: str

    def __init__(
        self,
        videos: str,
        labels: str,
        cache: str,
        holdout: float,
        filters: Mapping[str, LabelRule],
        batch_size: int,
        num_workers: int,
        strict: bool,
        seed: int,
    ):
        super().__init__()
        if batch_size < 1 or num_workers < 0 or not 0 <= holdout <= 0.5:
            raise ConfigError(
                "data: batch_size must be at least 1, num_workers at least 0 and holdout in [0, 0.5]; got "
                f"{batch_size}, {num_workers}, {holdout}"
            )
        self.videos, self.labels, self.cache = videos, Path(labels), Path(cache)
        self.holdout, self.filters = holdout, list(filters.values())
        self.batch_size, self.num_workers = batch_size, num_workers
        self.strict, self.seed = strict, seed
        self.index: VideoIndex | None = None
        self.windows: list[Any] = []
        self._held: HeldOut[Any] = HeldOut([], ([], []))
        self._lost = 0
        self._found: tuple[Any, HeldOut[Any], WeightedLabels[Key, Kind]] | None = None
        # Epoch, and batches of it that have been trained on; how many there are in an epoch.
        self._position, self._batches = (0, 0), 0

    @abstractmethod
    def plan(self, videos: Sequence[VideoInfo]) -> list[Any]:
        """Windows of some videos that are large enough.

        Raises:
            VideoError: none of them holds a window.
        """

    @abstractmethod
    def thin_out(self, windows: list[Any]) -> list[Any]:
        """As many of them as are wanted."""

    @abstractmethod
    def too_short(self, video: VideoInfo) -> str:
        """What is wrong with a video that gives no window."""

    def shown_size(self, video: VideoInfo) -> tuple[int, int]:
        """Height and width of its frames as models see them."""
        return video.height, video.width

    def check(self, teacher: Any) -> None:
        """Refuse a teacher that these windows are not for.

        Args:
            teacher: that is to label them.

        Raises:
            ConfigError: with what to set.
        """

    @abstractmethod
    def hold_out(self, windows: list[Any]) -> HeldOut[Any]:
        """Which windows to train on, and which to judge by; what serves neither is not labelled, as a rule."""

    @abstractmethod
    def settings(self) -> list[Any]:
        """What the samples depend on besides videos and labels."""

    def prepare_data(self) -> None:
        """Probe the videos, once; the other processes then read the cached index."""
        if self.index is None:
            self._plan(build_index(self.videos, cache_dir=self.cache, strict=self.strict))

    def setup(self, stage: str) -> None:
        """Plan the windows.

        Raises:
            VideoError: there is no readable video, or none holds a window.
        """
        if self.index is None:
            self._plan(build_index(self.videos, cache_dir=self.cache, strict=self.strict, progress=False))

    def _plan(self, index: VideoIndex) -> None:
        """Cut the videos into windows; those that give none join the rejected ones, with the reason."""
        large = [v for v in index.videos if min(self.shown_size(v)) >= self.min_side]
        windows = self.plan(large) if large else []
        used, enough = {window.clip.video.path for window in windows}, {v.path for v in large}
        unused = [
            (
                v.path,
                self.too_short(v) if v.path in enough else f"{v.width}x{v.height}: a side is below {self.min_side} px",
            )
            for v in index.videos
            if v.path not in used
        ]
        if unused and (self.strict or not windows):
            path, reason = unused[0]
            raise VideoError(f"{path}: {reason}")
        self.index = VideoIndex([v for v in index.videos if v.path in used], [*index.rejected, *unused])
        planned = self.thin_out(windows)
        self._held = self.hold_out(planned)
        used = set(map(id, self._held.used))
        self._lost = len(planned) - len(used)
        self.windows = [window for window in planned if id(window) in used or self.asked_for]

    def held_out(self) -> str:
        """One line on what is held out."""
        held = self._held
        if held.blocks:
            return "Held out to judge by: blocks of the picture, in all windows"
        if not held.windows:
            return "Held out to judge by: nothing"
        line = f"Held out to judge by: {len(held.windows)} windows, while {len(held.training)} are trained on"
        return f"{line}; {self._lost} between them serve neither" if self._lost else line

    def label_keys(self) -> list[Key]:
        """Everything that is, or will be, labelled."""
        return [key for window in self.windows for key in window.label_keys()]

    def unlabelled(self) -> tuple[list[Any], dict[str, int]]:
        """Windows with what lacks a usable label, and how many lack it for which reason."""
        missing = dict(self._store.missing(self.label_keys()))
        reasons: dict[str, int] = {}
        for reason in missing.values():
            reasons[reason] = reasons.get(reason, 0) + 1
        return self._only(set(missing)), reasons

    def predict_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Windows to be labelled, one a step."""
        windows = list(self.pending)
        # Lightning refuses fewer samples than processes; labelling a window twice gives the same files.
        while windows and self.trainer is not None and len(windows) < self.trainer.world_size:
            windows += self.pending
        workers = min(self.num_workers, len(windows))
        return DataLoader(
            UnlabelledWindows(windows, self.strict, self.between),
            batch_size=None,
            num_workers=workers,
            timeout=loading_timeout(workers),
        )

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Count the training batches of the epoch, so that a checkpoint knows where it stands in the order."""
        if self.trainer is not None and self.trainer.training:
            epoch = int(batch["epoch"][0])
            self._position = (epoch, self._position[1] + 1 if self._position[0] == epoch else 1)
        return batch

    def _begin(self) -> tuple[int, int]:
        """Epoch and batches done where the next batch lies."""
        epoch, done = self._position
        return (epoch, done) if done < self._batches else (epoch + 1, 0)

    def _count_batches(self, samples: int) -> None:
        """Note how many batches an epoch has."""
        self._batches = -(-samples // self.batch_size)
        if self.trainer is not None:
            limit = self.trainer.limit_train_batches
            self._batches = min(self._batches, limit) if isinstance(limit, int) else int(self._batches * limit)

    def state_dict(self) -> dict[str, int]:
        """Epoch, and batches of it that are done."""
        return {"epoch": self._position[0], "batches": self._position[1]}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Where a resumed training goes on. Lightning counts its batches on, but would take them from the start."""
        self._position = (state_dict["epoch"], state_dict["batches"])

    def _place(self) -> tuple[int, int]:
        """Number of processes, and of this one."""
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    @property
    def _store(self) -> SafetensorStore[Key, Kind]:
        if self.store is None:
            raise LabelError(f"{self.labels}: no labels yet; run stage 1 first (`refine-motion label` or `fit`)")
        return self.store

    def _only(self, wanted: set[Key]) -> list[Any]:
        return [found for window in self.windows if (found := window.only(wanted)) is not None]

    def _split(self) -> tuple[HeldOut[Any], WeightedLabels[Key, Kind]]:
        """Training and held-out windows, without what could not be labelled, and the labels of all.

        Looked up once after stage 1: every label is a file.
        """
        if self._found is not None and self._found[0] is self._store:
            return self._found[1:]
        missing = {key for key, _ in self._store.missing(self.label_keys())}
        if missing:
            rank_zero_info(f"{len(missing)} of {len(self.label_keys())} {self.unit} have no label and are left out")
        keys = [key for key in self.label_keys() if key not in missing]
        if not keys:
            raise LabelError(f"{self.labels}: none of the {self.unit} could be labelled; see the reasons above")
        labelled = set(keys)
        split = self._held.only(lambda window: window.only(labelled))
        planned = (self._held.training, *self._held.halves)
        if any(2 * len(left) < len(part) for left, part in zip((split.training, *split.halves), planned, strict=True)):
            # Most of a part could not be labelled: what is left is parted anew.
            split = self.hold_out(self._only(labelled))
        self._found = self._store, split, WeightedLabels(self._store, self.filters, keys)
        return self._found[1:]


def loading_timeout(workers: int) -> float:
    """Seconds to wait for a batch; without workers there is nobody to wait for."""
    return _HANG_SECONDS if workers else 0
