"""``make real-tracks-refine``: the flow-linked tracker of the real RAFT-small, refined on a bear without labels.

The flow model is refined by the preset ``configs/refine/flow.yaml`` on the bear's frames at 320x512, where BADJA is
scored, and then tracks the hand-labelled joints as before.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from refine_motion.models.linked_flow import LinkedFlow
from refine_motion.models.load import load_flow_model
from refine_motion.video.writer import write_video
from refine_motion.viz.tracks import draw_tracks, start_colours
from tests.real.bear import SURVIVAL, print_table, read_bear, scores

pytestmark = [pytest.mark.real_run, pytest.mark.timeout(3 * 3600)]

ROOT = Path(__file__).parents[2]
OUT = ROOT / "runs" / "real_tracks_refine"


def test_joints_of_a_bear_before_and_after(real_data: Path) -> None:
    """Goes on where it was interrupted: delete the folder to begin anew."""
    bear = read_bear(real_data)
    frames = OUT / "frames"
    frames.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(bear.frames):
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(frames / f"{number:05d}.png")
    weights = real_data / "weights" / "raft-small.pth"
    command = [
        *(sys.executable, "-m", "refine_motion", "fit"),
        *("--config", str(ROOT / "configs" / "refine" / "flow.yaml"), "--data.videos", str(frames)),
        *("--model.weights", str(weights), "--workdir", str(OUT / "refined"), "--trainer.accelerator", "cpu"),
        *("--seed_everything", os.environ.get("REFINE_MOTION_SEED", "0")),
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    start = bear.xy[0]
    queries = torch.cat((torch.zeros(len(start), 1), start), dim=1)
    found = {"standing still": scores(start.expand(len(bear.frames), -1, -1), bear)}
    colours = start_colours(start)
    for name, path in {"before": weights, "after": OUT / "refined" / "refined.safetensors"}.items():
        tracks = LinkedFlow(load_flow_model(None, path)).track(bear.frames, queries)
        found[name] = scores(tracks.xy, bear)
        write_video(OUT / f"{name}.mp4", (draw_tracks(f, tracks, t, colours) for t, f in enumerate(bear.frames)), 24)
    print_table(found)
    before, after = found["before"], found["after"]
    assert after["median error"] <= before["median error"]
    assert after["PCK-T"] >= before["PCK-T"]
    for limit in SURVIVAL:
        assert after[f"survival {limit:g}"] >= before[f"survival {limit:g}"]
