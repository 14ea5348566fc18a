"""Labels as training sees them: read from a store, weighted by rules that were made ready for their video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.label import Label
from refine_motion.labels.opened import evenly
from refine_motion.labels.select import LabelRule, select
from refine_motion.labels.store_base import FrameKey, SafetensorStore

Key = TypeVar("Key", bound=FrameKey)
Kind = TypeVar("Kind", bound=Label)

# Labels of a video that are looked at: enough to tell how good they are at each speed.
_LOOKED_AT = 6


class WeightedLabels(Generic[Key, Kind]):
    """The labels of some pairs or windows and what each weighs.

    Args:
        store: where they are.
        rules: applied in order.
        keys: those that are labelled, of which a few evenly spaced ones of each video prepare its rules.
    """

    def __init__(self, store: SafetensorStore[Key, Kind], rules: Sequence[LabelRule], keys: Iterable[Key]):
        self.store, self.rules = store, list(rules)
        self._keys: dict[str, list[Key]] = {}
        for key in keys:
            self._keys.setdefault(key.video, []).append(key)
        self._prepared: dict[str, list[LabelRule]] = {}

    def read(self, key: Key, seed: int = 0) -> tuple[Kind, Tensor]:
        """A label and its weights ``(N,)``; see :func:`refine_motion.labels.select.select`.

        Raises:
            LabelError: it is missing or damaged.
        """
        label = self.store.read(key)
        return label, select(self.rules_of(key.video), label, seed)

    def rules_of(self, video: str) -> list[LabelRule]:
        """The rules made ready for a video; no label is read where no rule learns from them.

        Raises:
            LabelError: a label that they learn from is missing or damaged.
        """
        if video not in self._prepared:
            learns = any(type(rule).prepare is not LabelRule.prepare for rule in self.rules)
            self._prepared[video] = self._prepare(self._keys[video]) if learns else self.rules
        return self._prepared[video]

    def _prepare(self, keys: Sequence[Key]) -> list[LabelRule]:
        """Each rule learns from the labels as those before it left them."""
        labels = [self.store.read(key) for key in evenly(keys, _LOOKED_AT)]
        generators = [torch.Generator().manual_seed(0) for _ in labels]
        weights = [torch.ones(len(label.flow)) for label in labels]
        prepared = []
        for rule in self.rules:
            ready = rule.prepare(labels, weights)
            weights = [ready(*entry) for entry in zip(labels, weights, generators, strict=True)]
            prepared.append(ready)
        return prepared


def dense(label: FlowLabel, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Flow ``(2, H, W)``, zero where no label weighs anything, and the weights ``(1, H, W)`` float32.

    Args:
        label: labels of a pair.
        weight: ``(N,)`` of each.
    """
    flow, known = label.dense(weight > 0)
    spread_out = torch.zeros(known.numel()).index_copy_(0, label.index, weight)
    return flow, spread_out.view(known.shape)
