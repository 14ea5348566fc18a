"""The demonstration on many domains and seeds, as one table."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from refine_motion.demo.job import DemoResult
from refine_motion.demo.plan import DemoPlan
from refine_motion.files import replacing
from refine_motion.models.weights import locate_weights

SCORE = "score.json"


@dataclass(frozen=True)
class DomainScore:
    """What one demonstration found.

    Attributes:
        domain: its domain.
        seed: its seed.
        before: mean end-point error over its held-out clips before refinement, in pixels.
        after: the same after it.
        zero: mean true speed there, the error of saying that nothing moves.
        kept_share: share of the pixels whose labels were kept.
        label_error: mean end-point error of the kept labels in pixels.
        seconds: time that it took.
    """

    domain: str
    seed: int
    before: float
    after: float
    zero: float
    kept_share: float
    label_error: float
    seconds: float

    @property
    def change(self) -> float:
        """Relative change of the error; -0.15 is 15 % lower."""
        return self.after / self.before - 1


def score(result: DemoResult) -> DomainScore:
    """The numbers of a demonstration that the table needs."""
    before, after = result.epe
    return DomainScore(
        domain=result.plan.domain,
        seed=result.plan.seed,
        before=before,
        after=after,
        zero=result.zero,
        kept_share=result.labels.kept_share,
        label_error=result.labels.error,
        seconds=sum(result.seconds.values()),
    )


def note_score(folder: Path, plan: DemoPlan, found: DomainScore) -> None:
    """Write a score beside its demonstration, so that it is not made again."""
    with replacing(folder / SCORE) as partial:
        partial.write_text(json.dumps({"identity": _identity(plan), "score": asdict(found)}, indent=1) + "\n")


def noted_score(folder: Path, plan: DemoPlan) -> DomainScore | None:
    """The score of a demonstration by the same plan and weights, where one was noted."""
    try:
        content = json.loads((folder / SCORE).read_text())
        return DomainScore(**content["score"]) if content["identity"] == _identity(plan) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no such file, or not one of this version


def _identity(plan: DemoPlan) -> str:
    weights = hashlib.sha256(locate_weights(plan.weights).read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps([asdict(plan), weights], sort_keys=True).encode()).hexdigest()


def domain_table(scores: Sequence[DomainScore]) -> Table:
    """A row per domain with means over its seeds and the change of each seed, then the mean over domains."""
    by_domain: dict[str, list[DomainScore]] = defaultdict(list)
    for one in scores:
        by_domain[one.domain].append(one)
    table = Table(
        title="End-point error on held-out clips of each domain, px",
        caption="zero: of zero flow; kept and label: share of labelled pixels, and their error. Means over seeds.",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("domain", no_wrap=True)
    for heading in ("zero", "before", "after", "change", "each seed", "kept", "label", "time"):
        table.add_column(heading, justify="right")
    for name, members in by_domain.items():
        table.add_row(name, *_cells(members), f"{statistics.mean(one.seconds for one in members):.0f} s")
    changes = [statistics.mean(one.change for one in members) for members in by_domain.values()]
    table.add_section()
    table.add_row("mean", "", "", "", f"{statistics.mean(changes):+.1%}", "", "", "", "", style="bold")
    return table


def _cells(members: Sequence[DomainScore]) -> list[str]:
    def mean(name: str) -> float:
        return statistics.mean(getattr(one, name) for one in members)

    return [
        f"{mean('zero'):.2f}",
        f"{mean('before'):.3f}",
        f"{mean('after'):.3f}",
        f"{mean('change'):+.1%}",
        ", ".join(f"{one.change:+.1%}" for one in members),
        f"{mean('kept_share'):.0%}",
        f"{mean('label_error'):.3f}",
    ]
