"""What `label.precision: bf16` costs in end-point error on true flow, RAFT-small at native size."""

from __future__ import annotations

import torch

from refine_motion.motion.grid import length
from tests.bench.material import raft_small, true_pairs
from tests.bench.results import Row, row


@torch.no_grad()
def measure(device: str, out: str, iters: int = 12) -> list[Row]:
    """Error in both precisions on each scene.

    Args:
        device: ``cpu`` or ``cuda``.
        out: not used.
        iters: of RAFT.
    """
    model = raft_small(device)
    rows: list[Row] = []
    for scene, (a, b, true, valid) in true_pairs(device).items():
        errors = []
        for bf16 in (True, False):
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                flow = model.flow(a, b, iters)
            errors.append(length(flow - true)[valid].mean().item())
        rows.append(row(f"error on {scene}, bf16", errors[0], "px", errors[1], f"float32; {iters} iterations"))
    return rows
