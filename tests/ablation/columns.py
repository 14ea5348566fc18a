"""What a recipe is tried on: videos to refine on, and truth that the training does not see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from refine_motion.benchmarks.flow_evaluation import evaluate_flow
from refine_motion.benchmarks.source_domain import ProceduralPairs
from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.models.base import FlowModel
from refine_motion.motion.grid import length, sample

ITERS = 12
_SIZE = (192, 256)
_CLIPS, _FRAMES, _HELD_OUT = 4, 7, 4
_OF_SOURCE = 24


@dataclass(frozen=True)
class Column:
    """Material that one model is refined on.

    Attributes:
        name: of its results.
        videos: what it is refined on, as of ``--data.videos``.
        options: what the material asks of every recipe.
        measure: of a model, figures by heading.
    """

    name: str
    videos: str
    options: tuple[str, ...]
    measure: Callable[[FlowModel], dict[str, float]]


def columns(shared: Path, made: Path, domains: list[str]) -> list[Column]:
    """The real pairs, the bear and some made domains.

    Args:
        shared: folder of real material.
        made: where clips are rendered to.
        domains: their names.
    """
    flow, bear = shared / "data" / "flow", shared / "data" / "davis" / "bear"
    made.mkdir(parents=True, exist_ok=True)
    listed = made / "real.txt"
    listed.write_text(f"{flow / 'rubberwhale'}\n{flow / 'grove2'}\n")
    found = [
        Column("real", str(listed), (), lambda model: _pairs(model, flow) | _source(model)),
        Column(
            "bear",
            str(bear / "frames"),
            ("--data.frame_steps=[1, 5]", "--data.max_pairs=8"),
            lambda model: {"bear joints": joints(model, bear)},
        ),
    ]
    return found + [_domain(made, name) for name in domains]


def _domain(made: Path, name: str) -> Column:
    learnt, kept = made / name, made / f"{name}_truth"
    for number in range(_CLIPS):
        if not (learnt / "videos" / f"{name}_{1000 + number:04d}.mp4").exists():
            write_clip(learnt, 1000 + number, _FRAMES, _SIZE, pairs=0, name=name)
    for number in range(_HELD_OUT):
        if not (kept / "truth" / f"{name}_{500_000 + number:04d}").exists():
            write_clip(kept, 500_000 + number, _FRAMES, _SIZE, pairs=3, name=name)

    def measure(model: FlowModel) -> dict[str, float]:
        return {name: evaluate_flow(model, kept / "truth", iters=ITERS, progress=False).mean.epe}

    return Column(f"domain {name}", str(learnt / "videos"), (), measure)


def _pairs(model: FlowModel, folder: Path) -> dict[str, float]:
    table = evaluate_flow(model, folder, iters=ITERS, progress=False)
    return {row.name: row.epe for row in table.rows}


@torch.no_grad()
def _source(model: FlowModel) -> dict[str, float]:
    """Error on the domain that the models of this project are pre-trained on: what is forgotten."""
    pairs, errors = ProceduralPairs(count=1000, seed=7), []
    for number in range(_OF_SOURCE):
        example = pairs.example(number)
        flow = model.flow(example["image_a"][None], example["image_b"][None], ITERS)
        errors.append(length(flow - example["flow"][None])[example["valid"]].mean().item())
    return {"source": float(np.mean(errors))}


@torch.no_grad()
def joints(model: FlowModel, folder: Path) -> float:
    """Median error in pixels of hand-labelled joints that flow carries from a labelled frame to the next one.

    Args:
        model: the model.
        folder: ``frames/`` and ``badja_joints.npz`` of a sequence.
    """
    labelled = np.load(folder / "badja_joints.npz")
    files = sorted((folder / "frames").glob("*.jpg"))
    frames = [torch.from_numpy(np.array(Image.open(files[n]))).permute(2, 0, 1)[None] for n in labelled["frames"]]
    xy, visible = torch.from_numpy(labelled["xy"]).float(), torch.from_numpy(labelled["visible"]).bool()
    errors = []
    for n in range(len(frames) - 1):
        seen = visible[n] & visible[n + 1]
        start, end = (xy[m][seen].T[None, :, None] for m in (n, n + 1))
        flow = model.flow(frames[n], frames[n + 1], ITERS)
        errors.append(length(start + sample(flow, start, "border") - end).flatten())
    return torch.cat(errors).median().item()
