"""The page of a demonstration: what was done, what it gave, and how to do the same on one's own videos."""

from __future__ import annotations

import csv
import math
import platform
import shlex
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from refine_motion.benchmarks.flow_pair import read_pair
from refine_motion.benchmarks.pairs import find_pairs
from refine_motion.benchmarks.synthetic.clip import clip_name
from refine_motion.benchmarks.synthetic.domains import domain
from refine_motion.demo.job import FILTERS, DemoResult
from refine_motion.labels.select import select
from refine_motion.labels.store import PairKey
from refine_motion.models.base import FlowModel
from refine_motion.models.load import load_flow_model
from refine_motion.motion.grid import length
from refine_motion.video.content import content_key
from refine_motion.video.decoding import read_pyav
from refine_motion.viz.animate import Animation
from refine_motion.viz.curves import Curves
from refine_motion.viz.flow import error_to_rgb, flow_to_rgb, overlay_flow
from refine_motion.viz.markup import Block
from refine_motion.viz.page import Command, Facts, KeyFigures, Page, Section
from refine_motion.viz.pictures import Compare, ErrorScale, FlowKey, Picture, PictureGrid
from refine_motion.viz.table import Change, Table

_SHOWN_CLIPS = 3
_ANIMATION_FPS = 4.0


@dataclass(frozen=True)
class _Shown:
    """A held-out pair with what both models say of it."""

    name: str
    frame: Tensor
    truth: Tensor
    before: list[Tensor]
    after: list[Tensor]

    def error(self, flow: Tensor) -> Tensor:
        """End-point error ``(H, W)`` in pixels."""
        return length((flow - self.truth)[None])[0]


def write_page(result: DemoResult, path: Path) -> Path:
    """Write ``report.html`` of a demonstration, one self-contained page.

    Args:
        result: what was found.
        path: the file.

    Returns:
        The path.
    """
    plan, (before, after) = result.plan, result.epe
    verdict = "lower" if after < before else "higher"
    page = Page(
        title=f"A motion model refined on {plan.domain.replace('_', ' ')} videos",
        lead=f"A {_network(result)} was refined on {plan.clips} unlabelled clips ({domain(plan.domain).about}). On "
        f"{plan.held_out} other clips with exact ground truth, which training never saw, its mean error is "
        f"{abs(result.change):.1%} {verdict} than before.",
    )
    page.add(
        KeyFigures(
            {
                "mean error before": f"{before:.3f} px",
                "mean error after": f"{after:.3f} px",
                "change": Change(result.change).words()[0],
            }
        )
    )
    shown = _look(result)
    page.add(_measured(result))
    page.add(_before_and_after(shown))
    page.add(_labels(result))
    page.add(_training(result, shown))
    page.add(_own_videos(result), _how(result))
    return page.write(path)


def _network(result: DemoResult) -> str:
    """The refined model in words."""
    return "RAFT-small" if load_flow_model(None, result.before).name == "raft_small" else "flow model"


def result_rows(result: DemoResult) -> list[tuple[str, float, float, float]]:
    """Name, error before and after in pixels and relative change: of each held-out clip, then of their mean."""
    rows = []
    for row in result.table.rows:
        # The table compares two models.
        assert row.epe_against is not None
        assert row.change_percent is not None
        rows.append((row.name, row.epe_against, row.epe, row.change_percent / 100))
    return [*rows, ("mean of the clips", *result.epe, result.change)]


def _measured(result: DemoResult) -> Section:
    rows = [(name, before, after, Change(change)) for name, before, after, change in result_rows(result)]
    table = Table(
        ["held-out clip", "before, px", "after, px", "change"],
        rows,
        f"Mean end-point error over all pixels, hidden ones included, {result.plan.iters} iterations, "
        f"{result.plan.pairs} frame pairs a clip. The last row compares the means.",
        emphasis=[len(rows) - 1],
    )
    intervals = result.table.intervals
    sure = ""
    if intervals is not None:
        low, high = intervals.mean
        sure = (
            f"Drawing {intervals.units} {intervals.unit} anew again and again, the mean of the clips' relative changes "
            f"lies between {low:+.1f} and {high:+.1f} % in 95 % of the draws."
        )
    return Section("Measured", sure, [table])


def _look(result: DemoResult) -> list[_Shown]:
    """The middle pair of some held-out clips."""
    models = [load_flow_model(None, result.before), load_flow_model(None, result.refined.weights)]
    by_clip = defaultdict(list)
    for pair in find_pairs(result.folder.truth):
        by_clip[pair.sequence].append(pair)
    found = []
    for clip, pairs in list(by_clip.items())[:_SHOWN_CLIPS]:
        a, b, truth, _ = read_pair(pairs[len(pairs) // 2])
        found.append(_Shown(clip, a, truth, *(_flows(model, a, b, result.plan.iters) for model in models)))
    return found


@torch.no_grad()
def _flows(model: FlowModel, a: Tensor, b: Tensor, iters: int) -> list[Tensor]:
    return [flow[0] for flow in model.flow_sequence(a[None], b[None], iters)]


def _before_and_after(shown: list[_Shown]) -> Section:
    max_speed = max(math.hypot(*one.truth.flatten(1).abs().amax(1).tolist()) for one in shown)
    worst = torch.cat([one.error(one.before[-1]).flatten() for one in shown])
    max_error = max(worst.quantile(0.98).item(), 0.1)
    rows = []
    for one in shown:
        row = [
            Picture(one.frame, "frame", f"A frame of the clip {one.name}."),
            Picture(flow_to_rgb(one.truth, max_speed), "true flow", f"True flow of {one.name}.", "colours"),
        ]
        for word, flows in (("before", one.before), ("after", one.after)):
            error = one.error(flows[-1])
            caption = f"flow {word}"
            row.append(Picture(flow_to_rgb(flows[-1], max_speed), caption, f"Flow of {one.name} {word}.", "colours"))
            caption = f"error {word}: {error.mean():.2f} px"
            picture = error_to_rgb(error, max_error)
            row.append(Picture(picture, caption, f"Error of the flow of {one.name} {word}.", "colours"))
        rows.append(row)
    legends: list[Block] = [FlowKey(max_speed), ErrorScale(max_error)]
    first = shown[0]
    versions = {
        "before": flow_to_rgb(first.before[-1], max_speed),
        "after": flow_to_rgb(first.after[-1], max_speed),
        "truth": flow_to_rgb(first.truth, max_speed),
        "frame": first.frame,
    }
    return Section(
        "Before and after",
        "The middle pair of the first held-out clips: chosen by their place, not by their result.",
        [
            PictureGrid(rows, [one.name for one in shown], "Flow in colours, and where it is wrong.", legends),
            Compare(versions, f"The flow of {first.name} in one place.", legends=[FlowKey(max_speed)]),
        ],
    )


def _labels(result: DemoResult) -> Section:
    plan, quality = result.plan, result.labels
    seed = plan.learnt_seeds[0]
    video = result.folder.videos / f"{clip_name(plan.domain, seed)}.mp4"
    key = content_key(video)
    pictures = read_pyav(video, range(plan.frames - 1), timestamps=(), keyframes=())
    frames, kept_flows = [], []
    for t in range(plan.frames - 1):
        label = result.refined.store.read(PairKey(key, t, t + 1))
        kept_flows.append(label.dense(select(list(FILTERS.values()), label, seed=0) > 0))
    max_speed = max(length(flow[None]).max().item() for flow, _ in kept_flows)
    for t, (flow, kept) in enumerate(kept_flows):
        frame = torch.from_numpy(pictures[t]).permute(2, 0, 1)
        frames.append(torch.cat((frame, overlay_flow(frame, flow, kept[0], max_speed)), dim=2))
    facts = Facts(
        {
            "pairs labelled": result.refined.labels.count,
            "kept by the filter": f"{quality.kept_share:.1%} of the pixels",
            "error of the kept labels": f"{quality.error:.3f} px (they move {quality.speed:.2f} px on average)",
        }
    )
    moving = Animation(
        frames,
        _ANIMATION_FPS,
        f"Left: the clip {video.stem}. Right: what is kept, in flow colours; dark pixels teach nothing.",
        f"The clip {video.stem} beside its kept labels.",
    )
    return Section(
        "What it learnt from",
        f"The frozen model looked at the clips in {len(plan.label_views)} views, enlarged and mirrored, and estimated "
        "flow there and back; labels are a blend in which a view counts where the frames speak for it. A pixel is kept "
        "where the way there and back ends close to where it began. The refined model learnt to say the same in one "
        "look at the clips' own size. The error of the labels is known here because these worlds are made; training "
        "did not see it.",
        [facts, moving, FlowKey(max_speed)],
    )


def _training(result: DemoResult, shown: list[_Shown]) -> Section:
    charts: list[Block] = []
    logged = _logged(result.folder.run)
    learnt = {"distance from the labels": logged["train/label_epe"]}
    if learnt["distance from the labels"]:
        charts.append(Curves(learnt, "step", "px", "Distance of the student from the kept labels of its batch.", True))
    held = {"student": logged["val/cycle_error"], "teacher": logged["val/teacher_cycle_error"]}
    if all(held.values()):
        charts.append(Curves(held, "step", "px", "Cycle error on windows of the clips that were held out of training."))
    by_iteration = {}
    for word in ("before", "after"):
        errors = [[one.error(flow).mean().item() for flow in getattr(one, word)] for one in shown]
        means = [sum(column) / len(column) for column in zip(*errors, strict=True)]
        by_iteration[word] = [(float(number), mean) for number, mean in enumerate(means, start=1)]
    charts.append(Curves(by_iteration, "iteration", "px", "True error of the pairs above after each iteration."))
    return Section("How it learnt", blocks=charts)


def _logged(run: Path) -> dict[str, list[tuple[float, float]]]:
    """What the training logged: by name, pairs of step and value."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for path in sorted(run.glob("logs/*/metrics.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for name, value in row.items():
                    if value and name not in ("step", "epoch"):
                        found[name].append((float(row["step"]), float(value)))
    return found


def own_command(result: DemoResult) -> str:
    """The command that does the same on a user's videos."""
    lines = [
        "refine-motion fit --config configs/refine/flow.yaml",
        "--data.videos my_videos/ --workdir runs/mine",
        f"--model.weights {shlex.quote(result.plan.weights)}",
    ]
    return " \\\n  ".join(lines)


def _own_videos(result: DemoResult) -> Section:
    return Section(
        "On your own videos",
        "The same job on a folder of yours. With weights of your own instead of `embedded` it starts from a better "
        "model. Without ground truth the gain can only be estimated, and where nothing is better beyond noise you get "
        "your old weights back: keep some pairs with known motion aside, or compare both models by eye, before you "
        "switch.",
        [Command(own_command(result), "`my_videos/` is a folder of video files or of folders of frames.")],
    )


def _how(result: DemoResult) -> Section:
    plan = result.plan
    steps = {f"time: {title.lower()}": f"{seconds:.0f} s" for title, seconds in result.seconds.items()}
    return Section(
        "How this was made",
        blocks=[
            Command(
                f"refine-motion demo --domain {plan.domain} --minutes {plan.minutes:g} --seed {plan.seed} "
                f"--weights {shlex.quote(plan.weights)}"
            ),
            Facts(
                {
                    **steps,
                    "weights": plan.weights,
                    "clips": f"{plan.clips} learnt from, {plan.held_out} held out, {plan.frames} frames of "
                    f"{plan.size[1]} x {plan.size[0]}",
                    "training": f"{plan.steps} steps of {plan.batch_size} frame pairs, {plan.iters} iterations",
                    "without truth": result.refined.outcome.line(),
                    "seed": plan.seed,
                    "torch": torch.__version__,
                    "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
                }
            ),
        ],
    )
