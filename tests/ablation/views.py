"""``python -m tests.ablation.views``: which view of the teacher to believe, on pairs with truth.

Every view of a pair is estimated once and kept; then rules that choose or mix views are compared by the error of the
labels that they give, over all pixels with known truth and at several coverages.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import mean

import torch
from rich.progress import track
from torch import Tensor

from refine_motion.benchmarks.pairs import find_pairs, read_pair
from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.benchmarks.synthetic.domains import TARGETS
from refine_motion.files import replacing
from refine_motion.labels.blend import blend
from refine_motion.labels.views import Look, parse_view
from refine_motion.models.load import load_model
from refine_motion.motion.census import census_error
from refine_motion.motion.cycle import cycle_error
from refine_motion.motion.grid import length
from tests.bench.material import shared

FIXED = ("1x", "1x flip", "1.5x", "1.5x flip", "2x", "2x flip")
BLENDED = ("1x flip", "1.5x", "1.5x flip", "2x", "2x flip")
COVERAGES = (0.5, 0.7, 0.9)
_SIZE, _PAIRS, _SCENES = (192, 256), 2, (0, 1)
Both = tuple[Tensor, Tensor]
Views = Mapping[str, Both]


def _argmin(a: Tensor, b: Tensor, views: Views, error: Callable[[Both], Tensor]) -> Both:
    """Per pixel the view of the least error."""
    errors = torch.cat([error(both) for both in views.values()])
    best = errors.argmin(dim=0)[None, None, None].expand(1, 1, 2, -1, -1)
    flows = [torch.stack([both[way] for both in views.values()]) for way in (0, 1)]
    return flows[0].gather(0, best)[0], flows[1].gather(0, best)[0]


def _each_way(views: Views, statistic: Callable[[Tensor], Tensor]) -> Both:
    stacked = [torch.stack([both[way] for both in views.values()]) for way in (0, 1)]
    return statistic(stacked[0]), statistic(stacked[1])


def _random(views: Views, seed: int) -> Both:
    number = int(torch.randint(len(views), (1,), generator=torch.Generator().manual_seed(seed)))
    return list(views.values())[number]


def rules(a: Tensor, b: Tensor, views: Views, seed: int) -> dict[str, Both]:
    """The labels that each rule gives, forward and backward."""
    mixed = blend(a, b, [views[name] for name in BLENDED])
    return {
        **{f"always {name}": views[name] for name in FIXED},
        "random view": _random(views, seed),
        "mean": _each_way(views, lambda flows: flows.mean(dim=0)),
        "median": _each_way(views, lambda flows: flows.median(dim=0).values),
        "argmin of the cycle error": _argmin(a, b, views, lambda both: cycle_error(*both)),
        "argmin of the census error": _argmin(a, b, views, lambda both: census_error(a, b, both[0])),
        "blend": (mixed.forward, mixed.backward),
    }


def material(real: Path, made: Path) -> Iterator[tuple[str, Tensor, Tensor, Tensor, Tensor]]:
    """Name, frames ``(1, 3, H, W)``, true flow and where it is known, of the real pairs and of every made domain."""
    folders = [real / "data" / "flow"]
    for name in TARGETS:
        for seed in _SCENES:
            folder = made / "truth" / f"{name}_{seed:04d}"
            if not folder.exists():
                write_clip(made, seed, 7, _SIZE, pairs=_PAIRS, name=name)
            folders.append(folder)
    for folder in folders:
        for number, pair in enumerate(find_pairs(folder)):
            a, b, flow, valid = read_pair(pair)
            yield f"{pair.name} {number}".replace("/", "_"), a[None], b[None], flow[None], valid[None]


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0; a wrong call exits with 2."""
    parser = argparse.ArgumentParser(prog="python -m tests.ablation.views", description=__doc__)
    parser.add_argument("--weights", default=None, help="default: the real RAFT-small")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation/views"))
    chosen = parser.parse_args(arguments)
    folder = shared() or parser.error("set REFINE_MOTION_SHARED to the folder of real material")
    torch.set_flush_denormal(True)
    weights = chosen.weights or str(folder / "data" / "weights" / "raft-small.pth")
    model = load_model(None, weights).eval()
    results: dict[str, dict[str, list[float]]] = {}
    pairs = list(material(folder, chosen.out / "clips"))
    for seed, (name, a, b, flow, known) in enumerate(track(pairs, "pairs", transient=True)):
        file = chosen.out / Path(weights).stem / f"{name}.pt"
        if not file.exists():
            with torch.no_grad():
                looks = {view: Look(model, torch.cat((a, b)), parse_view(view), 4_000_000, 12) for view in FIXED}
                with replacing(file) as partial:
                    torch.save({view: look.flow(0, 1)[:2] for view, look in looks.items()}, partial)
        for rule, both in rules(a, b, torch.load(file, weights_only=True), seed).items():
            results.setdefault(rule, {})[name] = _errors(both, flow, known)
    text = _table(results)
    (chosen.out / f"{Path(weights).stem}.md").write_text(text)
    print(text)
    return 0


def _errors(both: Both, truth: Tensor, known: Tensor) -> list[float]:
    """Mean end-point error in pixels of all pixels, and of the most consistent ones at each coverage."""
    error, order = length(both[0] - truth)[known], cycle_error(*both)[known].argsort()
    return [error.mean().item(), *(error[order[: round(share * len(order))]].mean().item() for share in COVERAGES)]


def _table(results: Mapping[str, Mapping[str, list[float]]]) -> str:
    native = results["always 1x"]
    best = {name: min(results[f"always {view}"][name][0] for view in FIXED) for name in native}
    heads = [f"error at {share:.0%} coverage" for share in (1.0, *COVERAGES)]
    lines = [
        f"Change from always 1x, mean over {len(native)} pairs; on how many pairs a rule is as good as the best view "
        "of the pair in hindsight, and as good within 5 %; and its worst change.",
        "",
        f"| rule | {' | '.join(heads)} | as the best | within 5 % | worst |",
        "|---" * (len(heads) + 4) + "|",
    ]
    for rule, of in results.items():
        changes = [
            f"{100 * (mean(of[name][n] / native[name][n] for name in of) - 1):+.1f} %" for n in range(len(heads))
        ]
        beats = [mean(of[name][0] <= best[name] * slack for name in of) for slack in (1 + 1e-6, 1.05)]
        worst = max(of[name][0] / native[name][0] for name in of) - 1
        lines.append(f"| {rule} | {' | '.join(changes)} | {beats[0]:.0%} | {beats[1]:.0%} | {100 * worst:+.0f} % |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
