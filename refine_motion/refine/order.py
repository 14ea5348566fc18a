"""In which order samples come: windows shuffled, the same over any number of processes, resumable at any batch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset, DistributedSampler

from refine_motion.labels.store import PairKey
from refine_motion.labels.store_base import FrameKey


class PairRequest(NamedTuple):
    """One sample of one epoch; the epoch travels with the number, since workers do not know it.

    Attributes:
        epoch: from 0.
        number: of the labelled pair, or of the example where ``replayed``.
        replayed: whether it comes from the source domain.
    """

    epoch: int
    number: int
    replayed: bool = False


def sample_seed(run_seed: int, epoch: int, key: FrameKey) -> int:
    """Seed of all random choices for one sample of one epoch, whatever worker, process or batch it falls to."""
    digest = hashlib.sha256(f"{run_seed}:{epoch}:{key.digest}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class WindowShuffle(DistributedSampler[Any]):
    """Windows in random order, the pairs of a window together, so that a batch reads few windows; every pair once.

    The order is one for all processes, and each step of it is divided among them: two processes with batches of 4 see
    the same samples in the same step as one with batches of 8. Lightning leaves a DistributedSampler alone and tells it
    the epoch, in one process as in several.

    Args:
        dataset: what to sample from.
        windows: of each sample, the number of its window.
        batch_size: samples per step and process.
        processes: number of training processes.
        rank: number of this one.
        seed: run seed.
        replay: numbers of the source domain's examples to mix in; each epoch takes others of them.
        replay_share: share of them among all samples, in [0, 1).
        begin: tells, when an iteration starts, its epoch and how many batches of it are done already; without it, the
            epoch that was set, from its start. Lightning's own count of epochs will not do: a training that goes on
            from the end of an epoch passes an empty one.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        windows: Sequence[int],
        batch_size: int,
        processes: int = 1,
        rank: int = 0,
        seed: int = 0,
        replay: Sequence[int] = (),
        replay_share: float = 0.0,
        begin: Callable[[], tuple[int, int]] | None = None,
    ):
        super().__init__(dataset, num_replicas=processes, rank=rank, seed=seed)
        self.of_window: dict[int, list[int]] = {}
        for number, window in enumerate(windows):
            self.of_window.setdefault(window, []).append(number)
        self.batch_size, self.replay, self.begin = batch_size, replay, begin
        self.per_label = replay_share / (1 - replay_share) if replay else 0.0
        self.count = len(windows) + math.floor(len(windows) * self.per_label)
        self.total_size = math.ceil(self.count / processes) * processes
        self.num_samples = self.total_size // processes

    def __iter__(self) -> Iterator[Any]:
        """Requests of this process for one epoch, or for the rest of it."""
        epoch, done = (self.epoch, 0) if self.begin is None else self.begin()
        requests = self._requests(epoch)
        # Processes must take equally many steps, so the first samples fill the last round up.
        requests = (requests * math.ceil(self.total_size / len(requests)))[: self.total_size]
        together = self.batch_size * self.num_replicas
        mine = []
        for start in range(0, len(requests), together):
            step = requests[start : start + together]
            share = len(step) // self.num_replicas
            mine += step[self.rank * share : (self.rank + 1) * share]
        return iter(mine[done * self.batch_size :])

    def _requests(self, epoch: int) -> list[PairRequest]:
        """Those of all processes."""
        generator = torch.Generator().manual_seed(sample_seed(self.seed, epoch, PairKey("order", 0, 0)))
        order = torch.randperm(len(self.of_window), generator=generator).tolist()
        requests = []
        labels = replayed = 0
        for window in order:
            for number in self.of_window[window]:
                requests.append(PairRequest(epoch, number))
                labels += 1
                while replayed < math.floor(labels * self.per_label):
                    # Spread over the examples by the golden ratio's multiples: none twice before most were seen.
                    place = (epoch * self.count + replayed) * 0.6180339887498949 % 1.0
                    requests.append(PairRequest(epoch, self.replay[int(place * len(self.replay))], True))
                    replayed += 1
        return requests


class HeldOutOrder(DistributedSampler[Any]):
    """Each sample once over all processes, which take equally many: what fills the last round up comes as ``-1 - n``.

    Processes with unequal numbers of steps would wait for one another for ever, and a sample that is measured twice
    would count twice.

    Args:
        dataset: what to sample from.
        processes: number of processes.
        rank: number of this one.
    """

    def __init__(self, dataset: Dataset[Any], processes: int, rank: int):
        super().__init__(dataset, num_replicas=processes, rank=rank, shuffle=False)

    def __iter__(self) -> Iterator[Any]:
        """Numbers of this process."""
        count = len(self.dataset)  # type: ignore[arg-type]
        numbers = [number if number < count else -1 - number % count for number in range(self.total_size)]
        return iter(numbers[self.rank :: self.num_replicas])
