"""The one-cycle learning rate with linear ramps that RAFT and its refinement are trained with."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

# The ramps of torch's OneCycleLR start at the peak over this and end near zero.
_START = 25.0


def one_cycle(optimizer: Optimizer, steps: int, warmup: float) -> LambdaLR:
    """Learning rate that rises to the optimiser's own value, then falls to zero, both linearly.

    Unlike torch's OneCycleLR it takes any number of steps, and a resumed run may have more of them.

    Args:
        optimizer: its learning rate is the peak.
        steps: length of the cycle.
        warmup: share of the cycle in which it rises, in [0, 1).
    """
    rise = warmup * steps

    def factor(step: int) -> float:
        if step < rise:
            return (1 + (_START - 1) * step / rise) / _START
        return max(0.0, (steps - step) / max(1.0, steps - rise))

    return LambdaLR(optimizer, factor)
