"""An endless stream of numbered samples as training sees it: step after step a batch, whatever process makes it.

Step k takes the samples that follow those of step k - 1, so a training that goes on at step k sees none twice and
leaves none out.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

ENDLESS = 2**40
# Scenes of this seed are for measuring alone: no training may take it.
HELD_OUT_SEED = 900_900_900
# Batches that each worker makes before they are asked for.
_AHEAD = 4


def sample_seed(seed: int, number: int, kind: str = "") -> int:
    """Seed of what is drawn for one sample, or for the ``number``-th of another kind of thing."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}{kind}".encode()).digest()[:8], "little") >> 1


def numbered_batch(source: Dataset[dict[str, Tensor]], numbers: Sequence[int], seed: int) -> dict[str, Any]:
    """Samples as a batch.

    Args:
        source: of the samples.
        numbers: of the samples, B of them.
        seed: of the run.

    Returns:
        What the source gives, stacked; ``seed`` and ``number`` ``(B,)`` int64 of each sample.
    """
    items = [source[number] for number in numbers]
    return {
        **{key: torch.stack([item[key] for item in items]) for key in items[0]},
        "number": torch.tensor(numbers),
        "seed": torch.tensor([sample_seed(seed, number) for number in numbers]),
    }


class Batches(Dataset[dict[str, Any]]):
    """Item k is the whole batch of step k: samples number ``k B`` to ``k B + B - 1`` where the batch size is B.

    The samples of a step are dealt to the processes in turn, so that none is taken twice.

    Args:
        source: of the samples, without end.
        batch_size: samples per step and process.
        seed: of augmentation.
        processes: number of training processes.
        rank: number of this one.
    """

    def __init__(
        self, source: Dataset[dict[str, Tensor]], batch_size: int, seed: int, processes: int = 1, rank: int = 0
    ):
        self.source, self.batch_size, self.seed = source, batch_size, seed
        self.processes, self.rank = processes, rank

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, step: int) -> dict[str, Any]:
        """The batch of one step of this process.

        Returns:
            See :func:`numbered_batch`; and ``step_seed``, a seed that all processes share.
        """
        first = step * self.batch_size * self.processes + self.rank
        numbers = [first + self.processes * n for n in range(self.batch_size)]
        batch = numbered_batch(self.source, numbers, self.seed)
        return {**batch, "step_seed": sample_seed(self.seed, step, "step")}


class StepOrder(DistributedSampler[int]):
    """Steps from where the training stands, without end.

    Lightning leaves a sampler of this class alone, also under several processes.

    Args:
        dataset: the batches.
        begin: tells, when an iteration starts, the step to go on with.
    """

    def __init__(self, dataset: Dataset[dict[str, Any]], begin: Callable[[], int]):
        super().__init__(dataset, num_replicas=1, rank=0, shuffle=False)
        self.begin = begin

    def __iter__(self) -> Iterator[int]:
        """Numbers of steps."""
        return itertools.count(self.begin())


def step_loader(
    batches: Dataset[dict[str, Any]], trainer: Trainer | None, num_workers: int
) -> DataLoader[dict[str, Any]]:
    """A batch per step, from the trainer's present step on, some made ahead.

    Args:
        batches: item k is the batch of step k.
        trainer: of the training; None begins with step 0.
        num_workers: processes that make them.
    """
    return DataLoader(
        batches,
        batch_size=None,
        sampler=StepOrder(batches, lambda: 0 if trainer is None else trainer.global_step),
        num_workers=num_workers,
        prefetch_factor=_AHEAD if num_workers else None,
        persistent_workers=num_workers > 0,
        pin_memory=trainer is not None and num_workers > 0 and trainer.strategy.root_device.type == "cuda",
    )
