"""Videos and their cached pseudo-labels, for both stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from refine_motion.errors import ConfigError, LabelError, VideoError
from refine_motion.labels.generate import UnlabelledWindows
from refine_motion.labels.opened import evenly
from refine_motion.labels.select import LabelRule, paper_filters
from refine_motion.labels.source_domain import SourceDomain
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.weighted import WeightedLabels
from refine_motion.labels.windows import PairWindow, plan_windows, thin_out
from refine_motion.refine.dataset import (
    HeldOutPairs,
    HeldOutSamples,
    Source,
    SourceExamples,
    TrainingPairs,
    collate_padded,
)
from refine_motion.refine.holdout import HeldOut, Part, hold_out
from refine_motion.refine.order import HeldOutOrder, WindowShuffle
from refine_motion.video.index import VideoIndex, build_index
from refine_motion.video.info import VideoInfo

# A decoder that hangs holds the interpreter lock of its process: only the one that waits for it can tell.
_HANG_SECONDS = 300
_HELD_OF_SOURCE = 32
# Pairs whose labels tell how fast what is learnt from moves.
_LOOKED_AT = 32


class VideoLabelDataModule(LightningDataModule):
    """Streams videos window by window and serves the labels that stage 1 cached.

    Args:
        videos: a video, a folder of videos or of frame folders, a glob pattern, or a list file.
        labels: root folder of the label store.
        cache: folder of the video index.
        window: frames read in one go.
        frame_steps: distances between the two frames of a pair.
        seconds_per_step: thin the videos out to this time step first; frame steps count in it.
        max_pairs: at most so many pairs, spread evenly over the videos.
        holdout: share of the windows kept to judge by; of fewer than eight windows none, but twice the share of the
            picture in blocks, the same in every frame.
        filters: rules applied in order when a label is read, each under a name by which the command line and sweeps
            reach its numbers (``--data.filters.cycle.beta 0.2``); None takes the paper's ``cycle`` and ``colour`` rule.
        crop: ``(H, W)`` of a training sample in pixels, at most: smaller frames are taken whole.
        crop_candidates: random places for each training sample, of which the more likely to be taken is the one whose
            labels weigh more; 1 is uniform.
        batch_size: pairs per step and process.
        num_workers: processes that decode.
        replay: examples with true flow from the domain that the model was trained on, mixed in against forgetting; some
            of them are kept to tell what is forgotten.
        replay_share: share of them among all training samples.
        made_share: share of the other training samples in which the frame is moved by made motion, exactly known and of
            any speed: what the videos do not hold is not forgotten.
        strict: stop at the first video that cannot be read, instead of going on with the rest.
        seed: seed of order, crops and augmentation.

    Attributes:
        index: the videos in use, and those that are not with the reason.
        windows: the pairs of all videos in use.
        store: where labels are; set by stage 1.
        min_side: smaller videos are left out; set by stage 1 to what its model can take.
        pending: windows that stage 1 is about to label; set by it.

    Raises:
        ConfigError: a value is out of range.
    """

    store: LabelStore | None = None
    min_side: int = 1
    pending: Sequence[PairWindow] = ()

    def __init__(
        self,
        videos: str,
        labels: str = "labels",
        cache: str = "labels/index",
        window: int = 4,
        frame_steps: Sequence[int] = (1,),
        seconds_per_step: float | None = None,
        max_pairs: int | None = None,
        holdout: float = 0.1,
        filters: dict[str, LabelRule] | None = None,
        crop: tuple[int, int] = (256, 512),
        crop_candidates: int = 1,
        batch_size: int = 12,
        num_workers: int = 2,
        replay: SourceDomain | None = None,
        replay_share: float = 0.25,
        made_share: float = 0.0,
        strict: bool = False,
        seed: int = 0,
    ):
        super().__init__()
        if window < 2 or batch_size < 1 or num_workers < 0 or not 0 <= holdout <= 0.5 or crop_candidates < 1:
            raise ConfigError(
                "data: window must be at least 2, batch_size and crop_candidates at least 1, num_workers at least 0 "
                f"and holdout in [0, 0.5]; got {window}, {batch_size}, {crop_candidates}, {num_workers}, {holdout}"
            )
        if not frame_steps or min(frame_steps) < 1 or (max_pairs is not None and max_pairs < 1):
            raise ConfigError(
                f"data: frame_steps and max_pairs must be positive, got {list(frame_steps)} and {max_pairs}"
            )
        if not 0 < replay_share < 1:
            raise ConfigError(f"data.replay_share must be between 0 and 1, got {replay_share}")
        if not 0 <= made_share < 1:
            raise ConfigError(f"data.made_share must be in [0, 1), got {made_share}")
        if min(crop) < 64:
            raise ConfigError(f"data.crop must be at least 64 pixels on each side, got {list(crop)}")
        self.videos, self.labels, self.cache = videos, Path(labels), Path(cache)
        self.window, self.frame_steps, self.seconds_per_step = window, list(frame_steps), seconds_per_step
        self.max_pairs, self.holdout = max_pairs, holdout
        self.filters = list((paper_filters() if filters is None else filters).values())
        self.crop, self.crop_candidates = (crop[0], crop[1]), crop_candidates
        self.batch_size, self.num_workers = batch_size, num_workers
        self.replay, self.replay_share, self.made_share = replay, replay_share, made_share
        self.strict, self.seed = strict, seed
        self.index: VideoIndex | None = None
        self.windows: list[PairWindow] = []
        # Epoch, and batches of it that have been trained on; how many there are in an epoch.
        self._position, self._batches = (0, 0), 0

    def prepare_data(self) -> None:
        """Probe the videos, once; the other processes then read the cached index."""
        if self.index is None:
            self._plan(build_index(self.videos, cache_dir=self.cache, strict=self.strict))

    def setup(self, stage: str) -> None:
        """Plan the windows.

        Raises:
            VideoError: there is no readable video, or none holds a pair.
        """
        if self.index is None:
            self._plan(build_index(self.videos, cache_dir=self.cache, strict=self.strict, progress=False))

    def _plan(self, index: VideoIndex) -> None:
        """Cut the videos into windows; those that give none join the rejected ones, with the reason."""
        large = [v for v in index.videos if min(v.width, v.height) >= self.min_side]
        windows = plan_windows(large, self.window, self.frame_steps, self.seconds_per_step) if large else []
        used = {window.clip.video.path for window in windows}
        unused = [
            (v.path, self._too_short(v) if v in large else f"{v.width}x{v.height}: a side is below {self.min_side} px")
            for v in index.videos
            if v.path not in used
        ]
        if unused and (self.strict or not windows):
            path, reason = unused[0]
            raise VideoError(f"{path}: {reason}")
        self.index = VideoIndex([v for v in index.videos if v.path in used], [*index.rejected, *unused])
        self.windows = windows if self.max_pairs is None else thin_out(windows, self.max_pairs)

    def _too_short(self, video: VideoInfo) -> str:
        unit = "frames" if self.seconds_per_step is None else f"steps of {self.seconds_per_step:g} s"
        return f"no pair of frames {min(self.frame_steps)} {unit} apart in its {video.frames} frames"

    def pair_keys(self) -> list[PairKey]:
        """Every pair that is, or will be, labelled."""
        return [key for window in self.windows for key in window.pair_keys()]

    def unlabelled(self) -> tuple[list[PairWindow], dict[str, int]]:
        """Windows with the pairs that lack a usable label, and how many lack it for which reason."""
        missing = dict(self._store.missing(self.pair_keys()))
        reasons: dict[str, int] = {}
        for reason in missing.values():
            reasons[reason] = reasons.get(reason, 0) + 1
        wanted = set(missing)
        return [found for window in self.windows if (found := window.only(wanted)).pairs], reasons

    def predict_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Windows to be labelled, one a step."""
        windows = list(self.pending)
        # Lightning refuses fewer samples than processes; labelling a window twice gives the same files.
        while windows and self.trainer is not None and len(windows) < self.trainer.world_size:
            windows += self.pending
        workers = min(self.num_workers, len(windows))
        return DataLoader(
            UnlabelledWindows(windows, self.strict),
            batch_size=None,
            num_workers=workers,
            timeout=loading_timeout(workers),
        )

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Random crops of labelled pairs, windows shuffled."""
        split, labels = self._split()
        region = split.blocks.training if split.blocks else None
        source = self._source(split.training, labels, region)
        dataset = TrainingPairs(source, self.replay, self.crop_candidates, self.made_share)
        trainer = self.trainer
        world, rank = self._place()
        replay = [] if self.replay is None else split_source(self.replay)[0]
        windows = [window for window, _ in dataset.samples]
        order = WindowShuffle(
            dataset, windows, self.batch_size, world, rank, self.seed, replay, self.replay_share, self._begin
        )
        self._batches = -(-len(order) // self.batch_size)
        if trainer is not None:
            limit = trainer.limit_train_batches
            self._batches = min(self._batches, limit) if isinstance(limit, int) else int(self._batches * limit)
        return DataLoader(
            dataset,
            self.batch_size,
            sampler=order,
            collate_fn=collate_padded,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            timeout=loading_timeout(self.num_workers),
            pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
        )

    def val_dataloader(self) -> list[DataLoader[dict[str, Any]]]:
        """Centre crops of held-out pairs where there are any, and of the source domain where there is one."""
        split, labels = self._split()
        region = split.blocks.judged if split.blocks else None
        datasets: list[Dataset[dict[str, Any]]] = []
        if split.windows:
            datasets.append(HeldOutPairs(self._source(split.windows, labels, region)))
        if self.replay is not None:
            datasets.append(SourceExamples(self.replay, split_source(self.replay)[1], self.crop))
        workers = min(self.num_workers, 1)
        world, rank = self._place()
        return [
            DataLoader(
                dataset,
                self.batch_size,
                sampler=HeldOutOrder(dataset, world, rank),
                collate_fn=collate_padded,
                num_workers=workers,
                timeout=loading_timeout(workers),
            )
            for dataset in datasets
        ]

    def held_out_samples(self, part: Part, limit: int = 32) -> HeldOutSamples:
        """Whole held-out pairs of one part, to choose weights by (``choose``) or to decide by (``decide``).

        Args:
            part: which half: every other held-out window, or every other block of every frame.
            limit: at most so many pairs, evenly spread.

        Raises:
            LabelError: there are no labels.
        """
        split, labels = self._split()
        region = partial(split.blocks.judged, parts=(part,)) if split.blocks else None
        return HeldOutSamples(self._source(split.part(part), labels, region), limit)

    def share_faster_than(self, pixels: float) -> float:
        """Share of the labels to learn from that move by more than this, over some evenly spread pairs.

        Args:
            pixels: a length of flow.

        Returns:
            In [0, 1]; 1 where no label weighs anything.

        Raises:
            LabelError: there are no labels, or one is damaged.
        """
        split, labels = self._split()
        keys = [key for window in split.training for key in window.pair_keys()]
        fast = known = 0
        for label, weight in (labels.read(key) for key in evenly(keys, _LOOKED_AT)):
            speed = label.evidence.speed[weight > 0]
            fast, known = fast + int((speed > pixels).sum()), known + speed.numel()
        return fast / known if known else 1.0

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
    def _store(self) -> LabelStore:
        if self.store is None:
            raise LabelError(f"{self.labels}: no labels yet; run stage 1 first (`refine-motion label` or `fit`)")
        return self.store

    def _split(self) -> tuple[HeldOut, WeightedLabels]:
        """Training and held-out windows, without pairs whose label could not be made, and the labels of all."""
        missing = {key for key, _ in self._store.missing(self.pair_keys())}
        if missing:
            rank_zero_info(f"{len(missing)} of {len(self.pair_keys())} pairs have no label and are left out")
        keys = [key for key in self.pair_keys() if key not in missing]
        labelled = set(keys)
        windows = [found for window in self.windows if (found := window.only(labelled)).pairs]
        if not windows:
            raise LabelError(f"{self.labels}: no pair could be labelled; see the reasons above")
        return hold_out(windows, self.holdout, self.seed), WeightedLabels(self._store, self.filters, keys)

    def _source(
        self,
        windows: list[PairWindow],
        labels: WeightedLabels,
        region: Callable[[tuple[int, int]], Tensor] | None,
    ) -> Source:
        return Source(windows, labels, self.crop, self.seed, region)


def split_source(domain: SourceDomain) -> tuple[list[int], list[int]]:
    """Numbers of the examples to learn from, and of those that tell what is forgotten, in whole scenes where possible.

    Args:
        domain: at least two examples.

    Returns:
        Both lists ascending. A tenth of the scenes is held out, evenly spread, and of their examples at most 32.
    """
    scenes: dict[str, list[int]] = {}
    for number in range(len(domain)):
        scenes.setdefault(domain.scene(number), []).append(number)
    groups = list(scenes.values()) if len(scenes) > 1 else [[number] for number in range(len(domain))]
    count = max(1, len(groups) // 10)
    chosen = {(2 * n + 1) * len(groups) // (2 * count) for n in range(count)}
    held = [number for n, group in enumerate(groups) if n in chosen for number in group]
    learnt = [number for n, group in enumerate(groups) if n not in chosen for number in group]
    step = -(-len(held) // _HELD_OF_SOURCE)
    return sorted(learnt), sorted(held)[::step]


def loading_timeout(workers: int) -> float:
    """Seconds to wait for a batch; without workers there is nobody to wait for."""
    return _HANG_SECONDS if workers else 0
