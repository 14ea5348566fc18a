"""Frame pairs of videos and their cached flow labels, for both stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from refine_motion.errors import ConfigError
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.opened import evenly
from refine_motion.labels.select import LabelRule, paper_filters
from refine_motion.labels.source_domain import SourceDomain
from refine_motion.labels.store import PairKey
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
from refine_motion.refine.label_data import LabelDataModule, loading_timeout
from refine_motion.refine.order import HeldOutOrder, WindowShuffle
from refine_motion.video.info import VideoInfo

_HELD_OF_SOURCE = 32
# Pairs whose labels tell how fast what is learnt from moves.
_LOOKED_AT = 32


class VideoLabelDataModule(LabelDataModule[PairKey, FlowLabel]):
    """Frame pairs and their flow; see :class:`LabelDataModule`.

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

    Raises:
        ConfigError: a value is out of range.
    """

    unit = "pairs"
    windows: list[PairWindow]

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
        rules = paper_filters() if filters is None else filters
        super().__init__(videos, labels, cache, holdout, rules, batch_size, num_workers, strict, seed)
        if window < 2 or crop_candidates < 1:
            raise ConfigError(
                f"data: window must be at least 2 and crop_candidates at least 1; got {window} and {crop_candidates}"
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
        self.window, self.frame_steps, self.seconds_per_step = window, list(frame_steps), seconds_per_step
        self.max_pairs = max_pairs
        self.crop, self.crop_candidates = (crop[0], crop[1]), crop_candidates
        self.replay, self.replay_share, self.made_share = replay, replay_share, made_share

    def plan(self, videos: Sequence[VideoInfo]) -> list[PairWindow]:
        """See :class:`LabelDataModule`."""
        return plan_windows(videos, self.window, self.frame_steps, self.seconds_per_step)

    def thin_out(self, windows: list[PairWindow]) -> list[PairWindow]:
        """See :class:`LabelDataModule`."""
        return windows if self.max_pairs is None else thin_out(windows, self.max_pairs)

    def too_short(self, video: VideoInfo) -> str:
        """See :class:`LabelDataModule`."""
        unit = "frames" if self.seconds_per_step is None else f"steps of {self.seconds_per_step:g} s"
        return f"no pair of frames {min(self.frame_steps)} {unit} apart in its {video.frames} frames"

    def hold_out(self, windows: list[PairWindow]) -> HeldOut[PairWindow]:
        """See :func:`refine_motion.refine.holdout.hold_out`."""
        return hold_out(windows, self.holdout, self.seed)

    def settings(self) -> list[Any]:
        """See :class:`LabelDataModule`."""
        return [
            self.filters,
            self.crop,
            self.crop_candidates,
            self.batch_size,
            self.holdout,
            self.seed,
            self.replay,
            self.replay_share,
            self.made_share,
        ]

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
        self._count_batches(len(order))
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
        keys = [key for window in split.training for key in window.label_keys()]
        fast = known = 0
        for label, weight in (labels.read(key) for key in evenly(keys, _LOOKED_AT)):
            speed = label.evidence.speed[weight > 0]
            fast, known = fast + int((speed > pixels).sum()), known + speed.numel()
        return fast / known if known else 1.0

    def _source(
        self,
        windows: list[PairWindow],
        labels: WeightedLabels[PairKey, FlowLabel],
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
