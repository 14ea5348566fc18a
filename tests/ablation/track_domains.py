"""``python -m tests.ablation.track_domains``: small PIPs refined on made domains, judged by exact tracks, as one table.

It is the demo for tracks on several domains and seeds, with more videos to learn from and more steps; what is finished
is not repeated. Seeds 0 to 2 served to find the recipe; what it gives is said by others. The held-out videos of a
domain are the same for all seeds, what is learnt from is not. Beside the scores stand the video that became worst in
the mean of the seeds, the worst of all single results, and how well the label-free choice ranks the candidates
(Spearman's correlation with their true score): all of them, and those that may be taken.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

import torch

from refine_motion.benchmarks.synthetic.domains import TARGETS
from refine_motion.demo.stages import DemoFolder
from refine_motion.demo.tracks import TrackPlan, judge_clips, run_track_demo
from refine_motion.files import replacing
from refine_motion.models.base import MotionModel
from refine_motion.models.track_base import TrackModel
from refine_motion.refine.candidates import MIXTURES
from refine_motion.refine.panel import LARGEST_TRACK_SHARE
from tests.ablation.ranking import rank_correlation, worth_and_errors


@dataclass(frozen=True)
class Score:
    """What one demonstration found.

    Attributes:
        domain: its domain.
        seed: its seed.
        decision: ``improved`` or ``kept``.
        videos: of each held-out clip by name, delta_avg before, after, and of standing still, per cent.
        gain: of the chosen candidate, or of the one that was turned down, on all that is held out; estimated without
            truth, per cent.
        candidates: of each by its name, what it gains on the half that chooses, and its true delta_avg on half of the
            clips; empty where that was not asked for.
        seconds: of the whole.
        minutes: of its plan.
        clips: of its plan.
    """

    domain: str
    seed: int
    decision: str
    videos: dict[str, tuple[float, float, float]]
    gain: float | None
    candidates: dict[str, tuple[float, float]]
    seconds: float
    minutes: float
    clips: int

    @property
    def mean(self) -> tuple[float, float, float]:
        """Before, after, and of standing still: means over the clips."""
        before, after, still = (mean(column) for column in zip(*self.videos.values(), strict=True))
        return before, after, still

    @property
    def changes(self) -> dict[str, float]:
        """What each clip gained, in points, by its name."""
        return {name: after - before for name, (before, after, _) in self.videos.items()}

    @property
    def ranking(self) -> float:
        """Spearman's correlation of the choice with true delta_avg over the candidates; not a number without them."""
        return _ranking(self.candidates)

    @property
    def ranking_of_allowed(self) -> float:
        """As :attr:`ranking`, over the original and what goes no farther from it than may be taken."""
        names = ["original", *(f"{share:.0%} of " for share in MIXTURES if share <= LARGEST_TRACK_SHARE)]
        return _ranking({name: both for name, both in self.candidates.items() if name.startswith(tuple(names))})


def measured(plan: TrackPlan, root: Path, ranked: bool) -> Score:
    """One demonstration in an empty folder; where ``ranked``, with the truth about every candidate."""
    result = run_track_demo(plan, root, lambda title, _: print(f"{plan.domain}, seed {plan.seed}: {title}", flush=True))
    gain = result.refined.outcome.gain
    return Score(
        plan.domain,
        plan.seed,
        result.refined.outcome.decision,
        result.scores,
        None if gain is None else gain.percent()[0],
        _candidates(plan, root) if ranked else {},
        sum(result.seconds.values()),
        plan.minutes,
        plan.clips,
    )


def _candidates(plan: TrackPlan, root: Path) -> dict[str, tuple[float, float]]:
    """On half of the held-out clips, because every candidate takes its time."""
    folder, half = DemoFolder(root), replace(plan, held_out=plan.held_out // 2)

    def error(model: MotionModel) -> float:
        assert isinstance(model, TrackModel)
        return -mean(judge_clips(half, folder, model).values())

    found = worth_and_errors(folder.run, plan.weights, error)
    return {name: (-100 * math.expm1(-worth), -wrong) for name, (worth, wrong) in found.items()}


def table(scores: list[Score]) -> str:
    """Means over the seeds of each domain, and over all; ``worst video`` is the least mean over seeds of a video."""
    heads = ("domain", "seeds", "standing still", "before", "after", "change", "by seed")
    heads += ("worst video", "worst single", "improved", "ranking", "of what may be taken")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    domains = dict.fromkeys(score.domain for score in scores)
    for name, part in [*((d, [s for s in scores if s.domain == d]) for d in domains), ("mean", scores)]:
        before, after, still = (mean(column) for column in zip(*(s.mean for s in part), strict=True))
        lines.append(
            f"| {name} | {len(part)} | {still:.1f} | {before:.1f} | {after:.1f} | {after - before:+.2f} | "
            f"{', '.join(f'{change:+.2f}' for change in _by_seed(part).values())} | "
            f"{min(_by_video(part).values()):+.2f} | {min(min(s.changes.values()) for s in part):+.2f} | "
            f"{sum(s.decision == 'improved' for s in part)} | {_shown([s.ranking for s in part])} | "
            f"{_shown([s.ranking_of_allowed for s in part])} |"
        )
    return "\n".join(lines) + "\n"


def _by_seed(part: list[Score]) -> dict[int, float]:
    """Mean change of each seed."""
    return {
        seed: mean(s.mean[1] - s.mean[0] for s in part if s.seed == seed) for seed in sorted({s.seed for s in part})
    }


def _by_video(part: list[Score]) -> dict[str, float]:
    """Mean change of each video over the seeds."""
    changes: dict[str, list[float]] = {}
    for score in part:
        for name, change in score.changes.items():
            changes.setdefault(name, []).append(change)
    return {name: mean(values) for name, values in changes.items()}


def _ranking(candidates: dict[str, tuple[float, float]]) -> float:
    if len(candidates) < 2:
        return math.nan
    return rank_correlation({name: (worth, -delta) for name, (worth, delta) in candidates.items()})


def _shown(rankings: list[float]) -> str:
    known = [ranking for ranking in rankings if not math.isnan(ranking)]
    return f"{mean(known):.2f}" if known else ""


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0; a wrong call exits with 2."""
    parser = argparse.ArgumentParser(prog="python -m tests.ablation.track_domains", description=__doc__)
    parser.add_argument("--domains", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[3, 4, 5])
    parser.add_argument(
        "--ranked", nargs="*", type=int, default=[5], help="seeds of which every candidate is judged by truth"
    )
    parser.add_argument("--minutes", type=float, default=19.5, help="of the demo, whose steps are taken")
    parser.add_argument("--clips", type=int, default=12, help="to learn from")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation/track_domains"))
    chosen = parser.parse_args(arguments)
    torch.set_flush_denormal(True)
    scores = []
    for seed in chosen.seeds:
        for domain in chosen.domains:
            root = chosen.out / f"{domain}_{seed}"
            note = root / "score.json"
            if not note.is_file():
                # Labels and checkpoints of an interrupted run are made anew with the clips.
                shutil.rmtree(root, ignore_errors=True)
                plan = TrackPlan(domain, seed, chosen.minutes, clips=chosen.clips)
                score = measured(plan, root, seed in chosen.ranked)
                with replacing(note) as partial:
                    partial.write_text(json.dumps(asdict(score), indent=1))
            found = Score(**json.loads(note.read_text()))
            if (found.minutes, found.clips) != (chosen.minutes, chosen.clips):
                parser.error(
                    f"{note} has --minutes {found.minutes:g} --clips {found.clips}: say so, or set another --out"
                )
            scores.append(found)
            (chosen.out / "table.md").write_text(table(scores))
    print(table(scores))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
