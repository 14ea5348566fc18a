"""Source domains to replay during refinement: a folder with true flow, or procedural pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from refine_motion.benchmarks.pairs import find_pairs, read_pair
from refine_motion.benchmarks.synthetic.stream import FlowPairs
from refine_motion.errors import ConfigError
from refine_motion.labels.source_domain import SourceDomain


class FlowFolder(SourceDomain):
    """The frame pairs with true flow of a folder, in any layout that :func:`find_pairs` knows.

    Args:
        root: the folder.

    Raises:
        BenchmarkError: it holds no true flow.
        ConfigError: it holds a single pair, which cannot both be learnt from and tell what is forgotten.
    """

    def __init__(self, root: str):
        self.pairs = find_pairs(root)
        if len(self.pairs) < 2:
            raise ConfigError(f"data.replay: {root} holds one pair with true flow; at least two are needed")

    def __len__(self) -> int:
        return len(self.pairs)

    def scene(self, number: int) -> str:
        """The sequence of the pair."""
        return self.pairs[number].sequence

    def example(self, number: int) -> dict[str, Tensor]:
        """See :class:`SourceDomain`."""
        a, b, flow, valid = read_pair(self.pairs[number])
        if flow.ndim == 4:
            # Spring has four true vectors a pixel.
            flow = flow.mean(dim=0)
        # Unknown flow is stored as huge or infinite numbers, which no mask takes out of a product.
        flow = torch.where(valid, flow, 0.0)
        return {"image_a": a, "image_b": b, "flow": flow, "valid": valid[None]}


class ProceduralPairs(SourceDomain):
    """Procedural pairs with exact flow, drawn anew from their number each time.

    Args:
        count: number of different pairs.
        size: ``(H, W)`` in pixels.
        max_speed: no point moves farther, in pixels, and most far less; None takes the bound of the ``source`` domain.
        seed: another seed makes other pairs.
    """

    def __init__(
        self, count: int = 10_000, size: tuple[int, int] = (256, 320), max_speed: float | None = None, seed: int = 0
    ):
        if count < 2:
            raise ConfigError(f"data.replay: count must be at least 2, got {count}")
        self.made = FlowPairs(count, size, max_speed=max_speed, seed=seed)

    def __len__(self) -> int:
        return len(self.made)

    def example(self, number: int) -> dict[str, Tensor]:
        """See :class:`SourceDomain`."""
        return self.made[number]
