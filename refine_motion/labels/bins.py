"""Labels sorted into bins by one kind of evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.labels.label import Label
from refine_motion.labels.select import SPEED_EDGES, ascending

Quantity = Literal["speed", "relative", "gradient", "boundary"]
_QUANTITIES: dict[str, tuple[Callable[[Label], Tensor], tuple[float, ...]]] = {
    "speed": (lambda label: label.evidence.speed, SPEED_EDGES),
    "relative": (lambda label: torch.hypot(*label.relative.T), (1.0, 3.0, 10.0, 30.0)),
    "gradient": (lambda label: label.evidence.gradient, (1.0, 4.0, 16.0)),
    "boundary": (lambda label: label.evidence.boundary, (0.5,)),
}


class Bins:
    """Bins of one kind of evidence.

    Args:
        rule: who asks, for messages.
        by: ``speed``, ``relative`` (speed against the dominant motion), ``gradient`` (texture) or ``boundary`` (near a
            motion boundary or not).
        edges: inner bin edges in the unit of the evidence, ascending; None takes those that suit it.

    Raises:
        ConfigError: there is no such evidence, or the edges do not ascend.
    """

    def __init__(self, rule: str, by: Quantity, edges: Sequence[float] | None = None):
        if by not in _QUANTITIES:
            raise ConfigError(f"{rule}: by must be one of {', '.join(_QUANTITIES)}, got {by!r}")
        self.by = by
        self.edges = ascending(rule, _QUANTITIES[by][1] if edges is None else edges)

    def __len__(self) -> int:
        return len(self.edges) + 1

    def of(self, label: Label) -> Tensor:
        """``(N,)`` int64, the bin of each label; what lies on an edge belongs to the upper one."""
        return torch.bucketize(_QUANTITIES[self.by][0](label), torch.tensor(self.edges), right=True)
