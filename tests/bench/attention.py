"""Restricted against full attention at 480x854 and stride 4, each in a process of its own.

Labels of five objects are copied from one frame, without gradients as in propagation; then the weights of restricted
attention with gradients, as in training, at several radii: their memory must grow with the window, not with its square.
"""

from __future__ import annotations

import torch

from refine_motion.motion.attention import Attention
from refine_motion.motion.full_attention import FullAttention
from refine_motion.motion.local_attention import LocalAttention
from tests.bench.child import in_child
from tests.bench.meter import peak_of, seconds_of
from tests.bench.results import Row, row

_CELLS, _CHANNELS, _LABELS = (120, 214), 64, 6
_RADII = (6, 12)
# More than so many times what the window has grown by is not linear.
_ALLOWED = 1.25


def measure(device: str, out: str, cells: tuple[int, int] = _CELLS, radii: tuple[int, int] = _RADII) -> list[Row]:
    """Seconds and peak memory.

    Args:
        device: ``cpu`` or ``cuda``.
        out: not used.
        cells: rows and columns of the features.
        radii: of the restricted attention, in cells.

    Raises:
        ValueError: memory grows faster than the window.
    """
    size = f"{cells[0]}x{cells[1]} cells"
    full = in_child(copy, device=device, cells=cells, radius=None)
    rows: list[Row] = []
    for radius in radii:
        local = in_child(copy, device=device, cells=cells, radius=radius)
        conditions = f"R = {radius}, {size}, one reference; against full attention"
        rows += [
            row(f"time of copying labels, R = {radius}", local["seconds"], "s", full["seconds"], conditions),
            row(f"memory of copying labels, R = {radius}", _mib(local), "MiB", _mib(full), conditions, wanted=10),
        ]
    trained = {radius: in_child(learn, device=device, cells=cells, radius=radius) for radius in radii}
    small, large = (trained[radius] for radius in radii)
    window = ((2 * radii[1] + 1) / (2 * radii[0] + 1)) ** 2
    growth = large["bytes"] / small["bytes"]
    if growth > _ALLOWED * window:
        raise ValueError(f"memory grew {growth:.1f} times where the window has {window:.1f} times as many cells")
    for radius, one in trained.items():
        rows.append(
            row(f"time with gradients, R = {radius}", one["seconds"], "s", conditions=f"{size}, there and back")
        )
    told = f"R = {radii[1]} against {radii[0]}: the window has {window:.1f} times as many cells"
    rows.append(row(f"memory with gradients, R = {radii[1]}", _mib(large), "MiB", _mib(small), told))
    return rows


def copy(device: str, cells: tuple[int, int], radius: int | None) -> dict[str, float]:
    """``seconds`` and ``bytes`` of copying labels by restricted attention, or by full one where there is no radius."""
    target, reference, labels = _inputs(device, cells)
    attention: Attention = FullAttention() if radius is None else LocalAttention(radius=radius)

    @torch.no_grad()
    def work() -> None:
        attention.attend(target, reference, labels)

    return {"bytes": peak_of(work, device), "seconds": seconds_of(work, device)}


def learn(device: str, cells: tuple[int, int], radius: int) -> dict[str, float]:
    """``seconds`` and ``bytes`` of copying labels and of the gradient of the features."""
    target, reference, labels = _inputs(device, cells)
    attention = LocalAttention(radius=radius)

    def work() -> None:
        features = target.clone().requires_grad_()
        attention.copy(attention.weights(features, reference), labels).square().sum().backward()

    return {"bytes": peak_of(work, device), "seconds": seconds_of(work, device)}


def _inputs(device: str, cells: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, _CHANNELS, *cells, generator=generator)
    labels = torch.rand(1, 1, _LABELS, *cells, generator=generator).softmax(dim=2)
    return maps[:1].to(device), maps[None, 1:].to(device), labels.to(device)


def _mib(found: dict[str, float]) -> float:
    return found["bytes"] / 2**20
