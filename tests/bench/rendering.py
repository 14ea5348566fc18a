"""Frames per second of the procedural scenes at 256x256 on one thread, for every domain, and of training pairs.

Rendering alone, with all looks, against the 20 frames a second that a domain must reach. Scenes differ (in how many
objects and exposures they have), so each number is over several of them, whose making is not counted. A training pair
of the source domain is two frames and the exact flow of a scene that is made for it alone, and that is counted.
"""

from __future__ import annotations

from functools import partial

import torch

from refine_motion.benchmarks.synthetic.domains import DOMAINS
from refine_motion.benchmarks.synthetic.scene import Scene
from refine_motion.benchmarks.synthetic.stream import FlowPairs
from refine_motion.benchmarks.synthetic.worlds import random_scene
from tests.bench.meter import interleaved
from tests.bench.results import Row, row

_WANTED = 20.0


def measure(
    device: str,
    out: str,
    size: tuple[int, int] = (256, 256),
    scenes: int = 6,
    frames: int = 4,
    pairs: int = 12,
    repeats: int = 3,
) -> list[Row]:
    """Frames and pairs per second.

    Args:
        device: ``cpu`` or ``cuda``.
        out: not used.
        size: ``(H, W)`` in pixels.
        scenes: of each domain.
        frames: of each scene.
        pairs: of the source domain.
        repeats: timed calls of each.
    """
    torch.set_num_threads(1)
    worlds = {
        name: [random_scene(seed, size, frames=frames, name=name, device=device) for seed in range(scenes)]
        for name in DOMAINS
    }
    times = interleaved({name: partial(_render, found, frames) for name, found in worlds.items()}, repeats, device)
    conditions = f"asked for; {scenes} scenes of {frames} frames, one thread, median of {repeats} in turns"
    rows = [
        row(f"rendering, {name}", scenes * frames / seconds, "frames/s", _WANTED, conditions, True, wanted=1.0)
        for name, seconds in times.items()
    ]
    stream = FlowPairs(pairs, size, device=device)
    seconds = interleaved({"pairs": partial(_draw, stream)}, repeats, device)["pairs"]
    conditions = f"{pairs} scenes, one thread, median of {repeats}"
    return [*rows, row("training pairs with flow, source", pairs / seconds, "pairs/s", conditions=conditions)]


def _render(scenes: list[Scene], frames: int) -> None:
    for scene in scenes:
        for t in range(frames):
            scene.render(t)


def _draw(stream: FlowPairs) -> None:
    for index in range(len(stream)):
        stream[index]
