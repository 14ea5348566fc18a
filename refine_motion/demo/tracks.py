"""The demonstration for tracks: render a domain, label it with tracks, refine a small PIPs on them, judge by truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Group
from rich.progress import Progress
from rich.table import Table
from rich.text import Text
from torch import Tensor

from refine_motion.benchmarks.synthetic.clip import clip_name
from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.demo.plan import MadeClips
from refine_motion.demo.stages import DemoFolder, Stages, render
from refine_motion.errors import ConfigError
from refine_motion.labels.track_recipe import track_filters
from refine_motion.labels.track_teacher import TrackLabelSettings
from refine_motion.metrics.tracks import TapVid
from refine_motion.models.load import load_track_model
from refine_motion.models.track_base import TrackModel
from refine_motion.motion.keypoints import grid
from refine_motion.refine.clip_augment import ClipAugmentation
from refine_motion.refine.run import RefineResult
from refine_motion.refine.selection import SelectionSettings
from refine_motion.refine.track_api import refine_tracks
from refine_motion.types import Tracks
from refine_motion.video.decoding import read_pyav
from refine_motion.video.writer import write_video
from refine_motion.viz.tracks import draw_tracks, start_colours

DEFAULT_MINUTES, LEAST_MINUTES = 14.0, 10.0
# What is not training takes, and the steps of a minute, on two CPU cores.
_FIXED_MINUTES, _STEPS_PER_MINUTE = 8.5, 24
# With 64, a clip's change of delta_avg scatters by about a point.
_POINTS = 256
# The recipe of `configs/refine/tracks_cpu.yaml`, whose file does not come with the package.
FILTERS = track_filters()
AUGMENT = ClipAugmentation(
    vflip_probability=0.0,
    affine_probability=0.0,
    jitter_probability=0.1,
    grey_probability=0.0,
    blur_probability=0.0,
    noise_probability=0.5,
    noise_sigma=(1.0, 6.0),
    pattern_probability=0.5,
    jpeg_probability=0.0,
    occluder_probability=0.0,
)
LABELS = TrackLabelSettings(dense=128, views=("1.5x", "1.5x flip", "linked"), size=(288, 512), enlarge=False)
TRAINING: dict[str, Any] = {"learning_rate": 1e-4, "ema": 0.95}
DATA: dict[str, Any] = {
    "stride": 4,
    "backward": False,
    "points": 128,
    "made_share": 0.6,
    "num_workers": 1,
    "holdout": 0.4,
}


@dataclass(frozen=True)
class TrackPlan(MadeClips):
    """One demonstration for tracks.

    Attributes:
        domain: target domain, a name in :data:`refine_motion.benchmarks.synthetic.domains.DOMAINS`.
        seed: of scenes and training.
        minutes: about how long it may take on two CPU cores.
        weights: what is refined: a path or a name, as of ``load_model``.
        linked: weights of the flow model that labels beside the teacher.
        size: height and width of the clips in pixels.
        clips: clips to learn from, without truth.
        held_out: clips with truth, which nothing is learnt from.
        frames: of each clip.

    Raises:
        ConfigError: too little time for anything to be learnt.
    """

    domain: str
    seed: int = 0
    minutes: float = DEFAULT_MINUTES
    weights: str = "embedded_pips"
    linked: str = "embedded"
    size: tuple[int, int] = (192, 256)
    clips: int = 6
    held_out: int = 6
    frames: int = 20

    def __post_init__(self) -> None:
        if not self.minutes >= LEAST_MINUTES:
            raise ConfigError(f"--minutes {self.minutes:g}: at least {LEAST_MINUTES:g} are needed to learn anything")

    @property
    def held_out_seeds(self) -> list[int]:
        """The same for every seed, so that a video is judged under several trainings."""
        return [600_000 + number for number in range(self.held_out)]

    @property
    def steps(self) -> int:
        """Optimiser steps for which there is time."""
        return round((self.minutes - _FIXED_MINUTES) * _STEPS_PER_MINUTE)


@dataclass(frozen=True)
class TrackDemo:
    """What a demonstration found.

    Attributes:
        plan: what was done.
        refined: labels, weights and what is known without truth.
        scores: of each held-out clip by name, ``delta_avg`` in per cent before, after, and of standing still.
        overlay: video of the first held-out clip, before on the left, after on the right.
        seconds: time of each stage by its name, in order.
    """

    plan: TrackPlan
    refined: RefineResult
    scores: dict[str, tuple[float, float, float]]
    overlay: Path
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def mean(self) -> tuple[float, float, float]:
        """Means over the clips."""
        before, after, still = (sum(column) / len(self.scores) for column in zip(*self.scores.values(), strict=True))
        return before, after, still

    def table(self) -> Group:
        """Scores, the label-free estimate and the time of each stage."""
        plan = self.plan
        table = Table(title=f"{plan.domain}, seed {plan.seed}: delta_avg on held-out clips, {_POINTS} points in each")
        table.add_column("clip")
        for heading in ("standing still", "before", "after", "change"):
            table.add_column(heading, justify="right")
        for name, (before, after, still) in {**self.scores, "mean": self.mean}.items():
            if name == "mean":
                table.add_section()
            table.add_row(name, f"{still:.1f} %", f"{before:.1f} %", f"{after:.1f} %", f"{after - before:+.1f}")
        times = ", ".join(f"{title.lower()} {seconds:.0f} s" for title, seconds in self.seconds.items())
        estimate = Text(f"without truth: {self.refined.outcome.line()}")
        return Group(table, estimate, Text(f"time: {times}; in all {sum(self.seconds.values()):.0f} s"))


def run_track_demo(plan: TrackPlan, root: Path, say: Callable[[str, str], None]) -> TrackDemo:
    """Do the whole job.

    Args:
        plan: what to do.
        root: an empty folder.
        say: told the title of each stage as it begins, and a sentence on what it does.

    Raises:
        RefineMotionError: one line on what is wrong with the plan.
    """
    folder, stage = DemoFolder(root), Stages(say)

    render(plan, folder, stage, pairs=0)
    with stage(
        "Refine",
        "The frozen model in two views and linked optical flow follow points there and back; where they agree and "
        f"return is a label. A copy of the model learns to reproduce the labels: {plan.steps} steps. Then the better "
        "weights are chosen without truth.",
    ):
        refined = refine_tracks(
            folder.videos,
            plan.weights,
            folder.run,
            linked=plan.linked,
            steps=plan.steps,
            augment=AUGMENT,
            filters=FILTERS,
            settings=LABELS,
            selection=SelectionSettings(snapshots=0),
            seed=plan.seed,
            accelerator="cpu",
            **TRAINING,
            **DATA,
        )
    with stage("Judge", "Both models on the held-out clips, by the exact tracks."):
        before, after = load_track_model(None, plan.weights), load_track_model(None, refined.weights)
        scores, overlay = _judge(plan, folder, before, after)
    return TrackDemo(plan, refined, scores, overlay, stage.seconds)


@dataclass(frozen=True)
class _HeldOut:
    """A held-out clip: its name, frames ``(T, 3, H, W)``, where points begin ``(N, 3)`` and where they are."""

    name: str
    frames: Tensor
    queries: Tensor
    truth: Tracks


def _held_out(plan: TrackPlan, folder: DemoFolder) -> Iterator[_HeldOut]:
    start = grid(plan.size, _POINTS)
    queries = torch.cat((torch.zeros(len(start), 1), start), dim=1)
    with Progress(transient=True) as progress:
        for seed in progress.track(plan.held_out_seeds, description="tracking"):
            video = folder.held_out / "videos" / f"{clip_name(plan.domain, seed)}.mp4"
            pictures = read_pyav(video, range(plan.frames), timestamps=(), keyframes=())
            frames = torch.stack([torch.from_numpy(pictures[t]).permute(2, 0, 1) for t in range(plan.frames)])
            scene = random_scene(seed, plan.size, None, plan.frames, plan.domain)
            yield _HeldOut(video.stem, frames, queries, scene.tracks(queries, range(plan.frames)))


def judge_clips(plan: TrackPlan, folder: DemoFolder, model: TrackModel) -> dict[str, float]:
    """Per cent delta_avg of a model on each held-out clip, by exact tracks.

    Args:
        plan: what was done.
        folder: of the demonstration.
        model: in eval mode.
    """
    scores = {}
    for clip in _held_out(plan, folder):
        scores[clip.name] = delta_avg(model.track(clip.frames, clip.queries, confidence=False), clip.truth)
    return scores


def _judge(
    plan: TrackPlan, folder: DemoFolder, before: TrackModel, after: TrackModel
) -> tuple[dict[str, tuple[float, float, float]], Path]:
    """Scores by clip, and the overlay of the first."""
    scores: dict[str, tuple[float, float, float]] = {}
    overlay = folder.root / "held_out.mp4"
    for clip in _held_out(plan, folder):
        still = Tracks(clip.truth.xy[:1].expand_as(clip.truth.xy), torch.ones_like(clip.truth.visible))
        found = [model.track(clip.frames, clip.queries, confidence=False) for model in (before, after)]
        values = [delta_avg(tracks, clip.truth) for tracks in (*found, still)]
        scores[clip.name] = (values[0], values[1], values[2])
        if len(scores) == 1:
            write_video(overlay, _side_by_side(clip.frames, found, clip.queries[:, 1:]), 12)
    return scores, overlay


def delta_avg(tracks: Tracks, truth: Tracks) -> float:
    """Per cent of points within 1 to 16 px of the truth, as TAP-Vid counts; all begin in the first frame."""
    metric = TapVid("first")
    metric.update(tracks.xy, tracks.visible, truth.xy, truth.visible, torch.zeros(tracks.xy.shape[1]))
    return 100 * metric.compute()["delta_avg"].item()


def _side_by_side(frames: Tensor, found: list[Tracks], start: Tensor) -> Iterator[Tensor]:
    colours = start_colours(start)
    for time_, frame in enumerate(frames):
        yield torch.cat([draw_tracks(frame, tracks, time_, colours) for tracks in found], dim=2)
