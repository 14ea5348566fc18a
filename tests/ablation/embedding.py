"""``python -m tests.ablation.embedding``: what an embedding tells of flow that the cycle does not, on pairs with truth.

Flow of RAFT-small is kept where it leads to a place inside the image. Of several ways to choose the best part of it, at
equal coverage, the tables tell precision: the share within so many pixels of the truth; and of what the paper's cycle
rule keeps, how many wrong and how many good labels the embedding rule drops.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from refine_motion.benchmarks.pairs import find_pairs, read_pair
from refine_motion.benchmarks.synthetic.stream import FlowPairs
from refine_motion.files import replacing
from refine_motion.labels.embedding import WindowEmbedding, load_encoder
from refine_motion.labels.select import cycle_ratio
from refine_motion.models.base import FlowModel
from refine_motion.models.corrflow import CorrFlow
from refine_motion.models.load import load_flow_model
from refine_motion.motion.cycle import flow_evidence
from refine_motion.motion.grid import length
from tests.bench.material import shared

REAL = ("rubberwhale", "grove2")
MADE = ("source", "fog", "particles", "crowd", "sports", "tissue")
COVERAGES = (0.25, 0.5, 0.75)
# Of the embedding rule; and what a good label is within, of the truth. In pixels.
EMBEDDING, GOOD = (2.0, 4.0, 6.0), (1.0, 3.0)
_SIZE, _MAX_SPEED, _SEED, _ITERS = (256, 320), 24.0, 4242, 12


@dataclass(frozen=True)
class Judged:
    """Flow at the pixels of one or more pairs that lead to a place inside the image and whose truth is known.

    Attributes:
        cycle: ``(N,)`` cycle error over the threshold of the paper's rule.
        embedding: ``(N,)`` embedding error in pixels.
        off: ``(N,)`` distance from the truth in pixels.
    """

    cycle: Tensor
    embedding: Tensor
    off: Tensor


def material(folder: Path, domain: str, count: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Frames ``(2, 3, H, W)``, true flow ``(1, 2, H, W)`` and where it is known ``(1, H, W)`` of pairs of a domain."""
    if domain in REAL:
        for pair in find_pairs(folder / "data" / "flow" / domain):
            a, b, flow, known = read_pair(pair)
            yield torch.stack((a, b)), flow[None], known[None]
        return
    pairs = FlowPairs(count, _SIZE, _MAX_SPEED, _SEED, domain)
    for number in range(count):
        made = pairs[number]
        yield torch.stack((made["image_a"], made["image_b"])), made["flow"][None], made["valid"]


@torch.no_grad()
def judged(model: FlowModel, encoder: CorrFlow, frames: Tensor, truth: Tensor, known: Tensor) -> Judged:
    """What is known of one pair, see :func:`material`."""
    a, b = frames[[0]], frames[[1]]
    forward, backward = model.match_both(model.encode(a), model.encode(b), _ITERS)
    evidence, inside = flow_evidence(forward, backward, a, b)
    embedding = WindowEmbedding(encoder, frames).error(forward, 0, 1)
    taken = inside & known
    return Judged(cycle_ratio(evidence)[taken], embedding[taken], length(forward - truth)[taken])


def precision(found: Judged, score: Tensor, coverage: float, pixels: float) -> float | None:
    """Share within ``pixels`` of the truth among the entries of the least scores.

    Args:
        found: all entries.
        score: ``(N,)``, infinite where an entry is not to be kept.
        coverage: share of all entries that is kept.
        pixels: how near is good.

    Returns:
        0..1; None where fewer may be kept.
    """
    count = round(coverage * len(score))
    if count > score.isfinite().sum():
        return None
    best = score.topk(count, largest=False).indices
    return (found.off[best] <= pixels).float().mean().item()


def rows(found: Judged) -> list[list[str]]:
    """Of each way to choose: its name, the share of entries that its fixed rule passes, and precision at coverages."""
    ways = {"cycle": found.cycle}
    for pixels in EMBEDDING:
        ways[f"cycle, embedding within {pixels:g} px"] = _both(found, pixels)
    ways["embedding"] = found.embedding
    table = []
    for name, score in ways.items():
        passes = score.isfinite().double().mean().item()
        table.append([name, f"{passes:.0%}", *(_cell(found, score, share) for share in (*COVERAGES, passes))])
    return table


def _both(found: Judged, pixels: float) -> Tensor:
    """Cycle errors of what the embedding rule passes, infinite elsewhere."""
    return torch.where(found.embedding <= pixels, found.cycle, torch.inf)


def _cell(found: Judged, score: Tensor, coverage: float) -> str:
    shares = [precision(found, score, coverage, pixels) for pixels in GOOD]
    return " / ".join(f"{100 * share:.1f}" for share in shares if share is not None)


def report(found: Mapping[str, Judged]) -> str:
    """The tables as Markdown, a domain after another and then the mean over domains of the change from the cycle."""
    heads = ["way", "passes", *(f"best {share:.0%}" for share in COVERAGES), "all that pass"]
    good = " and within ".join(f"{pixels:g} px" for pixels in GOOD)
    lines = [
        f"Per cent of the kept labels within {good} of the truth. A way keeps those of the least cycle error (the last "
        "one: embedding error) among those that its embedding rule passes; empty where these are too few.",
        "",
    ]
    for domain, one in found.items():
        lines += [f"**{domain}**, {len(one.off)} pixels", "", *_table(heads, rows(one)), ""]
    lines += ["**Change from the cycle rule alone**, percentage points, mean over the domains with enough labels", ""]
    lines += [*_table(["way", *heads[2:-1]], _changes(list(found.values()))), ""]
    near, far = GOOD
    lines += [f"**Of what the paper's cycle rule keeps**, dropped: over {far:g} px off / within {near:g} px", ""]
    heads = ["domain", f"over {far:g} px off", *(f"within {pixels:g} px" for pixels in EMBEDDING)]
    return "\n".join([*lines, *_table(heads, [[name, *drops(one)] for name, one in found.items()])]) + "\n"


def drops(found: Judged) -> list[str]:
    """Share of wrong labels among those that the paper's cycle rule keeps; and per rule, of wrong and good the dropped.

    Args:
        found: all entries.
    """
    kept = found.cycle <= 1
    good, wrong = kept & (found.off <= GOOD[0]), kept & (found.off > GOOD[1])
    cells = [f"{wrong.sum() / kept.sum().clamp(min=1):.2%}"]
    for pixels in EMBEDDING:
        dropped = found.embedding > pixels
        wrongly, rightly = ((dropped & those).sum() / those.sum().clamp(min=1) for those in (good, wrong))
        cells.append(f"{rightly:.0%} / {wrongly:.0%}")
    return cells


def _changes(found: list[Judged]) -> list[list[str]]:
    return [
        [f"embedding within {threshold:g} px", *(_change(found, threshold, coverage) for coverage in COVERAGES)]
        for threshold in EMBEDDING
    ]


def _change(found: list[Judged], threshold: float, coverage: float) -> str:
    """Mean change of precision, and in brackets over how many domains."""
    enough = [one for one in found if (one.embedding <= threshold).sum() >= round(coverage * len(one.off))]
    shares = [
        [precision(one, score, coverage, pixels) or 0.0 for pixels in GOOD]
        for one in enough
        for score in (_both(one, threshold), one.cycle)
    ]
    if not enough:
        return ""
    both, alone = torch.tensor(shares[::2]), torch.tensor(shares[1::2])
    return " / ".join(f"{100 * change:+.2f}" for change in (both - alone).mean(dim=0).tolist()) + f" ({len(enough)})"


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0; a wrong call exits with 2."""
    parser = argparse.ArgumentParser(prog="python -m tests.ablation.embedding", description=__doc__)
    parser.add_argument("--weights", default="embedded_corrflow", help="of the encoder (%(default)s)")
    parser.add_argument("--pairs", type=int, default=6, help="of each made domain (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation/embedding.md"))
    chosen = parser.parse_args(arguments)
    folder = shared() or parser.error("set REFINE_MOTION_SHARED to the folder of real material")
    torch.set_flush_denormal(True)
    encoder = load_encoder(chosen.weights)
    model = load_flow_model("raft_small", folder / "data" / "weights" / "raft-small.pth")
    found = {}
    for domain in track((*REAL, *MADE), "domains", transient=True):
        pairs = [judged(model, encoder, *pair) for pair in material(folder, domain, chosen.pairs)]
        found[domain] = Judged(*(torch.cat([getattr(p, name) for p in pairs]) for name in vars(pairs[0])))
    text = f"Encoder: {encoder.name}, {chosen.weights}; {chosen.pairs} pairs of each made domain.\n\n{report(found)}"
    with replacing(chosen.out) as partial:
        partial.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
