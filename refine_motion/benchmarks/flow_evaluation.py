"""Score a flow model on frame pairs with true flow, alone or against another model."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol, TypeVar, cast

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from refine_motion.benchmarks.flow_table import FlowRow, FlowTable
from refine_motion.benchmarks.pairs import FlowPair, find_pairs, read_pair
from refine_motion.errors import BenchmarkError
from refine_motion.metrics.flow import EndPointError, flow_metrics

DEFAULT_ITERS = 32
_QUIET_SECONDS = 2.0
_T = TypeVar("_T")


class EstimatesFlow(Protocol):
    """What is evaluated: a :class:`refine_motion.models.base.FlowModel` in eval mode, or anything with its ``flow``."""

    def flow(self, a: Tensor, b: Tensor, iters: int = ...) -> Tensor:
        """``(1, 3, H, W)`` uint8 RGB frames to ``(1, 2, H, W)`` flow in pixels."""


def evaluate_flow(
    model: EstimatesFlow,
    pairs: str | Path,
    against: EstimatesFlow | None = None,
    iters: int | None = None,
    progress: bool = True,
) -> FlowTable:
    """Score a flow model on a folder of frame pairs with true flow.

    Every pixel with known truth counts, occluded ones included, at the size of the frames (princeton-vl/RAFT
    ``evaluate.py``).

    Args:
        model: a flow model in eval mode, as ``load_model`` returns it.
        pairs: folder in one of the layouts of :func:`refine_motion.benchmarks.pairs.find_pairs`.
        against: a second model, usually the one before refinement; its end-point error and the relative change are
            added to each row.
        iters: refinement iterations. 32 when not given, RAFT's number for Sintel (its KITTI protocol has 24).
        progress: show a bar on the error stream, when that is a terminal and it takes more than 2 seconds.

    Returns:
        A row per sequence, their unweighted mean, and the values pooled over all pixels.

    Raises:
        BenchmarkError: there are no pairs, a file cannot be read, a frame has another size than its flow, or a frame is
            too small for the model.
    """
    found = find_pairs(pairs)
    iters = DEFAULT_ITERS if iters is None else iters
    models = [model] if against is None else [model, against]
    pooled = _Scores(compared=against is not None)
    rows = []
    steps = _with_progress(found, "evaluating flow") if progress else iter(found)
    for sequence, members in groupby(steps, key=lambda pair: pair.sequence):
        scores = _Scores(compared=against is not None)
        for pair in members:
            a, b, target, valid = read_pair(pair)
            for each in models:
                _check_size(each, pair, a)
            flows = [_flow(each, a, b, iters) for each in models]
            scores.update(flows, target, valid)
            pooled.update(flows, target, valid)
        rows.append(scores.row(sequence))
    return FlowTable(rows=rows, pooled=pooled.row("pooled"), iters=iters)


class _Scores:
    """The metrics of one sequence, or of all."""

    def __init__(self, compared: bool):
        self.metrics = flow_metrics()
        self.against = EndPointError() if compared else None
        self.pairs = 0

    def update(self, flows: list[Tensor], target: Tensor, valid: Tensor) -> None:
        """Take in one pair: flow of the model and, where there is one, of the other."""
        self.pairs += 1
        self.metrics.update(flows[0], target, valid)
        if self.against is not None:
            self.against.update(flows[1], target, valid)

    def row(self, name: str) -> FlowRow:
        """The scores so far."""
        values = {key: value.item() for key, value in self.metrics.compute().items()}
        epe = cast(EndPointError, self.metrics["epe"])
        if self.against is not None:
            values["epe_against"] = self.against.compute().item()
            values["change_percent"] = _change_percent(values["epe"], values["epe_against"])
        return FlowRow(
            name=name,
            pairs=self.pairs,
            pixels=int(epe.count),
            pairs_without_truth=int(epe.skipped_images),
            **values,
        )


def _change_percent(value: float, against: float) -> float:
    return 100 * (value / against - 1) if against else math.nan


def _flow(model: EstimatesFlow, a: Tensor, b: Tensor, iters: int) -> Tensor:
    device = next(model.parameters()).device if isinstance(model, torch.nn.Module) else a.device
    with torch.no_grad():
        return model.flow(a[None].to(device), b[None].to(device), iters=iters)[0].float().cpu()


def _check_size(model: EstimatesFlow, pair: FlowPair, frame: Tensor) -> None:
    smallest = getattr(model, "min_side", 1)
    if min(frame.shape[1:]) < smallest:
        raise BenchmarkError(
            f"{pair.image_a}: {frame.shape[2]} x {frame.shape[1]} pixels, and the model needs at least {smallest} "
            "on each side; use larger frames"
        )


def _with_progress(items: Sequence[_T], description: str) -> Iterator[_T]:
    """The items, with a bar on the error stream, when that is a terminal, once they have taken more than 2 seconds."""
    start = time.monotonic()
    console = Console(stderr=True)
    bar = Progress(console=console, transient=True)
    task = bar.add_task(description, total=len(items))
    started = False
    try:
        for item in items:
            if not started and console.is_terminal and time.monotonic() - start > _QUIET_SECONDS:
                bar.start()
                started = True
            yield item
            bar.advance(task)
    finally:
        if started:
            bar.stop()
