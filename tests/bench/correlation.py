"""Correlation on demand against all pairs, at three sizes of video, each in a process of its own.

First the look-ups alone: building and 12 look-ups on features of RAFT-small's shape along a smooth flow. Then a whole
RAFT-small `flow` of one direction. Memory is the peak beyond what the process held before.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.models.options import MatchOptions
from refine_motion.models.raft import LEVELS, SMALL
from refine_motion.motion.correlation import Correlation, CorrelationPyramid, all_pairs
from refine_motion.motion.grid import pixel_grid
from refine_motion.motion.on_demand import OnDemandCorrelation
from tests.bench.child import in_child
from tests.bench.material import frames, raft_small, resized
from tests.bench.meter import peak_of, seconds_of
from tests.bench.results import Row, row

_SIZES = {"480p": (480, 854), "720p": (720, 1280), "1080p": (1080, 1920)}
_KINDS = ("on_demand", "all_pairs")


def measure(
    device: str, out: str, sizes: dict[str, tuple[int, int]] = _SIZES, lookups: int = 12, iters: int = 4
) -> list[Row]:
    """Seconds and peak memory of both, for look-ups and for a whole flow.

    Args:
        device: ``cpu`` or ``cuda``.
        out: not used.
        sizes: ``(H, W)`` in pixels by name.
        lookups: per building.
        iters: of the whole flow.
    """
    rows: list[Row] = []
    for name, size in sizes.items():
        alone = [in_child(look_up, device=device, kind=kind, size=size, lookups=lookups) for kind in _KINDS]
        rows += _compare(f"{lookups} look-ups, {name}", *alone)
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / kind for kind in _KINDS]
            whole = [
                in_child(estimate, device=device, kind=kind, size=size, iters=iters, flow=str(file))
                for kind, file in zip(_KINDS, files, strict=True)
            ]
            difference = (torch.load(files[0]) - torch.load(files[1])).abs().max().item()
        rows += _compare(f"flow of {iters} iterations, {name}", *whole)
        rows.append(row(f"largest difference of the flows, {name}", difference, "px"))
    return rows


def _compare(what: str, on_demand: dict[str, float], pairs: dict[str, float]) -> list[Row]:
    conditions = "on demand against all pairs"
    return [
        row(f"time of {what}", on_demand["seconds"], "s", pairs["seconds"], conditions),
        row(f"memory of {what}", on_demand["bytes"] / 2**20, "MiB", pairs["bytes"] / 2**20, conditions),
    ]


@torch.no_grad()
def look_up(device: str, kind: str, size: tuple[int, int], lookups: int) -> dict[str, float]:
    """``seconds`` and ``bytes`` of building a correlation and looking it up."""
    generator = torch.Generator().manual_seed(0)
    grid = (-(-size[0] // 8), -(-size[1] // 8))
    a, b = torch.randn(2, 1, SMALL.matching, *grid, generator=generator).to(device)
    coarse = 4 * torch.randn(1, 2, 4, 6, generator=generator)
    coords = (pixel_grid(*grid) + F.interpolate(coarse, grid, mode="bicubic", align_corners=True)).to(device)

    def work() -> None:
        correlation: Correlation
        if kind == "on_demand":
            correlation = OnDemandCorrelation(a, b, LEVELS, SMALL.radius)
        else:
            correlation = CorrelationPyramid(all_pairs(a, b), grid, LEVELS, SMALL.radius)
        for _ in range(lookups):
            correlation.lookup(coords)

    return _time_and_peak(work, device)


@torch.no_grad()
def estimate(device: str, kind: str, size: tuple[int, int], iters: int, flow: str) -> dict[str, float]:
    """``seconds`` and ``bytes`` of a whole flow, which is written to a file."""
    model = raft_small(device)
    model.options = MatchOptions(correlation=kind)
    pair = resized(frames("camel.mp4", 60, 2, device), size)
    found: list[Tensor] = []
    measured = _time_and_peak(lambda: found.append(model.flow(pair[:1], pair[1:], iters)), device)
    torch.save(found[0].cpu(), flow)
    return measured


def _time_and_peak(work: Callable[[], object], device: str) -> dict[str, float]:
    """Of the first call the memory, of the second the time: the first also fetches memory and loads kernels."""
    return {"bytes": peak_of(work, device), "seconds": seconds_of(work, device)}
