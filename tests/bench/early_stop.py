"""Early stop of the iterations: what it gains in time, and what it costs, on a pair of each of several real videos.

A direction stops after an iteration that moved its flow by less than the tolerance on average. Times are of both
directions without the encoders; the difference is from the flow after all iterations, both directions; the cost on true
flow is the end-point error. `early_stop.png` draws
speed-up against difference, one line a video.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from refine_motion.files import replacing
from refine_motion.models.base import FlowModel
from refine_motion.motion.grid import length
from tests.bench.material import frames, raft_small, true_pairs
from tests.bench.meter import seconds_of
from tests.bench.results import Row, row

_VIDEOS = ("camel.mp4", "dance.mp4", "pancake.mkv", "bikes_with_cuts.mp4", "mouse_250fps.mp4")
_TOLERANCES = (0.5, 0.2, 0.1, 0.05, 0.02)


@torch.no_grad()
def measure(device: str, out: str, iters: int = 32, first: int = 60) -> list[Row]:
    """A row for each video and tolerance, and for each scene with true flow and tolerance.

    Args:
        device: ``cpu`` or ``cuda``.
        out: folder of the picture.
        iters: of RAFT, at most.
        first: frame of each video that is matched with the next.
    """
    model = raft_small(device)
    rows: list[Row] = []
    curves: dict[str, list[tuple[float, float]]] = {}
    for video in _VIDEOS:
        pair = frames(video, first, 2, device)
        curves[video] = []
        (full, full_seconds), *stopped = _at_tolerances(model, pair[:1], pair[1:], iters, device)
        for tolerance, (flows, seconds) in zip(_TOLERANCES, stopped, strict=True):
            difference = length(flows - full).flatten()
            mean, high = difference.mean().item(), torch.quantile(difference.cpu(), 0.99).item()
            curves[video].append((mean, full_seconds / seconds))
            size = f"{pair.shape[-1]}x{pair.shape[-2]}"
            conditions = f"none, {iters} iterations, {size}; difference {mean:.3g} px, 99th percentile {high:.3g} px"
            rows.append(row(f"{video}, tolerance {tolerance:g} px", seconds, "s/pair", full_seconds, conditions))
    for scene, (a, b, true, valid) in true_pairs(device).items():
        (full, full_seconds), *stopped = _at_tolerances(model, a, b, iters, device)
        before = _error(full, true, valid)
        for tolerance, (flows, seconds) in zip(_TOLERANCES, stopped, strict=True):
            conditions = f"none, {iters} iterations; {full_seconds / seconds:.2f} times as fast"
            rows.append(
                row(
                    f"error on {scene}, tolerance {tolerance:g} px",
                    _error(flows, true, valid),
                    "px",
                    before,
                    conditions,
                )
            )
    _draw(curves, Path(out) / "early_stop.png")
    return rows


def _at_tolerances(model: FlowModel, a: Tensor, b: Tensor, iters: int, device: str) -> list[tuple[Tensor, float]]:
    """Both flows ``(2, 2, H, W)`` and the seconds for them: without early stop, then at each tolerance.

    The time without early stop is the mean of one before and one after the others; none holds that of the encoders.
    """
    features_a, features_b = model.encode(a), model.encode(b)
    model.match_both(features_a, features_b, 1)
    tolerances = (0.0, *_TOLERANCES)
    flows: dict[float, Tensor] = {}

    def match(tolerance: float) -> None:
        flows[tolerance] = torch.cat(model.match_both(features_a, features_b, iters, tolerance))

    times = [seconds_of(lambda tolerance=tolerance: match(tolerance), device) for tolerance in (*tolerances, 0.0)]
    times[0] = (times[0] + times.pop()) / 2
    return [(flows[tolerance], seconds) for tolerance, seconds in zip(tolerances, times, strict=True)]


def _error(flows: Tensor, true: Tensor, valid: Tensor) -> float:
    return length(flows[:1] - true)[valid].mean().item()


def _draw(curves: dict[str, list[tuple[float, float]]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for video, points in curves.items():
        axes.plot([max(mean, 1e-4) for mean, _ in points], [gain for _, gain in points], marker="o", label=video)
    axes.set(xscale="log", xlabel="mean difference from all iterations, px (0 drawn at 1e-4)", ylabel="times as fast")
    axes.legend(fontsize=8)
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=150)
