"""RAFT-small with denormal numbers flushed to zero and with them kept: matching and training on real videos.

The setting belongs to a thread, and threads that it starts inherit it; so each variant runs in a thread of its own with
its own pool of workers, and a sum of denormal numbers is looked at to know that the setting holds in all of them. The
last row says what is at stake where a network does make such numbers: a convolution of them alone.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from refine_motion.models.base import FlowModel
from tests.bench.child import Skipped
from tests.bench.material import frames, raft_small
from tests.bench.meter import interleaved
from tests.bench.results import Row, row

_VIDEOS = ("bag.avi", "pancake.mkv")


def measure(device: str, out: str, iters: int = 12, repeats: int = 3) -> list[Row]:
    """Seconds per pair.

    Args:
        device: ``cpu``.
        out: not used.
        iters: of RAFT.
        repeats: timed calls of each variant.
    """
    if device != "cpu":
        raise Skipped("denormal numbers cost time on CPUs")
    flushed, kept = _thread(flush=True), _thread(flush=False)
    model = raft_small(device)
    work: dict[str, Callable[[], object]] = {}
    for video in _VIDEOS:
        pair = frames(video, 40, 2, device)
        work[f"matching, {video}"] = lambda pair=pair: _match(model, pair, iters)
    student = raft_small(device).requires_grad_(True)
    work[f"gradient, {_VIDEOS[0]}"] = lambda: _train(student, frames(_VIDEOS[0], 40, 2, device), iters)
    # By their bits: as numbers they would be flushed here, too.
    denormal = torch.full((1, 96, 45, 60), 2**20, dtype=torch.int32).view(torch.float32)
    layer = torch.nn.Conv2d(96, 96, 3, padding=1, bias=False)
    work["convolution of denormal numbers"] = lambda: layer(denormal)
    conditions = f"denormals kept; {iters} iterations, median of {repeats} in turns"
    rows = []
    for name, function in work.items():
        variants = {
            "flushed": lambda function=function: flushed.submit(function).result(),
            "kept": lambda function=function: kept.submit(function).result(),
        }
        times = interleaved(variants, repeats, device)
        rows.append(row(f"{name}, denormals flushed", times["flushed"], "s", times["kept"], conditions))
    return rows


@torch.no_grad()
def _match(model: FlowModel, pair: Tensor, iters: int) -> None:
    features = model.encode(pair)
    model.match_both(features[[0]], features[[1]], iters)


def _train(model: FlowModel, pair: Tensor, iters: int) -> None:
    model.zero_grad()
    flows = model.flow_sequence(pair[:1], pair[1:], iters)
    torch.stack([flow.abs().mean() for flow in flows]).sum().backward()


def _thread(flush: bool) -> ThreadPoolExecutor:
    thread = ThreadPoolExecutor(1, initializer=torch.set_flush_denormal, initargs=(flush,))
    survivors = thread.submit(_surviving_denormals).result()
    if survivors != (0.0 if flush else 1.0):
        raise RuntimeError(f"{100 * survivors:.0f} % of the denormal numbers survive where flushing is {flush}")
    return thread


def _surviving_denormals() -> float:
    """Share of denormal numbers that a sum, split over all worker threads, leaves as they are."""
    smallest = torch.full((2**22,), 2**-149 * 64, dtype=torch.float64).float()
    return (smallest.add(0.0).view(torch.int32) != 0).double().mean().item()
