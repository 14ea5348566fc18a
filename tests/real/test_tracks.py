"""``make real-tracks``: hand-labelled joints of a walking bear, tracked by optical flow with the real RAFT-small.

Protocol of BADJA as PIPs measures it: frames of 320x512, joints given in the first labelled frame, scored in all later
labelled ones. Linked flow is compared with standing still and with plain chaining from frame to frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from refine_motion.metrics.functional.tracks import correct_transfers, distance, survival
from refine_motion.models.base import FlowModel
from refine_motion.models.linked_flow import LinkedFlow
from refine_motion.models.load import load_flow_model
from refine_motion.motion.grid import sample
from refine_motion.types import Tracks
from refine_motion.video.writer import write_video
from refine_motion.viz.tracks import draw_tracks, start_colours

pytestmark = [pytest.mark.real_run, pytest.mark.timeout(3600)]

OUT = Path("runs") / "real_tracks"
HEIGHT, WIDTH = 320, 512
SURVIVAL = 50.0


@dataclass(frozen=True)
class Joints:
    """The part of a sequence from its first labelled frame to its last.

    Attributes:
        frames: ``(T, 3, 320, 512)`` uint8.
        areas: ``(T,)`` pixels of the animal.
        labelled: ``(L,)`` numbers of the labelled frames.
        xy: ``(L, N, 2)`` in pixels of the frames.
        visible: ``(L, N)``.
    """

    frames: Tensor
    areas: Tensor
    labelled: Tensor
    xy: Tensor
    visible: Tensor


@pytest.fixture(scope="module")
def bear(real_data: Path) -> Joints:
    folder = real_data / "davis" / "bear"
    content = np.load(folder / "badja_joints.npz")
    first, last = int(content["frames"][0]), int(content["frames"][-1])
    pictures = [Image.open(file) for file in sorted((folder / "frames").glob("*.jpg"))[first : last + 1]]
    masks = [Image.open(file) for file in sorted((folder / "masks").glob("*.png"))[first : last + 1]]
    scale = torch.tensor([WIDTH / pictures[0].width, HEIGHT / pictures[0].height])
    small = [np.array(picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)) for picture in pictures]
    areas = [(np.array(mask.resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)) > 0).sum() for mask in masks]
    return Joints(
        torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2),
        torch.tensor(np.array(areas)),
        torch.from_numpy(content["frames"]).long() - first,
        torch.from_numpy(content["xy"]).float() * scale,
        torch.from_numpy(content["visible"]).bool(),
    )


@pytest.fixture(scope="module")
def model(real_data: Path) -> FlowModel:
    return load_flow_model("raft_small", real_data / "weights" / "raft-small.pth")


@torch.no_grad()
def chained(model: FlowModel, frames: Tensor, xy: Tensor) -> Tensor:
    """Points moved by the flow from each frame to the next."""
    places = [xy]
    for a, b in pairwise(frames):
        flow = model.flow(a[None], b[None], 12)
        places.append(places[-1] + sample(flow, places[-1].T[None, :, None], "border")[0, :, 0].T)
    return torch.stack(places)


def scores(places: Tensor, bear: Joints) -> dict[str, float]:
    away = distance(places[bear.labelled], bear.xy)
    areas = bear.areas[bear.labelled]
    # All joints as published, and those alone that are seen in the first frame, where they were given.
    known = bear.visible & bear.visible[0]
    found, filtered = (correct_transfers(away, seen, areas) for seen in (bear.visible, known))
    return {
        "PCK-T": (100 * found[0] / found[1]).item(),
        "PCK-T, seen at first": (100 * filtered[0] / filtered[1]).item(),
        "median error": away[1:][known[1:]].median().item(),
        "survival": 100 * survival(away, known, SURVIVAL).item(),
    }


def test_joints_of_a_bear(bear: Joints, model: FlowModel) -> None:
    start = bear.xy[0]
    queries = torch.cat((torch.zeros(len(start), 1), start), dim=1)
    tracks: list[Tracks] = []

    def linked() -> Tensor:
        tracks.append(LinkedFlow(model).track(bear.frames, queries))
        return tracks[0].xy

    ways: dict[str, Callable[[], Tensor]] = {
        "standing still": lambda: start.expand(len(bear.frames), -1, -1),
        "chained flow": lambda: chained(model, bear.frames, start),
        "linked flow": linked,
    }
    found = {name: scores(way(), bear) for name, way in ways.items()}
    table = Table(title=f"davis/bear at {HEIGHT}x{WIDTH}; survival at {SURVIVAL:g} px")
    table.add_column("tracked by")
    for heading in found["linked flow"]:
        table.add_column(heading, justify="right")
    for name, row in found.items():
        table.add_row(name, *(f"{v:.1f} px" if "error" in key else f"{v:.1f} %" for key, v in row.items()))
    Console(width=120).print(table)
    OUT.mkdir(parents=True, exist_ok=True)
    colours = start_colours(start)
    write_video(OUT / "bear.mp4", (draw_tracks(f, tracks[0], t, colours) for t, f in enumerate(bear.frames)), 24)
    print(f"{OUT / 'bear.mp4'}")
    for name in ("standing still", "chained flow"):
        assert found["linked flow"]["PCK-T"] > found[name]["PCK-T"]
        assert found["linked flow"]["median error"] < found[name]["median error"]
