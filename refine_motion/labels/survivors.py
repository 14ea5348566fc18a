"""The labels that only just passed: where a filter fails, they show it first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from refine_motion.errors import ConfigError
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.select import LabelRule, cycle_ratio, select
from refine_motion.labels.store import PairKey

Measure = Literal["cycle", "colour"]
# A step of the stored cycle error at the paper's threshold.
_EQUAL = 0.14


@dataclass(frozen=True)
class Survivor:
    """A kept pixel with high error.

    Attributes:
        key: its pair.
        xy: position in the first frame, in pixels.
        flow: displacement (x, y) in pixels.
        cycle_ratio: cycle error over the paper's threshold.
        colour_error: grey levels of 255.
    """

    key: PairKey
    xy: tuple[int, int]
    flow: tuple[float, float]
    cycle_ratio: float
    colour_error: float


def worst_survivors(
    labels: Mapping[PairKey, FlowLabel],
    filters: Sequence[LabelRule],
    by: Measure = "cycle",
    count: int = 6,
    apart: int = 32,
) -> list[Survivor]:
    """Kept pixels with the highest error, no two of a pair close together.

    Args:
        labels: where to look.
        filters: what training applies.
        by: ``"cycle"``, the cycle error over the paper's threshold, or ``"colour"``, the colour error.
        count: how many.
        apart: least distance in x or y, in pixels, between two of one pair: an error covers many pixels.

    Returns:
        The worst first, from as many pairs as there are; fewer than ``count`` where fewer are kept. Stored evidence is
        rounded, so errors within 14 % are taken for equal; between them decides the cycle error in pixels, or, by
        colour, the cycle error over the threshold.

    Raises:
        ConfigError: ``by`` is neither, or ``count`` is below 1.
    """
    if by not in ("cycle", "colour") or count < 1:
        raise ConfigError(f'worst_survivors: by is "cycle" or "colour" and count at least 1, got {by!r} and {count}')
    found: list[tuple[float, Survivor]] = []
    per_pair = -(-count // max(len(labels), 1))
    for key, label in labels.items():
        kept = label.keep(select(filters, label, seed=0) > 0)
        ratio, error = cycle_ratio(kept.evidence), kept.evidence.colour_error
        first, second = (ratio, kept.evidence.cycle_error) if by == "cycle" else (error, ratio)
        # The whole part is the level of the first measure, the rest orders by the second.
        score = (first.double().clamp(min=1e-6).log() / _EQUAL).round() + second / (second + 1)
        x, y = kept.index % label.size[1], kept.index // label.size[1]
        for _ in range(min(per_pair, len(score))):
            worst = int(score.argmax())
            if score[worst] == -torch.inf:
                break
            at = (int(x[worst]), int(y[worst]))
            dx, dy = kept.flow[worst].tolist()
            one = Survivor(key, at, (dx, dy), ratio[worst].item(), error[worst].item())
            found.append((score[worst].item(), one))
            score[((x - at[0]).abs() < apart) & ((y - at[1]).abs() < apart)] = -torch.inf
    found.sort(key=lambda item: item[0], reverse=True)
    return [one for _, one in found[:count]]
