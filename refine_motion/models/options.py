"""How a model matches frames: choices of memory, speed and precision that leave its weights alone."""

from __future__ import annotations

from dataclasses import dataclass

from refine_motion.errors import ConfigError

CORRELATIONS = ("auto", "all_pairs", "on_demand")
CORRELATION_DTYPES = ("float32", "autocast")


@dataclass(frozen=True)
class MatchOptions:
    """Options of :class:`refine_motion.models.base.FlowModel`; a model without such a choice ignores them.

    Attributes:
        correlation: ``all_pairs`` keeps the correlation of every position with every other (fast, memory quadratic in
            the number of pixels), ``on_demand`` computes what is looked up (memory linear), ``auto`` takes the first
            where it fits ``memory_limit``.
        memory_limit: GiB that all pairs may take in ``auto``. The choice follows from sizes alone, so that results do
            not depend on what else is in memory.
        correlation_dtype: of the correlation product: ``float32``, or that of ``autocast`` where it is on. Look-ups
            and coordinates are float32 in any case.
        checkpointing: in training, keep no activations inside an iteration and compute them again on the way back.
    """

    correlation: str = "auto"
    memory_limit: float = 2.0
    correlation_dtype: str = "float32"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: an unknown choice or a limit that is not positive.
        """
        for name, known in (("correlation", CORRELATIONS), ("correlation_dtype", CORRELATION_DTYPES)):
            if getattr(self, name) not in known:
                raise ConfigError(f"matching.{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.memory_limit <= 0:
            raise ConfigError(f"matching.memory_limit must be positive, got {self.memory_limit}")
