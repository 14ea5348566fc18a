"""Bytes on disk of the labels of a pair of 436x1024, as `LabelStore` writes them.

The reference code stores tensors: flow forward 2, occlusion 1, flow for training 2, both frames of the window 6, first
frame 3 and second frame 3, that is 17 floats of 4 bytes, and a bool, a pixel: 30.8 MB. Frames are not labels, and are
read from the video here. The real label is of a real video (960x540, cut and resized) by RAFT-small with default
settings but for 12 iterations; the worst case is the most pixels that are stored, scattered at random.
"""

from __future__ import annotations

import tempfile

import torch

from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.teacher import FlowTeacher, LabelSettings
from refine_motion.types import Evidence
from tests.bench.material import frames, raft_small, resized
from tests.bench.results import Row, row

_SIZE = (436, 1024)
_REFERENCE_BYTES = _SIZE[0] * _SIZE[1] * (17 * 4 + 1)


def measure(device: str, out: str, iters: int = 12) -> list[Row]:
    """Megabytes per pair, and bytes per stored pixel.

    Args:
        device: ``cpu`` or ``cuda``.
        out: not used.
        iters: of RAFT.
    """
    settings = LabelSettings(iters=iters)
    pair = resized(frames("camel.mp4", 60, 2, device), _SIZE)
    (real,) = FlowTeacher(raft_small(device), settings).label(pair, [(0, 1)], [0])
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        store = LabelStore(folder, "bench")
        for number, (name, label) in enumerate((("real label", real), ("worst case", _worst(settings.max_per_pair)))):
            size = store.write(PairKey("bench", number, number + 1), label)
            kept = len(label.index)
            share = 100 * kept / (_SIZE[0] * _SIZE[1])
            conditions = f"reference code; {kept} pixels stored, {share:.0f} %"
            rows += [
                row(f"stored per pair, {name}", size / 1e6, "MB", _REFERENCE_BYTES / 1e6, conditions),
                row(f"stored per kept pixel, {name}", size / kept, "bytes"),
            ]
    return rows


def _worst(count: int) -> FlowLabel:
    generator = torch.Generator().manual_seed(0)

    def values() -> torch.Tensor:
        return 5 * torch.rand(count, generator=generator)

    index = torch.randperm(_SIZE[0] * _SIZE[1], generator=generator)[:count].sort().values
    flow = 20 * torch.randn(count, 2, generator=generator)
    return FlowLabel(_SIZE, index, flow, Evidence(values(), flow.norm(dim=1), *(values() for _ in range(5))))
