"""``python -m tests.ablation.corrflow_worlds``: masks carried through made clips, by exact truth, as one table.

Clips are written in DAVIS's layout, so that what reads and scores DAVIS reads and scores them. Beside CorrFlow stand
the first mask kept still, the same encoder before its training, and flow of the packaged RAFT-small.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import mean

import torch
from PIL import Image
from rich.progress import track

from refine_motion.benchmarks.masks.davis import Davis
from refine_motion.benchmarks.masks.evaluation import evaluate_masks
from refine_motion.benchmarks.synthetic.domains import DOMAINS
from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.files import replacing
from refine_motion.models.load import load_model
from refine_motion.models.registry import build_model
from refine_motion.motion.propagate import Matcher
from refine_motion.propagation.identity import IdentityMatcher
from refine_motion.propagation.matchers import matcher_for
from refine_motion.propagation.predictors import MaskPropagation
from refine_motion.propagation.settings import MEMORIES, PropagationSettings
from refine_motion.video.palette import write_mask

# Scenes from here on are in no training.
_FIRST_SEED = 810_000
_SIZE, _FRAMES, _MAX_SPEED = (192, 256), 20, 12.0
_UNTRAINED = (0, 1, 2)
# Particles have no masks.
_WITH_OBJECTS = [name for name, domain in DOMAINS.items() if domain.objects[0]]


def write_davis(root: Path, domain: str, clips: int) -> Davis:
    """Made clips with true masks in DAVIS's layout."""
    for number in range(clips):
        scene = random_scene(_FIRST_SEED + number, _SIZE, _MAX_SPEED, _FRAMES, domain)
        frames, masks = (root / part / "480p" / f"{number:02d}" for part in ("JPEGImages", "Annotations"))
        frames.mkdir(parents=True)
        for t in range(_FRAMES):
            Image.fromarray(scene.render(t).permute(1, 2, 0).numpy()).save(frames / f"{t:05d}.png")
            write_mask(masks / f"{t:05d}.png", scene.masks(t))
    return Davis(str(root), split="all")


def untrained(network: str, seed: int) -> Matcher:
    """An encoder with its initial weights."""
    torch.manual_seed(seed)
    return matcher_for(build_model(network).eval())


def scores(benchmark: Davis, weights: str) -> dict[str, float]:
    """J&F in per cent by what carried the masks."""

    def jf(matcher: Matcher) -> float:
        return 100 * evaluate_masks(MaskPropagation(matcher), benchmark, progress=False).mean.scores["jf"]

    model = load_model(None, weights)
    previous, anchors = MEMORIES["previous"]
    return {
        "kept still": jf(IdentityMatcher()),
        "RAFT-small, packaged": jf(matcher_for(load_model(None, "embedded"))),
        "CorrFlow, untrained": mean(jf(untrained(model.name, seed)) for seed in _UNTRAINED),
        "CorrFlow": jf(matcher_for(model)),
        "CorrFlow, frame before alone": jf(matcher_for(model, PropagationSettings(previous=previous, anchors=anchors))),
    }


def table(found: dict[str, dict[str, float]]) -> str:
    """J&F by domain, and the mean over domains."""
    heads = list(next(iter(found.values())))
    rows = {**found, "mean": {head: mean(row[head] for row in found.values()) for head in heads}}
    lines = [f"| clips of | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(f'{row[head]:.1f}' for head in heads)} |" for name, row in rows.items()]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0; a wrong call exits with 2."""
    parser = argparse.ArgumentParser(prog="python -m tests.ablation.corrflow_worlds", description=__doc__)
    parser.add_argument("--weights", default="embedded_corrflow", help="of a CorrFlow encoder (%(default)s)")
    parser.add_argument("--domains", nargs="+", choices=_WITH_OBJECTS, default=_WITH_OBJECTS)
    parser.add_argument("--clips", type=int, default=6, help="of each domain (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation/corrflow_worlds.md"))
    chosen = parser.parse_args(arguments)
    torch.set_flush_denormal(True)
    found = {}
    for domain in track(chosen.domains, "carrying masks"):
        with tempfile.TemporaryDirectory() as folder:
            found[domain] = scores(write_davis(Path(folder), domain, chosen.clips), chosen.weights)
    with replacing(chosen.out) as partial:
        partial.write_text(table(found), encoding="utf-8")
    print(table(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
