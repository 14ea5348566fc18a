"""A training step of stage 2 (RAFT-small, forward, loss, backward, AdamW): time, and peak memory beyond the model.

Each variant runs in a process of its own. Checkpointing keeps no activations inside an iteration and computes them
again on the way back; the gradients must be those of the plain variant.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from refine_motion.models.options import MatchOptions
from refine_motion.refine.module import RefineModule
from tests.bench.child import in_child
from tests.bench.material import frames, weights
from tests.bench.meter import peak_of, seconds_of
from tests.bench.results import Row, row

_VARIANTS = {
    "plain": ("all_pairs", False),
    "checkpointing": ("all_pairs", True),
    "on demand, checkpointing": ("on_demand", True),
}
_ALLOWED = 1e-3


def measure(
    device: str, out: str, crop: tuple[int, int] = (256, 320), batch: int = 2, iters: int = 12, steps: int = 3
) -> list[Row]:
    """Seconds per step, peak memory, and the difference of the gradients, of each variant.

    Args:
        device: ``cpu`` or ``cuda``.
        out: not used.
        crop: ``(H, W)`` in pixels.
        batch: pairs in a step.
        iters: of the student.
        steps: timed ones, after one that is not.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: in_child(
                train,
                device=device,
                correlation=correlation,
                checkpointing=checkpointing,
                crop=crop,
                batch=batch,
                iters=iters,
                steps=steps,
                gradients=str(Path(folder) / name),
            )
            for name, (correlation, checkpointing) in _VARIANTS.items()
        }
        gradients = {name: torch.load(Path(folder) / name) for name in _VARIANTS}
    plain, *others = _VARIANTS
    conditions = f"batch {batch}, crop {crop[0]}x{crop[1]}, {iters} iterations, float32"
    rows = [
        row("step, plain", found[plain]["seconds"], "s", conditions=conditions),
        row("peak memory, plain", found[plain]["bytes"] / 2**20, "MiB", conditions=conditions),
    ]
    for name in others:
        change = ((gradients[name] - gradients[plain]).norm() / gradients[plain].norm()).item()
        if not change < _ALLOWED:
            raise ValueError(f"{name}: the gradient differs by {change:.2g} of its length, allowed are {_ALLOWED:g}")
        rows += [
            row(f"step, {name}", found[name]["seconds"], "s", found[plain]["seconds"], f"plain; {conditions}"),
            row(
                f"peak memory, {name}",
                found[name]["bytes"] / 2**20,
                "MiB",
                found[plain]["bytes"] / 2**20,
                f"plain; {conditions}",
            ),
            row(
                f"gradient, {name}",
                change,
                "",
                conditions=f"norm of the difference from plain, relative; < {_ALLOWED:g}",
            ),
        ]
    return rows


def train(
    device: str,
    correlation: str,
    checkpointing: bool,
    crop: tuple[int, int],
    batch: int,
    iters: int,
    steps: int,
    gradients: str,
) -> dict[str, float]:
    """Train for some steps and write the gradient of the first one to a file.

    Returns:
        ``seconds`` of a step, and ``bytes`` at the peak beyond those before the first step.
    """
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = False
    options = MatchOptions(correlation=correlation, checkpointing=checkpointing)
    module = RefineModule("raft_small", str(weights()), iters=iters, matching=options).to(device)
    optimizer = torch.optim.AdamW(module.student.parameters(), lr=module.learning_rate)
    video = frames("camel.mp4", 60, batch + 1, device)[..., : crop[0], : crop[1]]
    a, b = video[:-1], video[1:]
    target = 4 * torch.randn(batch, 2, 1, 1, device=device).expand(-1, -1, *crop)
    valid = torch.ones(batch, 1, *crop, dtype=torch.bool, device=device)

    def step() -> None:
        optimizer.zero_grad()
        module.loss(module.student.flow_sequence(a, b, iters), target, valid, module.gamma).backward()
        optimizer.step()

    peak = peak_of(step, device)
    parameters = [p.grad.flatten() for p in module.student.parameters() if p.grad is not None]
    torch.save(torch.cat(parameters).cpu(), gradients)
    return {"seconds": sum(seconds_of(step, device) for _ in range(steps)) / steps, "bytes": peak}
