"""``refine-motion demo``: the whole main job on a small procedural clip, ending in a table and a picture."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import seed_everything
from rich.console import Console
from torch.utils.data import DataLoader

from refine_motion.benchmarks.flow_evaluation import evaluate_flow
from refine_motion.benchmarks.pairs import find_pairs, read_pair
from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.benchmarks.synthetic.stream import FlowPairs
from refine_motion.errors import ConfigError
from refine_motion.labels.select import CycleRule, LabelFilter, select
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.teacher import LabelSettings
from refine_motion.models.base import FlowModel
from refine_motion.models.load import load_model
from refine_motion.models.weights import save_weights
from refine_motion.motion.grid import length
from refine_motion.pretrain.module import PretrainModule
from refine_motion.refine.api import refine
from refine_motion.refine.trainer import RefineTrainer
from refine_motion.video.content import content_key
from refine_motion.viz.figure import Panel, save_panels
from refine_motion.viz.flow import error_to_rgb, flow_to_rgb, overlay_flow

ITERS = 8
SCENES = 400
TEACHER_STEPS = 500
REFINE_STEPS = 120
_MARK = ".made_by_refine_motion_demo"


def main(args: list[str]) -> int:
    """Run the demo.

    Args:
        args: ``--out FOLDER``, ``--seed N``.
    """
    parser = argparse.ArgumentParser(prog="refine-motion demo", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), help="folder for everything (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of scenes, weights and training (default: %(default)s)")
    options = parser.parse_args(args)
    out: Path = options.out
    console = Console()
    _start_anew(out)

    console.rule("1  a procedural clip with exact flow")
    video = write_clip(out / "clip", seed=options.seed + 1000, frames=33, size=(192, 256), max_speed=12.0)
    console.print(f"{video} and four of its frame pairs with their true flow", markup=False)

    console.rule("2  a teacher")
    console.print(
        f"No trained weights come with this version: RAFT-small is trained from nothing for about a minute "
        f"({TEACHER_STEPS} steps) on other scenes of the same procedural source. It will be a weak one."
    )
    teacher = _train_teacher(out / "teacher.safetensors", options.seed)

    console.rule("3  labels, then refinement, without the true flow")
    # So weak a teacher seldom meets the paper's rule; this is four times that, all that is stored.
    filters: dict[str, LabelFilter] = {"cycle": CycleRule(alpha=0.008, beta=0.4)}
    result = refine(
        video,
        "raft_small",
        teacher,
        out / "refined",
        steps=REFINE_STEPS,
        iters=ITERS,
        filters=filters,
        settings=LabelSettings(iters=ITERS),
        seed=options.seed,
        accelerator="cpu",
        crop=(160, 224),
        batch_size=2,
        num_workers=1,
    )

    console.rule("4  before and after, against the true flow")
    before, after = load_model("raft_small", teacher), load_model("raft_small", result.weights)
    table = evaluate_flow(after, out / "clip" / "truth", against=before, iters=ITERS)
    table.print()
    picture = out / "demo.png"
    _draw(picture, out / "clip" / "truth", video, result.store, list(filters.values()), before, after)
    console.print(f"picture: {picture}\nrefined weights: {result.weights}", markup=False, soft_wrap=True)
    return 0


def _start_anew(out: Path) -> None:
    """Empty the folder of an earlier demo.

    Raises:
        ConfigError: the folder holds what no demo wrote.
    """
    if out.exists():
        if not (out / _MARK).is_file() and any(out.iterdir()):
            raise ConfigError(f"{out}: holds files that the demo did not write; choose another folder with --out")
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / _MARK).touch()


def _train_teacher(path: Path, seed: int) -> Path:
    """A RAFT-small that knows nothing but a few hundred small procedural pairs."""
    seed_everything(seed, verbose=False)
    # Pairs are rendered once: rendering new ones all along would cost more than training on them.
    pairs = FlowPairs(SCENES, (64, 96), max_speed=14.0, seed=seed)
    rendered = list(DataLoader(pairs, batch_size=None, num_workers=2))
    module = PretrainModule("raft_small", iters=4, learning_rate=1e-3, augment=False)
    trainer = RefineTrainer(
        accelerator="cpu",
        devices=1,
        max_steps=TEACHER_STEPS,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(rendered, batch_size=4, shuffle=True))  # type: ignore[arg-type]
    return save_weights(module.model, path, {"steps": TEACHER_STEPS, "seed": seed, "source": "procedural"})


def _draw(
    path: Path,
    truth: Path,
    video: Path,
    store: LabelStore,
    filters: Sequence[LabelFilter],
    before: FlowModel,
    after: FlowModel,
) -> None:
    """A row per true pair: frame, kept labels, true flow, and the error before and after."""
    found = []
    for pair in find_pairs(truth):
        a, b, flow, valid = read_pair(pair)
        frame = int(pair.flow.stem.split("_")[-1])
        label = store.read(PairKey(content_key(video), frame, frame + 1))
        dense, kept = label.dense(select(filters, label.evidence, seed=0))
        errors = [length(m.flow(a[None], b[None], ITERS) - flow[None])[0] for m in (before, after)]
        found.append((frame, a, dense, kept[0], flow, valid, errors))
    max_speed = max(length(flow[None]).max().item() for *_, flow, _, _ in found)
    max_error = max(float(errors[0].quantile(0.98)) for *_, errors in found)
    rows = [
        [
            Panel(a, f"frame {frame}"),
            Panel(overlay_flow(a, dense, kept, max_speed), f"labels kept: {kept.float().mean():.0%} of the pixels"),
            Panel(flow_to_rgb(flow, max_speed), "true flow"),
            *(
                Panel(
                    error_to_rgb(error, max_error, valid), f"error {name}: {error[valid].mean():.2f} px", is_error=True
                )
                for name, error in zip(("before", "after"), errors, strict=True)
            ),
        ]
        for frame, a, dense, kept, flow, valid, errors in found
    ]
    save_panels(path, rows, max_speed=max_speed, max_error=max_error)
