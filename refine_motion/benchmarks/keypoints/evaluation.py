"""Score predicted joints on a benchmark, with the first joints kept still beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from refine_motion.benchmarks.keypoints.benchmark import KeypointBenchmark
from refine_motion.benchmarks.keypoints.predictions import KeypointPredictor, predicted_joints
from refine_motion.benchmarks.progress import with_progress
from refine_motion.benchmarks.score_table import ScoreRow, ScoreTable
from refine_motion.benchmarks.tracks.benchmark import Column
from refine_motion.errors import BenchmarkError
from refine_motion.metrics.tracks import CorrectKeypoints

ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5)
COLUMNS = (
    *(Column(f"pck_{alpha:g}", f"PCK@{alpha:g}") for alpha in ALPHAS),
    Column("estimated", "estimated", 100, lower_is_better=None),
)
_NOTES = (
    "PCK@a: % of joints nearer than a times 0.6 of the diagonal of the box of the true joints of that frame, over all "
    "clips; the first frame does not count; the mean is over joints.",
    "estimated: % of joints for which there is an estimate. By videowalk's rule the others do not count against PCK, "
    "and shrink the box: compare figures only where this is near 100.",
)


def evaluate_keypoints(
    predictions: str | Path | KeypointPredictor, benchmark: KeypointBenchmark, progress: bool = True
) -> ScoreTable:
    """Score predicted joints on all clips of a benchmark by PCK, as ajabri/videowalk ``eval_pck.py`` does.

    See :func:`refine_motion.metrics.functional.tracks.correct_keypoints`.

    Args:
        predictions: what carries the joints of the first frame through a clip, or a folder of tables; see
            :func:`refine_motion.benchmarks.keypoints.predictions.predicted_joints`.
        benchmark: what to score on.
        progress: show a bar on the error stream, when that is a terminal and it takes more than 2 seconds.

    Returns:
        A row for each joint, and the mean over the joints; ``pck_0.1`` to ``pck_0.5`` per cent, ``estimated`` 0..1.

    Raises:
        BenchmarkError: the benchmark or a prediction is missing, damaged or does not fit, or nothing can be scored.
    """
    metrics = [CorrectKeypoints(len(benchmark.joints), ALPHAS) for _ in range(2)]
    scored = skipped = 0
    clips = benchmark.clips()
    for clip in with_progress(clips, benchmark.title) if progress else clips:
        if len(clip.xy) < 2:
            skipped += 1
            continue
        found = predicted_joints(predictions, clip, benchmark.joints)
        for metric, xy in zip(metrics, (found, clip.xy[:1].expand_as(clip.xy)), strict=True):
            metric.update(xy, clip.xy)
        scored += len(clip.xy) - 1
    if not scored:
        raise BenchmarkError(f"{benchmark.root}: no clip of 2 frames or more; check data.root and the preset")
    scores, still = (_scores(metric, scored) for metric in metrics)
    rows = [ScoreRow(joint, _at(scores, number), _at(still, number)) for number, joint in enumerate(benchmark.joints)]
    mean = ScoreRow("mean", _mean(scores), _mean(still))
    left_out = {"clips of one frame": skipped} if skipped else {}
    return ScoreTable(benchmark.title, "joint", COLUMNS, rows, mean, left_out, _NOTES)


def _scores(metric: CorrectKeypoints, scored: int) -> dict[str, Tensor]:
    """``(J,)`` of each score."""
    shares = dict(zip((f"pck_{alpha:g}" for alpha in metric.alphas), metric.per_joint(), strict=True))
    return shares | {"estimated": metric.estimated.to(torch.float64) / scored}


def _at(scores: Mapping[str, Tensor], joint: int) -> dict[str, float]:
    return {name: values[joint].item() for name, values in scores.items()}


def _mean(scores: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: values.nanmean().item() for name, values in scores.items()}
