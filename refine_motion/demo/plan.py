"""How much of everything one demonstration has; the recipe is that of ``configs/refine/flow.yaml``."""

from __future__ import annotations

from dataclasses import dataclass

from refine_motion.errors import ConfigError

DEFAULT_MINUTES = 8.0
LEAST_MINUTES = 3.5
# What is not training takes, whatever the time: rendering, labels, choice, scores and page; and the steps of a
# minute. Both are of two CPU cores, on which the times in the README were measured.
_FIXED_MINUTES = 3.0
_STEPS_PER_MINUTE = 88


class MadeClips:
    """Which scenes a demonstration of any task is made of; the plan of each task documents them."""

    domain: str
    seed: int
    clips: int
    held_out: int
    frames: int
    size: tuple[int, int]

    @property
    def learnt_seeds(self) -> list[int]:
        """Seeds of the scenes to learn from; no demonstration holds one of them out."""
        return [1000 + 100 * self.seed + number for number in range(self.clips)]

    @property
    def held_out_seeds(self) -> list[int]:
        """Seeds of the scenes to be judged by."""
        return [500_000 + 100 * self.seed + number for number in range(self.held_out)]


@dataclass(frozen=True)
class DemoPlan(MadeClips):
    """One demonstration.

    Attributes:
        domain: target domain, a name in :data:`refine_motion.benchmarks.synthetic.domains.DOMAINS`.
        seed: of scenes and training.
        minutes: about how long it may take on two CPU cores.
        weights: what is refined: a path or a name, as of ``load_model``.
        size: height and width of the clips in pixels.
        clips: clips to learn from, without truth.
        held_out: clips with truth, which nothing is learnt from.
        frames: of each clip.
        pairs: frame pairs with truth in each held-out clip.
        label_iters: iterations of the teacher.
        label_views: how the teacher sees the frames.
        iters: iterations of the student, and of both models when they are scored.
        batch_size: samples of a step, whole frames.

    Raises:
        ConfigError: too little time for anything to be learnt.
    """

    domain: str
    seed: int = 0
    minutes: float = DEFAULT_MINUTES
    weights: str = "embedded"
    size: tuple[int, int] = (192, 256)
    clips: int = 6
    held_out: int = 6
    frames: int = 9
    pairs: int = 3
    label_iters: int = 12
    label_views: tuple[str, ...] = ("1x flip", "1.5x", "1.5x flip", "2x", "2x flip")
    iters: int = 12
    batch_size: int = 2

    def __post_init__(self) -> None:
        if not self.minutes >= LEAST_MINUTES:
            raise ConfigError(f"--minutes {self.minutes:g}: at least {LEAST_MINUTES:g} are needed to learn anything")

    @property
    def steps(self) -> int:
        """Optimiser steps for which there is time."""
        return round((self.minutes - _FIXED_MINUTES) * _STEPS_PER_MINUTE)
