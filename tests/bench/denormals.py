"""RAFT-small on one pair of a real video, both directions, with denormal numbers flushed to zero and with them kept.

The setting belongs to a thread, and threads that it starts inherit it; so each variant runs in a thread of its own with
its own pool of workers, and a product of denormal numbers is looked at to know that the setting holds in all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from tests.bench.child import Skipped
from tests.bench.material import frames, raft_small
from tests.bench.meter import interleaved
from tests.bench.results import Row, row


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
    model = raft_small(device)
    pair = frames("bag.avi", 40, 2, device)

    @torch.no_grad()
    def match() -> None:
        features = model.encode(pair)
        model.match_both(features[[0]], features[[1]], iters)

    variants: dict[str, Callable[[], None]] = {}
    for name, flush in (("flushed", True), ("kept", False)):
        thread = ThreadPoolExecutor(1, initializer=torch.set_flush_denormal, initargs=(flush,))
        survivors = thread.submit(_surviving_denormals).result()
        if survivors != (0.0 if flush else 1.0):
            raise RuntimeError(f"{100 * survivors:.0f} % of the denormal numbers survive where they are {name}")
        variants[name] = lambda thread=thread: thread.submit(match).result()
    times = interleaved(variants, repeats, device)
    conditions = f"denormals kept; {pair.shape[-1]}x{pair.shape[-2]}, {iters} iterations, median of {repeats} in turns"
    return [row("matching with denormals flushed", times["flushed"], "s/pair", times["kept"], conditions)]


def _surviving_denormals() -> float:
    """Share of denormal numbers that a sum, split over all worker threads, leaves as they are."""
    smallest = torch.full((2**22,), 2**-149 * 64, dtype=torch.float64).float()
    return (smallest.add(0.0).view(torch.int32) != 0).double().mean().item()
