"""Scores of single pairs, which any process can make in any order, and the table that they add up to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from refine_motion.benchmarks.estimate import EstimatesFlow, estimate_flow
from refine_motion.benchmarks.flow_pair import FlowSample
from refine_motion.benchmarks.flow_table import FlowRow, FlowTable
from refine_motion.errors import BenchmarkError
from refine_motion.metrics.flow import Sums, flow_metrics, from_sums, sums_of
from refine_motion.metrics.functional.bootstrap import paired_bootstrap


@dataclass(frozen=True)
class PairScore:
    """What one pair adds to every metric.

    Attributes:
        name: the pair.
        sequence: its row in the table.
        scene: what was filmed; see :class:`refine_motion.benchmarks.flow_pair.FlowPair`.
        model: sums and counts of each metric, by its name.
        against: the same of the model to compare with; ``None`` when there is none.
    """

    name: str
    sequence: str
    scene: str
    model: dict[str, Sums]
    against: dict[str, Sums] | None


def score_pair(sample: FlowSample, model: EstimatesFlow, against: EstimatesFlow | None, iters: int) -> PairScore:
    """Estimate the flow of one pair and score it.

    Args:
        sample: as :func:`refine_motion.benchmarks.flow_pair.read_sample` gives it, on any device.
        model: in eval mode.
        against: a second model, or ``None``.
        iters: refinement iterations of both.

    Raises:
        BenchmarkError: the frames are too small for a model.
    """
    sums = []
    for each in (model,) if against is None else (model, against):
        _check_size(each, sample)
        flow = estimate_flow(each, sample["image_a"], sample["image_b"], iters, sample["padding"])
        metrics = flow_metrics().to(flow.device)
        matched = sample["matched"]
        metrics.update(
            flow[None],
            sample["flow"][None].to(flow.device),
            sample["valid"][None].to(flow.device),
            matched=None if matched is None else matched[None].to(flow.device),
        )
        sums.append(sums_of(metrics))
    return PairScore(sample["name"], sample["sequence"], sample["scene"], sums[0], None if against is None else sums[1])


def tabulate(scores: Iterable[PairScore], iters: int) -> FlowTable:
    """The table of all pairs.

    Args:
        scores: in any order. A pair that occurs twice counts once: with several processes Lightning repeats some, so
            that all have the same number.
        iters: the iterations that the scores were made with.

    Returns:
        A row per sequence, in the order of their names, their mean, and the values of all pairs together; where two
        models were compared, with the intervals of the change.
    """
    unique = {score.name: score for score in scores}
    listed = sorted(unique.values(), key=lambda score: (score.sequence, score.name))
    rows = [_row(name, list(members)) for name, members in groupby(listed, key=lambda score: score.sequence)]
    intervals = None
    compared = [(score.model["epe"], score.against["epe"]) for score in listed if score.against is not None]
    if compared:
        intervals = paired_bootstrap(
            [_total(new) for new, _ in compared],
            [_total(old) for _, old in compared],
            [score.sequence for score in listed],
            [score.scene for score in listed],
        )
    return FlowTable(rows, _row("pooled", listed), iters, intervals)


def _row(name: str, scores: Sequence[PairScore]) -> FlowRow:
    metrics = from_sums(score.model for score in scores)
    values = {key: value.item() for key, value in metrics.compute().items()}
    before = [score.against for score in scores if score.against is not None]
    if before:
        values["epe_against"] = from_sums(before).compute()["epe"].item()
        values["change_percent"] = _change_percent(values["epe"], values["epe_against"])
    return FlowRow(
        name=name,
        pairs=len(scores),
        pixels=int(sum(score.model["epe"]["count"] for score in scores)),
        pairs_without_truth=int(sum(score.model["epe"]["skipped_images"] for score in scores)),
        **values,
    )


def _total(sums: Sums) -> float:
    return sums["whole"] + sums["remainder"]


def _change_percent(value: float, against: float) -> float:
    return 100 * (value / against - 1) if against else math.nan


def _check_size(model: EstimatesFlow, sample: FlowSample) -> None:
    height, width = sample["image_a"].shape[-2:]
    smallest = getattr(model, "min_side", 1)
    if min(height, width) < smallest:
        raise BenchmarkError(
            f"{sample['path']}: {width} x {height} pixels, and the model needs at least {smallest} on each side; "
            "use larger frames"
        )
