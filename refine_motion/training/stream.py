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
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

ENDLESS = 2**40


def sample_seed(seed: int, number: int) -> int:
    """Seed of the augmentation of one sample."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:8], "little") >> 1


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
        """The batch of one step of this process, see :func:`numbered_batch`."""
        first = step * self.batch_size * self.processes + self.rank
        numbers = [first + self.processes * n for n in range(self.batch_size)]
        return numbered_batch(self.source, numbers, self.seed)


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
