"""Fixtures that find the reference outputs and the real material, or skip with the reason; a small clip and weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

# A process for every core: with more threads than that they wait for each other. Torch must not be loaded yet.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Its log handler keeps the error stream of the first import, which must not be one that a test captures and closes.
import lightning.pytorch  # noqa: F401
import pytest
import torch

from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.models.registry import build_model
from refine_motion.models.weights import save_weights
from refine_motion.video.info import VideoInfo
from refine_motion.video.probe import ProbeWorker

Look = Callable[[ProbeWorker, Path, str], VideoInfo]

torch.set_flush_denormal(True)


@pytest.fixture(scope="session", autouse=True)
def look_into_videos() -> Iterator[Look]:
    """The same content is looked into but once, since that starts a process; gives what does so each time."""
    look, known = ProbeWorker.probe, dict[str, VideoInfo]()

    def remember(worker: ProbeWorker, path: Path, key: str) -> VideoInfo:
        if key not in known:
            known[key] = look(worker, path, key)
        return replace(known[key], path=path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProbeWorker, "probe", remember)
        yield look


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = os.environ.get("REFINE_MOTION_SHARED")
    if not folder:
        pytest.skip("REFINE_MOTION_SHARED is not set: the folder with reference outputs and real videos")
    return Path(folder)


@pytest.fixture(scope="session")
def reference(shared: Path) -> Path:
    return shared / "reference"


@pytest.fixture(scope="session")
def real_data(shared: Path) -> Path:
    return shared / "data"


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``videos/`` with one clip of 9 frames of 72x96 and ``truth/`` with two of its pairs."""
    folder = tmp_path_factory.mktemp("clip")
    write_clip(folder, seed=3, frames=9, size=(72, 96), max_speed=4.0, pairs=2)
    return folder


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save_weights(build_model("raft_small"), tmp_path_factory.mktemp("weights") / "untrained.safetensors")
