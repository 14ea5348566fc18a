"""Several refinements that belong together: one for each video, and several rounds of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from refine_motion.errors import ConfigError, LabelError, RefineMotionError, TrainingError, VideoError
from refine_motion.refine.decision import KEPT
from refine_motion.refine.run import RefineResult
from refine_motion.training.report import report
from refine_motion.video.index import build_index

UNITS = ("folder", "video")


@dataclass(frozen=True)
class RefinePlan:
    """How many models come out of some videos.

    Attributes:
        unit: ``folder`` refines one model on all videos together, ``video`` one on each, as in the paper's experiments
            on MPI-Sintel (arXiv 2401.00850).
        rounds: times that the whole is done, until a round brings no better weights; from the second on, the refined
            model is the teacher.
    """

    unit: str = "folder"
    rounds: int = 1

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: an unknown unit, or no round.
        """
        if self.unit not in UNITS:
            raise ConfigError(f"refine.unit must be folder or video, got {self.unit!r}")
        if self.rounds < 1:
            raise ConfigError(f"refine.rounds must be at least 1, got {self.rounds}")


@dataclass(frozen=True)
class Run:
    """One refinement among several.

    Attributes:
        videos: what it is refined on.
        weights: where it starts.
        folder: where its results go.
    """

    videos: str
    weights: str
    folder: Path


def refine_all(
    plan: RefinePlan,
    videos: str,
    weights: str,
    folder: str | Path,
    cache: str | Path,
    refine: Callable[[Run], RefineResult],
) -> dict[str, RefineResult]:
    """Carry a plan out.

    In one process, a video that turns out to be of no use (too short, without a single kept label, or one on which the
    training goes out of numbers) is named, and the others go on; several processes stop there.

    Args:
        plan: what is to be done.
        videos: a video, a folder of videos or of frame folders, a glob pattern, or a list file.
        weights: the pre-trained weights.
        folder: results go to ``<folder>/<video>/round_<n>``, less what the plan has only one of.
        cache: folder of the video index.
        refine: does one run.

    Returns:
        The result of the last round that brought better weights, or of the first, by the name of the video; under the
        empty name where all videos are one unit.

    Raises:
        RefineMotionError: what the only run, or each of them, raised.
    """
    units = {"": videos} if plan.unit == "folder" else _each_video(videos, cache)
    results: dict[str, RefineResult] = {}
    failures: list[RefineMotionError] = []
    for name, path in units.items():
        if name:
            report().rule(name)
        start = weights
        try:
            for number in range(1, plan.rounds + 1):
                place = Path(folder) / name / (f"round_{number}" if plan.rounds > 1 else "")
                result = refine(Run(path, start, place))
                kept = result.outcome.decision == KEPT
                if not kept or number == 1:
                    results[name] = result
                if kept:
                    break  # The next round would only repeat this one.
                start = str(result.weights)
        except (VideoError, LabelError, TrainingError) as failure:
            # Of several processes one alone may have met it: the others would wait for this one for ever.
            if not name or torch.distributed.is_initialized():
                raise
            Console(stderr=True).print(f"not refined: {failure}", markup=False, soft_wrap=True)
            failures.append(failure)
    if not results:
        raise failures[0]
    if plan.unit == "video":
        table = Table(title="Every video")
        table.add_column("video")
        table.add_column("outcome", overflow="fold")
        for name, result in results.items():
            table.add_row(name, result.outcome.line())
        report().print(table)
    return results


def _each_video(videos: str, cache: str | Path) -> dict[str, str]:
    """Every readable video under a name of its own; the others are named in a table."""
    index = build_index(videos, cache_dir=cache)
    if index.rejected:
        report().print(index.table())
    found: dict[str, str] = {}
    for video in index.videos:
        name = video.path.stem
        if name in found:
            name = f"{name}_{video.key[:8]}"
        found[name] = str(video.path)
    return found
