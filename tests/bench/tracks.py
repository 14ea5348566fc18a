"""PIPs with features that all points and both directions share, against encoding anew for each; memory over length.

The small PIPs from its initial weights: what it finds does not matter here. Points are followed there and back, as for
labels.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from refine_motion.models.pips import Pips
from refine_motion.models.registry import build_model
from refine_motion.tracking.points import grid_points
from tests.bench.child import in_child
from tests.bench.long_video import moving_texture
from tests.bench.meter import peak_of, peak_rss, seconds_of
from tests.bench.results import Row, row

_SIZE, _FRAMES, _ITERS = (768, 1280), 8, 6
_ALLOWED_MIB = 32
_POINTS_OF_LONG = 64


def measure(device: str, out: str, points: int = 9216, chunk: int = 512, short: int = 64, long: int = 512) -> list[Row]:
    """Encoder passes, time and memory.

    Args:
        device: ``cpu`` or ``cuda``.
        out: not used.
        points: that are followed through 8 frames of 768x1280.
        chunk: points at a time.
        short: frames of a short video.
        long: frames of a long one.
    """
    model = _model(device)
    generator = torch.Generator().manual_seed(0)
    video = torch.randint(0, 256, (_FRAMES, 3, *_SIZE), generator=generator, dtype=torch.uint8).to(device)
    xy = grid_points(_SIZE, points).queries[:points, 1:].to(device)
    passes, seconds = _Passes(model), dict[str, float]()

    def track() -> None:
        seconds["all"] = seconds_of(lambda: _there_and_back(model, video, xy, chunk), device)

    peak = peak_of(track, device)
    shared = passes.frames
    with torch.no_grad():
        seconds["encoder"] = seconds_of(lambda: model.encode(video), device)
    chunks = -(-len(xy) // chunk)
    anew = 2 * chunks * seconds["encoder"]
    peaks = {count: in_child(track_long, device=device, count=count) / 2**20 for count in (short, long)}
    growth = peaks[long] - peaks[short]
    if growth > _ALLOWED_MIB:
        raise ValueError(f"the peak grew by {growth:.0f} MiB from {short} to {long} frames")
    conditions = f"{len(xy)} points in chunks of {chunk}, there and back, {_FRAMES} frames of {_SIZE[0]}x{_SIZE[1]}"
    return [
        row("encoder passes", shared, "frames", 2 * chunks * _FRAMES, f"{conditions}; for each anew", wanted=5),
        row("time of the encoder", seconds["encoder"], "s", anew, f"{conditions}; one, times {2 * chunks}", wanted=5),
        row(
            "time of everything",
            seconds["all"],
            "s",
            seconds["all"] - seconds["encoder"] + anew,
            f"{conditions}, {_ITERS} iterations; against: with that time of the encoder",
        ),
        row("peak memory beyond the model", peak / 2**20, "MiB", None, conditions),
        row(
            f"peak memory of tracking {long} frames",
            peaks[long],
            "MiB",
            peaks[short],
            f"{short} frames; {_POINTS_OF_LONG} points, 64x96; {growth:+.1f} MiB, allowed {_ALLOWED_MIB}",
        ),
    ]


def track_long(device: str, count: int) -> int:
    """Track some points through a video of that many frames, and return the peak resident memory in bytes."""
    model = _model(device)
    model.iters = 1
    model.follow(itertools.islice(moving_texture(count), count), grid_points((64, 96), _POINTS_OF_LONG).queries)
    return peak_rss()


class _Passes:
    """Counts the frames that an encoder is given."""

    def __init__(self, model: Pips):
        self.frames = 0
        model.fnet.register_forward_pre_hook(self._count)

    def _count(self, _: object, inputs: tuple[Tensor]) -> None:
        self.frames += len(inputs[0])


@torch.no_grad()
def _there_and_back(model: Pips, video: Tensor, xy: Tensor, chunk: int) -> None:
    maps = model.encode(video)[None]
    back = maps.flip(1)
    for part in xy.split(chunk):
        found = model.predict(maps, part[None], _ITERS)
        model.predict(back, found.coords[-1][:, -1], _ITERS)


def _model(device: str) -> Pips:
    torch.manual_seed(0)
    model = build_model("pips_small")
    assert isinstance(model, Pips)
    return model.eval().to(device)
