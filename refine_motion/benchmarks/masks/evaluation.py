"""Score predicted masks on a benchmark, with the first mask kept still beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch

from refine_motion.benchmarks.masks.benchmark import MaskBenchmark, MaskSequence
from refine_motion.benchmarks.masks.predictions import MaskPredictor, predicted_masks
from refine_motion.benchmarks.progress import with_progress
from refine_motion.benchmarks.score_table import ScoreRow, ScoreTable
from refine_motion.benchmarks.tracks.benchmark import Column
from refine_motion.errors import BenchmarkError
from refine_motion.metrics.functional.masks import frame_scores, object_count, summary

COLUMNS = (
    Column("jf", "J&F", 100),
    Column("j_mean", "J", 100),
    Column("j_recall", "J recall", 100),
    Column("j_decay", "J decay", 100, lower_is_better=True),
    Column("f_mean", "F", 100),
    Column("f_recall", "F recall", 100),
    Column("f_decay", "F decay", 100, lower_is_better=True),
)
_NOTES = (
    "In per cent. J: intersection over union. F: agreement of the contours within 0.8 % of the diagonal. recall: "
    "frames above 50. decay: first quarter of a sequence less the last; lower is better.",
    "By DAVIS's rules: the first and the last frame do not count, void is background, the mean is over objects.",
)


def evaluate_masks(
    predictions: str | Path | MaskPredictor, benchmark: MaskBenchmark, progress: bool = True
) -> ScoreTable:
    """Score predicted masks on all sequences of a benchmark, by DAVIS's official rules.

    Sequences without an object in the first mask, and those of fewer than 3 frames, are left out and counted.

    Args:
        predictions: what carries the first mask through the frames, or a folder of its masks; see
            :func:`refine_motion.benchmarks.masks.predictions.predicted_masks`.
        benchmark: what to score on.
        progress: show a bar on the error stream, when that is a terminal and it takes more than 2 seconds.

    Returns:
        A row for each object of each sequence, and the plain mean over the objects.

    Raises:
        BenchmarkError: the benchmark or a prediction is missing, damaged or does not fit, or nothing can be scored.
    """
    rows: list[ScoreRow] = []
    skipped: Counter[str] = Counter()
    sequences = benchmark.sequences()
    for sequence in with_progress(sequences, benchmark.title) if progress else sequences:
        if not sequence.scored:
            skipped["sequences of fewer than 3 frames"] += 1
        elif found := _score(predictions, sequence):
            rows += found
        else:
            skipped["sequences without an object in the first mask"] += 1
    if not rows:
        reasons = "; ".join(f"{count} {reason}" for reason, count in skipped.items()) or "it holds no sequence"
        raise BenchmarkError(f"{benchmark.root}: nothing to score: {reasons}; check data.root and the preset")
    return ScoreTable(benchmark.title, "object", COLUMNS, rows, _mean(rows), dict(skipped), _NOTES)


def _score(predictions: str | Path | MaskPredictor, sequence: MaskSequence) -> list[ScoreRow]:
    first = sequence.truth(0)
    count = object_count(first)
    if not count:
        return []
    frames = []
    masks = predicted_masks(predictions, sequence, first, count)
    for number, mask in zip(sequence.scored, masks, strict=True):
        truth = sequence.truth(number, (first.shape[0], first.shape[1]))
        # Both at once, for the contours of the truth are needed for both.
        frames.append(frame_scores(torch.stack((mask.to(first), first)), truth, count))
    regions, contours = (torch.stack(scores, dim=-1) for scores in zip(*frames, strict=True))
    found = summary(regions, contours)

    def scores(kind: int, index: int) -> dict[str, float]:
        return {name: values[kind, index].item() for name, values in found.items()}

    return [ScoreRow(sequence.object_name(i + 1), scores(0, i), scores(1, i)) for i in range(count)]


def _mean(rows: list[ScoreRow]) -> ScoreRow:
    def mean(scores: list[Mapping[str, float]]) -> dict[str, float]:
        return {name: sum(one[name] for one in scores) / len(scores) for name in scores[0]}

    return ScoreRow("mean", mean([row.scores for row in rows]), mean([row.still for row in rows]))
