"""Peak memory of the whole of stage 1 (reading, labelling, writing) on a short and on a long procedural video.

Everything runs in one process, so that the peak is of all of it; it must not grow with the length of the video.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.labels.teacher import LabelSettings
from refine_motion.refine.api import label
from refine_motion.video.writer import write_video
from tests.bench.child import in_child
from tests.bench.material import weights
from tests.bench.meter import peak_rss
from tests.bench.results import Row, row

_SIZE = (64, 96)
_ALLOWED_MIB = 64


def measure(device: str, out: str, short: int = 200, long: int = 2000) -> list[Row]:
    """Peak resident memory of both.

    Args:
        device: ``cpu`` or ``cuda``.
        out: not used.
        short: frames of the first video.
        long: frames of the second.
    """
    peaks = {count: in_child(label_video, device=device, count=count) / 2**20 for count in (short, long)}
    growth = peaks[long] - peaks[short]
    if growth > _ALLOWED_MIB:
        raise ValueError(f"the peak grew by {growth:.0f} MiB from {short} to {long} frames")
    conditions = f"{short} frames; {_SIZE[0]}x{_SIZE[1]}, 1 iteration; {growth:+.1f} MiB, allowed {_ALLOWED_MIB}"
    return [row(f"peak memory of labelling {long} frames", peaks[long], "MiB", peaks[short], conditions)]


def label_video(device: str, count: int) -> int:
    """Write a video, label it, and return the peak resident memory in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "long.mp4"
        write_video(video, moving_texture(count), fps=25)
        settings = LabelSettings(iters=1)
        accelerator = "gpu" if device == "cuda" else "cpu"
        label(video, "raft_small", weights(), Path(folder) / "labels", settings, accelerator, num_workers=0)
    return peak_rss()


def moving_texture(count: int) -> Iterator[Tensor]:
    """Frames ``(3, H, W)`` uint8: a window that wanders over a random picture."""
    height, width = _SIZE
    picture = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    wide = F.interpolate(255 * picture, (height + 40, width + 40), mode="bilinear", align_corners=False)[0].byte()
    for number in range(count):
        top = round(20 + 20 * math.sin(number / 9))
        left = round(20 + 20 * math.cos(number / 7))
        yield wide[:, top : top + height, left : left + width]
