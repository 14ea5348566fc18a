"""Labelling on a CUDA device: pairs per second in both precisions, peak memory at 1080p, and error on true flow.

RAFT-small, both directions of every pair, frames of a real video resized to 440x1024 and to 1080x1920.
"""

from __future__ import annotations

import torch

from refine_motion.models.base import FlowModel
from refine_motion.models.options import MatchOptions
from tests.bench import bf16_epe
from tests.bench.child import Skipped
from tests.bench.material import frames, raft_small, resized
from tests.bench.meter import interleaved, peak_of
from tests.bench.results import Row, row


@torch.no_grad()
def measure(device: str, out: str, window: int = 8, iters: int = 32, repeats: int = 5) -> list[Row]:
    """See above.

    Args:
        device: ``cuda``.
        out: not used.
        window: frames, encoded together.
        iters: of RAFT.
        repeats: timed calls of each precision.
    """
    if device != "cuda":
        raise Skipped("there is no CUDA device, or --device cpu was given")
    model = raft_small(device)
    video = frames("camel.mp4", 60, window, device)
    small = resized(video, (440, 1024))
    times = interleaved(
        {name: lambda bf16=name == "bf16": _label(model, small, iters, bf16) for name in ("bf16", "float32")},
        repeats,
        device,
    )
    rate = {name: (window - 1) / seconds for name, seconds in times.items()}
    conditions = f"440x1024, {iters} iterations, window of {window} frames, median of {repeats} in turns"
    rows = [
        row("labels per second, float32", rate["float32"], "pairs/s", conditions=conditions),
        row("labels per second, bf16", rate["bf16"], "pairs/s", rate["float32"], f"float32; {conditions}", True),
    ]
    large = resized(video[:2], (1080, 1920))
    peaks = {}
    for kind in ("on_demand", "all_pairs"):
        model.options = MatchOptions(correlation=kind)
        peaks[kind] = peak_of(lambda: _label(model, large, iters, bf16=False), device) / 2**20
    conditions = f"on demand against all pairs; float32, {iters} iterations"
    rows.append(row("peak memory of a pair at 1080p", peaks["on_demand"], "MiB", peaks["all_pairs"], conditions))
    return rows + bf16_epe.measure(device, out, iters)


def _label(model: FlowModel, video: torch.Tensor, iters: int, bf16: bool) -> None:
    with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
        features = model.encode(video)
        for a in range(len(video) - 1):
            model.match_both(features[[a]], features[[a + 1]], iters)
