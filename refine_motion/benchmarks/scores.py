"""Scores of single pairs, which any process can make in any order, and the table that they add up to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from torch import Tensor
from torchmetrics import Metric, MetricCollection

from refine_motion.benchmarks.estimate import EstimatesFlow, estimate_flow
from refine_motion.benchmarks.flow_pair import FlowSample
from refine_motion.benchmarks.flow_table import FlowRow, FlowTable
from refine_motion.errors import BenchmarkError
from refine_motion.metrics.flow import EndPointError, Sums, flow_metrics, from_sums, sums_of
from refine_motion.metrics.functional.bootstrap import paired_bootstrap


@dataclass(frozen=True)
class PairScore:
    """What one pair adds to every metric.

    Attributes:
        name: the pair.
        sequence: its row in the table.
        scene: what was filmed; see :class:`refine_motion.benchmarks.flow_pair.FlowPair`.
        model: sums and counts of each metric, by its name.
        against: end-point error of the other model, summed over the known pixels; ``None`` when there is none.
    """

    name: str
    sequence: str
    scene: str
    model: dict[str, Sums]
    against: float | None

    @property
    def error(self) -> float:
        """End-point error of the model, summed over the known pixels."""
        return self.model["epe"]["whole"] + self.model["epe"]["remainder"]


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
    metrics = flow_metrics()
    _score(model, sample, iters, metrics, matched=sample["matched"])
    before = None
    if against is not None:
        error = EndPointError()
        _score(against, sample, iters, error)
        before = error.whole.item() + error.remainder.item()
    return PairScore(sample["name"], sample["sequence"], sample["scene"], sums_of(metrics), before)


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
    before = [score.against for score in listed if score.against is not None]
    intervals = None
    if before:
        intervals = paired_bootstrap(
            [score.error for score in listed],
            before,
            [score.sequence for score in listed],
            [score.scene for score in listed],
        )
    return FlowTable(rows, _row("pooled", listed), iters, intervals)


def _row(name: str, scores: Sequence[PairScore]) -> FlowRow:
    values = {key: value.item() for key, value in from_sums(score.model for score in scores).compute().items()}
    pixels = int(sum(score.model["epe"]["count"] for score in scores))
    before = [score.against for score in scores if score.against is not None]
    if before:
        values["epe_against"] = sum(before) / pixels if pixels else math.nan
        values["change_percent"] = _change_percent(sum(score.error for score in scores), sum(before))
    return FlowRow(
        name=name,
        pairs=len(scores),
        pixels=pixels,
        pairs_without_truth=int(sum(score.model["epe"]["skipped_images"] for score in scores)),
        **values,
    )


def _score(
    model: EstimatesFlow, sample: FlowSample, iters: int, metric: Metric | MetricCollection, **maps: Tensor | None
) -> None:
    """Update a metric with a model's flow, on the device of the model."""
    _check_size(model, sample)
    flow = estimate_flow(model, sample["image_a"], sample["image_b"], iters, sample["padding"])
    given = {"pred": flow, "target": sample["flow"], "valid": sample["valid"], **maps}
    batch = {name: None if value is None else value[None].to(flow.device) for name, value in given.items()}
    metric.to(flow.device).update(**batch)


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
