"""Windows of videos and their cached pseudo-tracks, for both stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby, pairwise
from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader

from refine_motion.errors import ConfigError
from refine_motion.labels.opened import scattered
from refine_motion.labels.points_file import read_points
from refine_motion.labels.select import LabelRule
from refine_motion.labels.track_codec import TrackLabel
from refine_motion.labels.track_recipe import track_filters
from refine_motion.labels.track_rules import LeastKnown
from refine_motion.labels.track_store import ClipKey
from refine_motion.labels.track_teacher import TrackTeacher
from refine_motion.labels.track_windows import TrackWindow, plan_track_windows, windows_of_points
from refine_motion.motion.grid import resize_places
from refine_motion.refine.holdout import PARTS, HeldOut, Part
from refine_motion.refine.holdout_spans import hold_out_spans
from refine_motion.refine.label_data import LabelDataModule, loading_timeout
from refine_motion.refine.order import HeldOutOrder, WindowShuffle
from refine_motion.refine.track_dataset import HeldOutTracks, TrackSamples, TrackSource
from refine_motion.video.info import VideoInfo

# Windows whose tracks tell how fast what is learnt from moves.
_LOOKED_AT = 32
# Held-out windows that are measured along the training, here and there: three models see each of them.
_MEASURED = 64


class TrackDataModule(LabelDataModule[ClipKey, TrackLabel]):
    """Windows of frames and the tracks through them; see :class:`LabelDataModule`.

    Args:
        videos: a video, a folder of videos or of frame folders, a glob pattern, or a list file.
        labels: root folder of the label store.
        cache: folder of the video index.
        frames: of a window, as many as the model looks at.
        frame_steps: frames from one frame of a window to the next; each gives windows of its own.
        seconds_per_step: thin the videos out to this time step instead.
        stride: steps from the start of one window to the next.
        backward: use every window a second time, back in time.
        own_points: CSV file with ``frame,x,y`` of points to label, these alone, of the only video; None chooses them.
            Windows begin at these frames, forward and back in time.
        max_windows: at most so many windows, spread over the videos, before any are held out; of points of your own,
            all are used.
        holdout: share of the time kept to judge by, less where that would leave less than half of the windows to train
            on; windows across the ends of what is held out serve nothing and are not labelled. Of short videos it is
            the tracks in some blocks of the picture, as long as they stay there.
        filters: rules applied in order when a label is read, each under a name by which the command line and sweeps
            reach its numbers; None takes those of :mod:`refine_motion.labels.track_recipe`.
        points: tracks of a training sample, drawn anew in every epoch.
        made_share: share of the training samples in which pieces of the frames move before one another, with exact
            tracks and up to 16 px a frame, instead of their own motion: for what labels miss, and against forgetting
            what the videos do not hold. Where blocks of the picture are held out, pieces may show what is in them.
        batch_size: windows per step and process; above 1, the frames of all videos must have one size, once they were
            brought to ``label.size``.
        num_workers: processes that decode.
        strict: stop at the first video that cannot be read, instead of going on with the rest.
        seed: seed of order, choice and augmentation.

    Raises:
        ConfigError: a value is out of range.
    """

    unit = "windows"
    windows: list[TrackWindow]
    # To what frames of a size are brought; set by stage 1.
    _shown_size: Callable[[tuple[int, int]], tuple[int, int]] | None = None

    def __init__(
        self,
        videos: str,
        labels: str = "labels",
        cache: str = "labels/index",
        frames: int = 8,
        frame_steps: Sequence[int] = (1,),
        seconds_per_step: float | None = None,
        stride: int = 4,
        backward: bool = True,
        own_points: str | None = None,
        max_windows: int | None = None,
        holdout: float = 0.15,
        filters: dict[str, LabelRule] | None = None,
        points: int = 128,
        made_share: float = 0.0,
        batch_size: int = 1,
        num_workers: int = 1,
        strict: bool = False,
        seed: int = 0,
    ):
        rules = track_filters() if filters is None else filters
        super().__init__(videos, labels, cache, holdout, rules, batch_size, num_workers, strict, seed)
        for name, rule in rules.items():
            if rule.of_pairs:
                raise ConfigError(f"data.filters.{name}: {type(rule).__name__} is for flow; of tracks take AllFrames")
        if frames < 2 or stride < 1 or points < 1 or (max_windows is not None and max_windows < 1):
            raise ConfigError(
                "data: frames must be at least 2, stride, points and max_windows at least 1; got "
                f"{frames}, {stride}, {points}, {max_windows}"
            )
        if not 0 <= made_share < 1:
            raise ConfigError(f"data.made_share must be in [0, 1), got {made_share}")
        if not frame_steps or min(frame_steps) < 1:
            raise ConfigError(f"data: frame_steps must be positive, got {list(frame_steps)}")
        if own_points is not None and seconds_per_step is not None:
            raise ConfigError(
                "data: own_points are in frames of the video as it is; use frame_steps in place of seconds_per_step"
            )
        self.frames, self.frame_steps, self.seconds_per_step = frames, list(frame_steps), seconds_per_step
        self.own_points = None if own_points is None else read_points(own_points).queries
        self.asked_for = self.own_points is not None
        self.stride, self.backward, self.max_windows, self.points = stride, backward, max_windows, points
        self.made_share = made_share

    def plan(self, videos: Sequence[VideoInfo]) -> list[TrackWindow]:
        """See :class:`LabelDataModule`.

        Raises:
            ConfigError: there are points of the user's own, and several videos; or a batch cannot hold their frames.
        """
        if self.own_points is not None:
            if len(videos) != 1:
                raise ConfigError(f"data.own_points are of one video, but data.videos has {len(videos)}")
            windows = windows_of_points(videos[0], self.own_points, self.frames, self.frame_steps)
            begun = {window.key.frames[0] for window in windows}
            lost = sorted({int(frame) for frame in self.own_points[:, 0]} - begun)
            if lost:
                rank_zero_info(
                    f"{videos[0].path}: points in frame {', '.join(map(str, lost))} are left out: no {self.frames} "
                    "frames of their shot lie before or after them"
                )
            return windows
        windows = plan_track_windows(
            videos, self.frames, self.frame_steps, self.stride, self.backward, self.seconds_per_step
        )
        if self.batch_size > 1:
            self._check_sizes([window.clip.video for window in windows])
        return windows

    def _check_sizes(self, videos: Sequence[VideoInfo]) -> None:
        """Refuse videos of several sizes in one batch."""
        for first, video in pairwise(videos):
            if self.shown_size(video) != self.shown_size(first):
                raise ConfigError(
                    f"data.batch_size is {self.batch_size}, but {first.path} has {first.width}x{first.height} pixels "
                    f"and {video.path} {video.width}x{video.height}: set batch_size 1, or a label.size of their ratio "
                    "with label.enlarge"
                )

    def thin_out(self, windows: list[TrackWindow]) -> list[TrackWindow]:
        """See :class:`LabelDataModule`."""
        if self.max_windows is None or self.asked_for:
            return windows
        # Both ways through a clip are kept, or neither.
        clips = [list(ways) for _, ways in groupby(windows, lambda window: window.clip)]
        chosen = scattered(clips, max(1, self.max_windows // max(map(len, clips), default=1)))
        return [window for ways in chosen for window in ways][: self.max_windows]

    def too_short(self, video: VideoInfo) -> str:
        """See :class:`LabelDataModule`."""
        step = min(self.frame_steps) if self.seconds_per_step is None else f"{self.seconds_per_step:g} s"
        return f"no shot of its {video.frames} frames holds {self.frames} frames {step} apart"

    def shown_size(self, video: VideoInfo) -> tuple[int, int]:
        """See :class:`LabelDataModule`."""
        native = super().shown_size(video)
        return native if self._shown_size is None else self._shown_size(native)

    def check(self, teacher: TrackTeacher) -> None:
        """See :class:`LabelDataModule`."""
        self.between, self._shown_size = teacher.between, teacher.settings.shown_size
        if self.frames != teacher.model.min_frames:
            raise ConfigError(
                f"data.frames is {self.frames}: {teacher.model.name!r} looks at {teacher.model.min_frames} frames at a "
                "time, and windows must have as many"
            )

    def hold_out(self, windows: list[TrackWindow]) -> HeldOut[TrackWindow]:
        """See :func:`refine_motion.refine.holdout_spans.hold_out_spans`."""
        return hold_out_spans(windows, self.holdout, self.seed)

    def held_out(self) -> str:
        """See :class:`LabelDataModule`; of points of the user's own, how many."""
        line, blocks = super().held_out(), self._held.blocks
        if self.own_points is None or blocks is None or self.index is None:
            return line
        (video,) = self.index.videos
        # Blocks are of the frames as they are shown.
        shown = self.shown_size(video)
        places = resize_places(self.own_points[:, 1:], (video.height, video.width), shown)
        x, y = places.round().long().clamp(min=0).unbind(dim=1)
        choose, decide = (int(blocks.judged(shown, (part,))[y, x].sum()) for part in PARTS)
        line += f": {choose} of your points to choose weights by, {decide} to decide by"
        if min(choose, decide) < 2:
            line += ", too few to tell what is better: name more points, or the original weights will be kept"
        return line

    def settings(self) -> list[Any]:
        """See :class:`LabelDataModule`."""
        return [self.filters, self.points, self.made_share, self.batch_size, self.holdout, self.seed]

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Windows with some of their tracks, shuffled."""
        split, _ = self._split()
        dataset = TrackSamples(self._source(split.training, "training"), self.made_share)
        world, rank = self._place()
        order = WindowShuffle(dataset, range(len(dataset)), self.batch_size, world, rank, self.seed, begin=self._begin)
        self._count_batches(len(order))
        trainer = self.trainer
        return DataLoader(
            dataset,
            self.batch_size,
            sampler=order,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            timeout=loading_timeout(self.num_workers),
            pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
        )

    def val_dataloader(self) -> list[DataLoader[dict[str, Any]]]:
        """Held-out windows, one by one and not too many, where there are any."""
        split, _ = self._split()
        if not split.windows:
            return []
        dataset = HeldOutTracks(self._source(split.windows, "judged"), _MEASURED)
        workers = min(self.num_workers, 1)
        return [
            DataLoader(
                dataset,
                batch_size=None,
                sampler=HeldOutOrder(dataset, *self._place()),
                num_workers=workers,
                timeout=loading_timeout(workers),
            )
        ]

    def held_out_samples(self, part: Part, limit: int = 32) -> HeldOutTracks:
        """Held-out windows of one part, to choose weights by (``choose``) or to decide by (``decide``).

        Args:
            part: which half: every other span of time, or every other block of every frame.
            limit: at most so many windows, here and there.

        Raises:
            LabelError: there are no labels.
        """
        split, _ = self._split()
        return HeldOutTracks(self._source(split.part(part), part), limit)

    def share_faster_than(self, pixels: float) -> float:
        """Share of the tracks to learn from whose mean step is longer than this, over some windows here and there.

        Args:
            pixels: a length.

        Returns:
            In [0, 1]; 1 where no track weighs anything.

        Raises:
            LabelError: there are no labels, or one is damaged.
        """
        split, labels = self._split()
        fast = known = 0
        for window in scattered(split.training, _LOOKED_AT):
            label, weight = labels.read(window.key)
            speed = label.evidence.speed[weight > 0]
            fast, known = fast + int((speed > pixels).sum()), known + speed.numel()
        return fast / known if known else 1.0

    def _source(self, windows: Sequence[TrackWindow], use: str) -> TrackSource:
        """Samples of some windows; where blocks are held out, tracks count by where they are."""
        split, labels = self._split()
        region: Callable[[tuple[int, int]], Tensor] | None = None
        if split.blocks is not None:
            regions = {"training": split.blocks.training, "judged": split.blocks.judged}
            regions |= {part: partial(split.blocks.judged, parts=(part,)) for part in PARTS}
            region = regions[use]
        # A region cuts tracks after the rules have looked at them.
        least = max([2, *(rule.frames for rule in self.filters if isinstance(rule, LeastKnown))])
        return TrackSource(windows, labels, self.points, self.seed, self._shown_size, region, least)
