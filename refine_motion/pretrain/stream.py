"""The endless stream as training sees it: step after step a batch of new scenes, whatever process makes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from refine_motion.errors import ConfigError
from refine_motion.training.stream import ENDLESS, numbered_batch

_LEAST = 64


@dataclass(frozen=True)
class Stage:
    """What the samples are like from one step on.

    Attributes:
        start: the optimiser step that it begins with.
        size: ``(H, W)`` of a sample in pixels.
        batch_size: samples per step and process.
        max_speed: bound of the motion in pixels, as the renderer takes it: the fastest points stay far below.
        iters: iterations of the model; with 0 a model of tracks learns its features alone.
        points: followed in each clip; 0 takes that of the data module.
    """

    start: int
    size: tuple[int, int]
    batch_size: int
    max_speed: float
    iters: int
    points: int = 0

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: a value is out of range.
        """
        if self.start < 0 or min(self.size) < _LEAST or self.batch_size < 1 or self.max_speed <= 0:
            raise ConfigError(
                f"data.stages: size must be at least {_LEAST} pixels on each side, batch_size at least 1, max_speed "
                f"positive and start not negative; got {self}"
            )
        if self.iters < 0 or self.points < 0:
            raise ConfigError(f"data.stages: iters and points must not be negative, got {self}")

    def plain(self) -> dict[str, Any]:
        """The fields by name, as JSON can hold them; without ``points`` where there are none."""
        return {name: value for name, value in vars(self).items() if name != "points" or value}


def check_stages(stages: Sequence[Stage]) -> None:
    """Refuse stages that leave a step without one.

    Raises:
        ConfigError: the first does not begin with step 0, or they are not in order.
    """
    starts = [stage.start for stage in stages]
    if not starts or starts[0] != 0 or starts != sorted(set(starts)):
        raise ConfigError(f"data.stages: `start` must rise from 0, got {starts}")


def samples_before(stages: Sequence[Stage], step: int) -> int:
    """How many samples one process has taken before a step."""
    total = 0
    for stage, after in zip(stages, [*(s.start for s in stages[1:]), ENDLESS], strict=True):
        total += stage.batch_size * (max(stage.start, min(step, after)) - stage.start)
    return total


class StepBatches(Dataset[dict[str, Any]]):
    """Item k is the whole batch of step k: samples number ``k B`` to ``k B + B - 1`` where the batch size is B.

    The samples of a step are dealt to the processes in turn, so that none is taken twice.

    Args:
        stages: as :func:`check_stages` wants them.
        seed: of augmentation.
        source: the samples of a stage, without end.
        processes: number of training processes.
        rank: number of this one.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        seed: int,
        source: Callable[[Stage], Dataset[dict[str, Tensor]]],
        processes: int = 1,
        rank: int = 0,
    ):
        self.stages, self.seed, self.processes, self.rank = list(stages), seed, processes, rank
        self.sources = [source(stage) for stage in stages]

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, step: int) -> dict[str, Any]:
        """The batch of one step of this process.

        Returns:
            What the source gives, stacked; ``seed`` and ``number`` ``(B,)`` int64 of each sample; ``iters`` of
            the stage.
        """
        place = max(n for n, stage in enumerate(self.stages) if stage.start <= step)
        stage = self.stages[place]
        first = samples_before(self.stages, step) * self.processes + self.rank
        numbers = [first + self.processes * n for n in range(stage.batch_size)]
        return {**numbered_batch(self.sources[place], numbers, self.seed), "iters": stage.iters}
