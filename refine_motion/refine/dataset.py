"""Labelled frame pairs as training and validation samples."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from refine_motion.labels.select import LabelFilter, select
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.windows import PairWindow
from refine_motion.video.reader import read_frames


class PairRequest(NamedTuple):
    """One sample of one epoch; the epoch travels with the number, since workers do not know it."""

    epoch: int
    number: int


def sample_seed(run_seed: int, epoch: int, key: PairKey) -> int:
    """Seed of all random choices for one sample of one epoch, whatever worker, process or batch it falls to."""
    digest = hashlib.sha256(f"{run_seed}:{epoch}:{key.digest}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@dataclass(frozen=True)
class Source:
    """What both kinds of samples are cut from.

    Attributes:
        windows: windows with labelled pairs.
        store: their labels.
        filters: applied to every label as it is read.
        crop: ``(H, W)`` of a sample in pixels.
        seed: run seed.
    """

    windows: Sequence[PairWindow]
    store: LabelStore
    filters: Sequence[LabelFilter]
    crop: tuple[int, int]
    seed: int

    def locate(self) -> list[tuple[int, int]]:
        """``(window, pair in it)`` of every sample, in order."""
        return [(w, p) for w, window in enumerate(self.windows) for p in range(len(window.pairs))]

    def read(self, samples: Sequence[tuple[int, int]]) -> list[tuple[PairKey, dict[str, Any]]]:
        """Whole frames and labels of some samples; each window is read once.

        Returns:
            Key, and ``image_a``, ``image_b`` ``(3, H, W)`` uint8, ``flow (2, H, W)`` in pixels, ``valid (1, H, W)``.

        Raises:
            VideoError: frames cannot be read.
            LabelError: a label is missing or damaged.
        """
        frames: dict[int, dict[int, Tensor]] = {}
        for w in {w for w, _ in samples}:
            window = self.windows[w]
            positions = sorted({position for s, p in samples if s == w for position in window.pairs[p]})
            read = read_frames(window.clip.video, [window.clip.frames[position] for position in positions])
            frames[w] = dict(zip(positions, read, strict=True))
        found = []
        for w, p in samples:
            window = self.windows[w]
            a, b = window.pairs[p]
            key = window.pair_keys()[p]
            label = self.store.read(key)
            flow, valid = label.keep(select(self.filters, label.evidence, sample_seed(self.seed, 0, key))).dense()
            found.append((key, {"image_a": frames[w][a], "image_b": frames[w][b], "flow": flow, "valid": valid}))
        return found


class LabelledPairs(Dataset[dict[str, Any]]):
    """Samples by number; a batch is read at once, so that each window is read once for all its pairs.

    Args:
        source: what to cut from.
    """

    def __init__(self, source: Source):
        self.source = source
        self.samples = source.locate()

    def __len__(self) -> int:
        return len(self.samples)


class TrainingPairs(LabelledPairs):
    """Random crops, one per pair and epoch."""

    def __getitems__(self, requests: Sequence[PairRequest]) -> list[dict[str, Any]]:
        """Samples of one batch: the four maps cropped, and ``seed``, which also serves the augmentation."""
        read = self.source.read([self.samples[request.number] for request in requests])
        items = []
        for request, (key, maps) in zip(requests, read, strict=True):
            seed = sample_seed(self.source.seed, request.epoch, key)
            u, v = torch.rand(2, generator=torch.Generator().manual_seed(seed ^ 1), dtype=torch.float64).tolist()
            items.append(crop_maps(maps, self.source.crop, u, v) | {"seed": seed})
        return items


class HeldOutPairs(LabelledPairs):
    """Centre crops."""

    def __getitems__(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Samples of one batch: the four maps cropped."""
        read = self.source.read([self.samples[number] for number in numbers])
        return [crop_maps(maps, self.source.crop, 0.5, 0.5) for _, maps in read]


def crop_maps(maps: dict[str, Tensor], size: tuple[int, int], u: float, v: float) -> dict[str, Tensor]:
    """Cut the same window from all maps; what is smaller is padded, images by their edge, labels as unknown.

    Args:
        maps: ``(C, H, W)`` each; ``flow`` and ``valid`` are the labels.
        size: ``(h, w)`` wanted.
        u: vertical place of the window, 0 at the top to 1 at the bottom.
        v: horizontal place, 0 at the left to 1 at the right.
    """
    height, width = maps["valid"].shape[-2:]
    top = round(u * max(0, height - size[0]))
    left = round(v * max(0, width - size[1]))
    below, right = max(0, size[0] - height), max(0, size[1] - width)
    cut = {name: m[..., top : top + size[0], left : left + size[1]] for name, m in maps.items()}
    if not (below or right):
        return cut
    padding = (0, right, 0, below)
    return {
        name: F.pad(m, padding) if name in ("flow", "valid") else F.pad(m[None].float(), padding, "replicate")[0].byte()
        for name, m in cut.items()
    }


class WindowShuffle(DistributedSampler[Any]):
    """Windows in random order, the pairs of a window together, so that a batch reads few windows; every pair once.

    Lightning leaves a DistributedSampler alone and tells it the epoch, in one process as in several.

    Args:
        dataset: what to sample from.
        processes: number of training processes.
        rank: number of this one.
        seed: run seed.
    """

    def __init__(self, dataset: TrainingPairs, processes: int, rank: int, seed: int):
        super().__init__(dataset, num_replicas=processes, rank=rank, seed=seed)
        self.of_window: dict[int, list[int]] = {}
        for number, (window, _) in enumerate(dataset.samples):
            self.of_window.setdefault(window, []).append(number)

    def __iter__(self) -> Iterator[Any]:
        """Requests of this process for the epoch that was set."""
        generator = torch.Generator().manual_seed(sample_seed(self.seed, self.epoch, PairKey("order", 0, 0)))
        order = torch.randperm(len(self.of_window), generator=generator).tolist()
        numbers = [number for window in order for number in self.of_window[window]]
        # Processes must take equally many steps, so the first samples fill the last round up.
        numbers = (numbers * math.ceil(self.total_size / len(numbers)))[: self.total_size]
        share = self.total_size // self.num_replicas
        mine = numbers[self.rank * share : (self.rank + 1) * share]
        return iter([PairRequest(self.epoch, number) for number in mine])
