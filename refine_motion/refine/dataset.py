"""Labelled frame pairs as training and validation samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.opened import evenly
from refine_motion.labels.source_domain import SourceDomain
from refine_motion.labels.store import PairKey
from refine_motion.labels.weighted import WeightedLabels, dense
from refine_motion.labels.windows import PairWindow
from refine_motion.refine.made_motion import random_pair
from refine_motion.refine.order import PairRequest, sample_seed
from refine_motion.video.reader import read_frames


@dataclass(frozen=True)
class Source:
    """What both kinds of samples are cut from.

    Attributes:
        windows: windows with labelled pairs.
        labels: their labels and weights.
        crop: ``(H, W)`` of a sample in pixels, at most.
        seed: run seed.
        region: of a frame size ``(H, W)``, where labels count, ``(H, W)`` bool; None is everywhere.
    """

    windows: Sequence[PairWindow]
    labels: WeightedLabels[PairKey, FlowLabel]
    crop: tuple[int, int]
    seed: int
    region: Callable[[tuple[int, int]], Tensor] | None = None

    def locate(self) -> list[tuple[int, int]]:
        """``(window, pair in it)`` of every sample, in order."""
        return [(w, p) for w, window in enumerate(self.windows) for p in range(len(window.pairs))]

    def read(self, samples: Sequence[tuple[int, int]]) -> list[tuple[PairKey, dict[str, Tensor]]]:
        """Whole frames and labels of some samples; each window is read once.

        Returns:
            Key, and ``image_a``, ``image_b`` ``(3, H, W)`` uint8, ``flow (2, H, W)`` in pixels, ``weight (1, H, W)``
            float32 of the labels, and ``region (1, H, W)`` bool, where they count.

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
            key = window.label_keys()[p]
            label, weights = self.labels.read(key, sample_seed(self.seed, 0, key))
            flow, weight = dense(label, weights)
            size = label.size
            region = (torch.ones(size, dtype=torch.bool) if self.region is None else self.region(size))[None]
            maps = {"image_a": frames[w][a], "image_b": frames[w][b], "flow": flow, "weight": weight * region}
            found.append((key, maps | {"region": region}))
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
    """Random crops, one per pair and epoch, and of the source domain's examples as they are asked for.

    Args:
        source: what to cut from.
        replay: examples with true flow from the source domain.
        candidates: places that are drawn for each crop; see :func:`choose_place`.
        made_share: share of the samples that have made motion instead of their own; see :func:`random_pair`.
    """

    def __init__(
        self, source: Source, replay: SourceDomain | None = None, candidates: int = 1, made_share: float = 0.0
    ):
        super().__init__(source)
        self.replay = replay
        self.candidates = candidates
        self.made_share = made_share

    def __getitems__(self, requests: Sequence[PairRequest]) -> list[dict[str, Any]]:
        """Samples of one batch: the four maps cropped, ``seed`` (for the augmentation too), ``epoch`` and ``clip``."""
        read = iter(self.source.read([self.samples[r.number] for r in requests if not r.replayed]))
        return [
            self._replayed(request) if request.replayed else self._labelled(request, *next(read))
            for request in requests
        ]

    def _labelled(self, request: PairRequest, key: PairKey, maps: dict[str, Tensor]) -> dict[str, Any]:
        window, _ = self.samples[request.number]
        video = self.source.windows[window].clip.video.path
        clip = f"{video} (frames {key.frame_a} and {key.frame_b})"
        seed = sample_seed(self.source.seed, request.epoch, key)
        chance = torch.rand(1, generator=torch.Generator().manual_seed(seed ^ 2)).item()
        if chance < self.made_share:
            made = random_pair(maps["image_a"], seed ^ 3)
            images = {"image_a": made.image_a[0], "image_b": made.image_b[0]}
            maps = images | {"flow": made.flow[0], "weight": made.known.float()}
        return self._crop(maps, request.epoch, key, clip)

    def _replayed(self, request: PairRequest) -> dict[str, Any]:
        if self.replay is None:
            raise ValueError("an example of the source domain was asked for, but there is no source domain")
        key = PairKey("source domain", request.number, 0)
        clip = f"example {request.number} of the source domain"
        return self._crop(_source_maps(self.replay, request.number), request.epoch, key, clip)

    def _crop(self, maps: dict[str, Tensor], epoch: int, key: PairKey, clip: str) -> dict[str, Any]:
        seed = sample_seed(self.source.seed, epoch, key)
        maps = {name: maps[name] for name in ("image_a", "image_b", "flow", "weight")}
        place = choose_place(maps["weight"], self.source.crop, self.candidates, seed ^ 1)
        return crop_maps(maps, self.source.crop, *place) | {"seed": seed, "epoch": epoch, "clip": clip}


class HeldOutPairs(LabelledPairs):
    """Centre crops."""

    def __getitems__(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Samples of one batch: the five maps cropped, and ``counts``, False for what :class:`HeldOutOrder` repeats."""
        read = self.source.read([self.samples[_number(number)] for number in numbers])
        return [
            crop_maps(maps, self.source.crop, 0.5, 0.5) | {"counts": number >= 0}
            for number, (_, maps) in zip(numbers, read, strict=True)
        ]


class HeldOutSamples(LabelledPairs):
    """Whole held-out pairs, each read when it is asked for.

    Args:
        source: what they are taken from.
        limit: at most so many, evenly spread.
    """

    def __init__(self, source: Source, limit: int):
        super().__init__(source)
        self.samples = evenly(self.samples, limit)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """The five maps of :meth:`Source.read`, not cropped, and ``key``, the :class:`PairKey`."""
        ((key, maps),) = self.source.read([self.samples[number]])
        return maps | {"key": key}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """All of them in order."""
        return (self[number] for number in range(len(self)))


class SourceExamples(Dataset[dict[str, Any]]):
    """Centre crops of some of the source domain's examples, which training never sees.

    Args:
        domain: where they come from.
        numbers: which ones.
        crop: ``(H, W)`` of a sample in pixels, at most.
    """

    def __init__(self, domain: SourceDomain, numbers: Sequence[int], crop: tuple[int, int]):
        self.domain, self.numbers, self.crop = domain, numbers, crop

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The five maps, cropped, ``source``, and ``counts`` as of :class:`HeldOutPairs`."""
        maps = _source_maps(self.domain, self.numbers[_number(index)])
        return crop_maps(maps, self.crop, 0.5, 0.5) | {"source": True, "counts": index >= 0}


def _source_maps(domain: SourceDomain, number: int) -> dict[str, Tensor]:
    """An example of the source domain in the form of :meth:`Source.read`; every known pixel weighs 1."""
    example = domain.example(number)
    known = example["valid"]
    images = {name: example[name] for name in ("image_a", "image_b", "flow")}
    return images | {"weight": known.float(), "region": torch.ones_like(known)}


def _number(index: int) -> int:
    """The sample that an index of :class:`HeldOutOrder` means."""
    return index if index >= 0 else -1 - index


def choose_place(weight: Tensor, size: tuple[int, int], candidates: int, seed: int) -> tuple[float, float]:
    """Place of a crop, as :func:`crop_maps` takes it.

    Of several random places each is as likely to be taken as the labels inside it weigh: labels that were given more
    weight are seen more often, and crops without a label hardly ever.

    Args:
        weight: ``(1, H, W)`` of the labels.
        size: ``(h, w)`` of the crop.
        candidates: places to choose from, at least 1; with one, the place is uniform.
        seed: of places and choice.
    """
    generator = torch.Generator().manual_seed(seed)
    places = torch.rand(candidates, 2, generator=generator, dtype=torch.float64)
    inside = [crop_maps({"weight": weight}, size, u, v)["weight"].double().sum().item() for u, v in places.tolist()]
    likely = torch.tensor(inside, dtype=torch.float64)
    chosen = int(torch.multinomial(likely, 1, generator=generator)) if likely.any() else 0
    return places[chosen, 0].item(), places[chosen, 1].item()


def crop_maps(maps: dict[str, Tensor], size: tuple[int, int], u: float, v: float) -> dict[str, Tensor]:
    """Cut the same window from all maps; a side that is smaller is taken whole.

    Args:
        maps: ``(C, H, W)`` each.
        size: ``(h, w)`` wanted.
        u: vertical place of the window, 0 at the top to 1 at the bottom.
        v: horizontal place, 0 at the left to 1 at the right.
    """
    height, width = next(iter(maps.values())).shape[-2:]
    top = round(u * max(0, height - size[0]))
    left = round(v * max(0, width - size[1]))
    return {name: m[..., top : top + size[0], left : left + size[1]] for name, m in maps.items()}


def collate_padded(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch of samples; maps smaller than the largest are padded below and to the right.

    Images are padded by their edge, all else by zeros. Nothing is where all are of one size: padding changes what the
    network's instance norm sees.

    Args:
        samples: as the datasets here give them, maps ``(C, H, W)``.
    """
    height, width = (max(sample["flow"].shape[axis] for sample in samples) for axis in (-2, -1))

    def padded(name: str, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        padding = (0, width - value.shape[-1], 0, height - value.shape[-2])
        if not any(padding):
            return value
        return (
            F.pad(value[None].float(), padding, "replicate")[0].byte() if name[:5] == "image" else F.pad(value, padding)
        )

    batch: dict[str, Any] = default_collate([{k: padded(k, v) for k, v in sample.items()} for sample in samples])
    return batch
