"""``make real-tracks``: joints of a walking bear, tracked by optical flow with the real RAFT-small.

Linked flow is compared with standing still and with plain chaining from frame to frame.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from refine_motion.models.base import FlowModel
from refine_motion.models.linked_flow import LinkedFlow
from refine_motion.models.load import load_flow_model
from refine_motion.motion.grid import sample
from refine_motion.types import Tracks
from refine_motion.video.writer import write_video
from refine_motion.viz.tracks import draw_tracks, start_colours
from tests.real.bear import Joints, print_table, read_bear, scores

pytestmark = [pytest.mark.real_run, pytest.mark.timeout(3600)]

OUT = Path("runs") / "real_tracks"


@pytest.fixture(scope="module")
def bear(real_data: Path) -> Joints:
    return read_bear(real_data)


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
    print_table(found)
    OUT.mkdir(parents=True, exist_ok=True)
    colours = start_colours(start)
    write_video(OUT / "bear.mp4", (draw_tracks(f, tracks[0], t, colours) for t, f in enumerate(bear.frames)), 24)
    print(f"{OUT / 'bear.mp4'}")
    for name in ("standing still", "chained flow"):
        assert found["linked flow"]["PCK-T"] > found[name]["PCK-T"]
        assert found["linked flow"]["median error"] < found[name]["median error"]
