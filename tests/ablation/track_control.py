"""``python -m tests.ablation.track_control``: what small PIPs gains by further training that sees no target domain.

Pieces of pictures of the source domain move before one another, as pieces of the own frames do in a refinement; there
are no labels. What that gives on the target domains is not to be credited to refinement on them. As a refinement takes
half of the way to its trained weights, half of this way is judged beside all of it.
"""

from __future__ import annotations

import argparse
import copy
import shutil
from pathlib import Path
from statistics import mean

import torch
from rich.progress import track

from refine_motion.benchmarks.synthetic.domains import TARGETS
from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.demo.stages import DemoFolder, Stages, render
from refine_motion.demo.tracks import TrackPlan, judge_clips
from refine_motion.models.load import load_model
from refine_motion.models.pips import Pips
from refine_motion.refine.candidates import mixture
from refine_motion.refine.made_tracks import random_clip
from refine_motion.refine.panel import LARGEST_TRACK_SHARE
from refine_motion.refine.track_losses import score_map_loss, track_sequence_loss

# As in the demonstration for tracks.
_SIZE, _FRAMES, _WINDOW, _TRACKS = (192, 256), 20, 8, 128
_RATE, _GAMMA = 1e-4, 0.8
# First seed of scenes to take pictures from, and how many of them.
_PICTURES, _SCENES = 1000, 6


def packaged() -> Pips:
    """The small PIPs that comes with the package."""
    model = load_model(None, "embedded_pips")
    assert isinstance(model, Pips)
    return model


def further_trained(steps: int) -> Pips:
    """The packaged weights after so many clips, one a step."""
    scenes = [random_scene(_PICTURES + n, _SIZE, None, _FRAMES, "source") for n in range(_SCENES)]
    pictures = [scene.render(t) for scene in scenes for t in range(0, _FRAMES, 2)]
    model = packaged().train()
    model.vis_predictor.requires_grad_(False)
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learnt, _RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _RATE, steps, pct_start=0.1, cycle_momentum=False, anneal_strategy="linear"
    )
    for step in track(range(steps), "training", transient=True):
        source = torch.Generator().manual_seed(step)
        chosen = [pictures[n] for n in torch.randint(len(pictures), (3,), generator=source).tolist()]
        clip = random_clip(chosen, _WINDOW, _TRACKS, step)
        xy, inside, visible = (part[None].float() for part in clip[1:])
        found = model.predict(model.encode(clip.frames)[None], xy[:, 0], model.iters, score_maps=True)
        loss = track_sequence_loss(found.coords, xy, inside, _GAMMA)
        loss = loss + score_map_loss(found.score_maps, xy / model.stride, visible, inside)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def halfway(start: Pips, end: Pips) -> Pips:
    """The weights between two models at which a refinement of tracks stops."""
    model = copy.deepcopy(end)
    model.load_state_dict(dict(mixture(start.state_dict(), end.state_dict(), LARGEST_TRACK_SHARE)))
    return model


def table(rows: dict[str, tuple[float, ...]]) -> str:
    """Of each domain delta_avg before; and of half and all of the way, the mean change and that of the worst video."""
    lines = ["| domain | before | half of the way | worst video | all of it | worst video |", "|---" * 6 + "|"]
    before, half, worst_half, whole, worst_whole = zip(*rows.values(), strict=True)
    overall = (mean(before), mean(half), min(worst_half), mean(whole), min(worst_whole))
    for name, (first, *changes) in {**rows, "mean": overall}.items():
        lines.append(f"| {name} | {first:.1f} | {' | '.join(f'{change:+.2f}' for change in changes)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0; a wrong call exits with 2."""
    parser = argparse.ArgumentParser(prog="python -m tests.ablation.track_control", description=__doc__)
    parser.add_argument("--domains", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--steps", type=int, default=264)
    parser.add_argument("--out", type=Path, default=Path("runs/ablation/track_control"))
    chosen = parser.parse_args(arguments)
    torch.set_flush_denormal(True)
    start, end = packaged(), further_trained(chosen.steps)
    models = {"before": start, "half of the way": halfway(start, end), "all of it": end}
    rows: dict[str, tuple[float, ...]] = {}
    for domain in chosen.domains:
        # The held-out videos of the demonstration, judged as it judges them.
        plan, folder = TrackPlan(domain, clips=0), DemoFolder(chosen.out / domain)
        shutil.rmtree(folder.root, ignore_errors=True)
        render(plan, folder, Stages(lambda title, _: None), pairs=0)
        scores = {name: judge_clips(plan, folder, model) for name, model in models.items()}
        before = scores.pop("before")
        changes = [[after[name] - before[name] for name in before] for after in scores.values()]
        rows[domain] = (mean(before.values()), *(of_clips(part) for part in changes for of_clips in (mean, min)))
        (chosen.out / "table.md").write_text(table(rows))
    print(table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
