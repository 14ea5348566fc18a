"""Flow of all pairs of a window of a real video, both directions, RAFT-small at equal iterations.

This code encodes each frame once, whatever pairs it is in. The naive procedure is that of
the reference code: every pair and direction by itself, and the flow up-sampled after every iteration. A third variant
up-samples only the last one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tests.bench.material import frames, raft_small
from tests.bench.meter import interleaved
from tests.bench.results import Row, row

_ALLOWED_PX = 1e-3


@torch.no_grad()
def measure(device: str, out: str, window: int = 8, iters: int = 12, repeats: int = 3) -> list[Row]:
    """Pairs per second, difference of the flows, and the share of the encoders.

    Args:
        device: ``cpu`` or ``cuda``.
        out: not used.
        window: frames.
        iters: of RAFT.
        repeats: timed calls of each procedure.
    """
    model = raft_small(device)
    video = frames("bag.avi", 40, window, device)
    pairs = [(a, a + 1) for a in range(window - 1)]
    both = [direction for a, b in pairs for direction in ((a, b), (b, a))]

    def ours() -> list[Tensor]:
        features = model.encode(video)
        return [flow for a, b in pairs for flow in model.match_both(features[[a]], features[[b]], iters)]

    def naive() -> list[Tensor]:
        return [model.flow_sequence(video[[a]], video[[b]], iters)[-1] for a, b in both]

    def naive_upsampled_once() -> list[Tensor]:
        return [model.flow(video[[a]], video[[b]], iters) for a, b in both]

    def naive_encoders() -> None:
        scaled = 2 * (video.float() / 255) - 1
        for a, b in both:
            model.fnet(scaled[[a, b]])
            model.cnet(scaled[[a]])

    difference = (torch.cat(ours()) - torch.cat(naive())).abs()
    if difference.max() >= _ALLOWED_PX:
        raise ValueError(f"the flows differ by {difference.max():.2g} px, allowed are {_ALLOWED_PX:g} px")
    times = interleaved(
        {"ours": ours, "naive": naive, "once": naive_upsampled_once, "encoders": naive_encoders}, repeats, device
    )
    rate = {name: len(pairs) / seconds for name, seconds in times.items()}
    height, width = video.shape[-2:]
    size = f"{width}x{height}, {iters} iterations, window of {window} frames, median of {repeats} in turns"
    return [
        row("labels per second", rate["ours"], "pairs/s", rate["naive"], f"naive; {size}", True, wanted=1.1),
        row("labels per second", rate["ours"], "pairs/s", rate["once"], f"naive, up-sampled once; {size}", True),
        row("largest difference of the flows", difference.max().item(), "px", conditions=f"allowed {_ALLOWED_PX:g} px"),
        row("mean difference of the flows", difference.mean().item(), "px"),
        row("share of the encoders in a naive pass", 100 * times["encoders"] / times["naive"], "%"),
    ]
