"""``make real-propagate``: masks of a bear and a swan carried from their first frame, by all that can carry them.

``REFINED=FILE`` adds weights of a refined RAFT, such as those of ``make real-tracks-refine``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from refine_motion.benchmarks.masks.evaluation import evaluate_masks
from refine_motion.benchmarks.score_table import ScoreTable
from refine_motion.models.load import load_model
from refine_motion.models.registry import build_model
from refine_motion.motion.propagate import Matcher
from refine_motion.propagation.identity import IdentityMatcher
from refine_motion.propagation.matchers import matcher_for
from refine_motion.propagation.predictors import MaskPropagation
from refine_motion.propagation.settings import MEMORIES, PropagationSettings
from refine_motion.video.writer import write_video
from refine_motion.viz.masks import draw_mask
from tests.real.davis import SharedDavis

pytestmark = [pytest.mark.real_run, pytest.mark.timeout(3600)]

OUT = Path("runs") / "real_propagate"
EMBEDDED = "embedded_corrflow"
REFINED = os.environ.get("REFINE_MOTION_REFINED")
MARGIN = 10.0
DEFAULT = PropagationSettings()


class Drawn(MaskPropagation):
    """Writes every sequence with its carried masks as a video."""

    def __init__(self, matcher: Matcher, names: Iterable[str]):
        super().__init__(matcher)
        self.names = iter(names)

    def __call__(self, first: Tensor, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """As :class:`MaskPropagation`."""
        pictures = list(frames)
        masks = list(super().__call__(first, pictures))
        file = OUT / f"{next(self.names)}.mp4"
        write_video(file, (draw_mask(*pair) for pair in zip(pictures, masks, strict=True)), 24)
        yield from masks


def untrained(settings: PropagationSettings = DEFAULT) -> Matcher:
    """The encoder of the embedded weights before its training."""
    torch.manual_seed(0)
    return matcher_for(build_model("corrflow_small").eval(), settings)


def test_masks_of_a_bear_and_a_swan(real_data: Path) -> None:
    benchmark = SharedDavis(real_data / "davis")
    flow = load_model("raft_small", real_data / "weights" / "raft-small.pth")
    previous, anchors = MEMORIES["previous"]
    alone = PropagationSettings(previous=previous, anchors=anchors)
    ways: dict[str, MaskPropagation] = {
        "identity": MaskPropagation(IdentityMatcher()),
        "RAFT-small, warped": MaskPropagation(matcher_for(flow)),
        "CorrFlow, untrained": MaskPropagation(untrained()),
        "CorrFlow, embedded": Drawn(matcher_for(load_model(None, EMBEDDED)), benchmark.names),
        "CorrFlow, untrained, frame before alone": MaskPropagation(untrained(alone)),
        "CorrFlow, embedded, frame before alone": MaskPropagation(matcher_for(load_model(None, EMBEDDED), alone)),
    }
    if REFINED:
        ways["RAFT-small, refined, warped"] = MaskPropagation(matcher_for(load_model(None, REFINED)))
    found = {name: evaluate_masks(way, benchmark) for name, way in ways.items()}
    print_table(found, benchmark.title)
    for name, way in ways.items():
        print(f"{name}: {way.about}")
    print(f"masks of the embedded weights, drawn: {OUT}/*.mp4")
    jf = {name: 100 * table.mean.scores["jf"] for name, table in found.items()}
    for memory in ("", ", frame before alone"):
        assert jf[f"CorrFlow, embedded{memory}"] > jf["identity"] + MARGIN
        assert jf[f"CorrFlow, embedded{memory}"] > jf[f"CorrFlow, untrained{memory}"] + MARGIN


def print_table(found: dict[str, ScoreTable], title: str) -> None:
    """J and F of each sequence and their mean, by what carried the masks; also as Markdown."""
    names = [row.name for row in next(iter(found.values())).rows]
    heads = [*(f"{name} {part}" for name in names for part in ("J", "F")), "J&F"]
    lines = [f"| carried by | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    shown = Table("carried by", title=title)
    for head in heads:
        shown.add_column(head, justify="right")
    for name, table in found.items():
        values = [100 * row.scores[part] for row in table.rows for part in ("j_mean", "f_mean")]
        cells = [f"{value:.1f}" for value in (*values, 100 * table.mean.scores["jf"])]
        shown.add_row(name, *cells)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    Console(width=120).print(shown)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
