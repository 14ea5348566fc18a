"""What is made or known elsewhere and learnt from: pairs with true flow to replay, and procedural clips."""

from __future__ import annotations

import torch
from torch import Tensor

from refine_motion.benchmarks.pairs import find_pairs, read_pair
from refine_motion.benchmarks.synthetic.domains import domain as domain_named
from refine_motion.benchmarks.synthetic.stream import Clips, FlowPairs
from refine_motion.errors import ConfigError
from refine_motion.labels.source_domain import SourceDomain
from refine_motion.training.clip_source import ClipSource
from refine_motion.training.stream import ENDLESS, HELD_OUT_SEED


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


class ProceduralClips(ClipSource):
    """Clips of procedural scenes, a new scene for each.

    Args:
        domain: of the procedural worlds, by name.
        max_speed: no point moves farther from one frame to the next, in pixels, and most far less.

    Raises:
        ConfigError: there is no such domain, or the speed is not positive.
    """

    def __init__(self, domain: str = "source", max_speed: float = 24.0):
        if not max_speed > 0:
            raise ConfigError(f"data.made: max_speed must be positive, got {max_speed}")
        self.domain, self.max_speed = domain_named(domain).name, max_speed

    def training(self, frames: int, size: tuple[int, int], seed: int) -> Clips:
        """See :meth:`ClipSource.training`.

        Raises:
            ConfigError: the seed is that of the held-out scenes.
        """
        if seed == HELD_OUT_SEED:
            raise ConfigError(f"seed {seed} is that of the held-out scenes; take another")
        return Clips(ENDLESS, size, frames, self.max_speed, seed, self.domain)

    def held_out(self, frames: int, size: tuple[int, int], count: int) -> Clips:
        """See :meth:`ClipSource.held_out`."""
        return Clips(count, size, frames, self.max_speed, HELD_OUT_SEED, self.domain)
