"""Material from which nothing good can be learnt: the result is no worse than the start, because the start is kept.

Clips of a made domain with exact truth, the packaged weights and the recipe of ``configs/refine/flow.yaml``; what is
judged is the mean end-point error on clips that the training did not see.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

import refine_motion as rm
from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.demo.job import AUGMENT, CEILING, DATA, FILTERS, TRAINING
from refine_motion.demo.plan import DemoPlan
from refine_motion.errors import RefineMotionError
from refine_motion.labels.teacher import LabelSettings
from refine_motion.models.load import load_model
from refine_motion.models.weights import save_weights
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.run import RefineResult
from refine_motion.video.index import build_index
from refine_motion.video.reader import read_frames
from refine_motion.video.writer import write_video

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PLAN = DemoPlan("sports")
SIZE = (128, 160)
STEPS = 80
SETTINGS = LabelSettings(iters=PLAN.label_iters, ceiling=CEILING, views=PLAN.label_views)
WORSE = 1.01


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``videos/`` of three clips to learn from, ``truth/`` of three others."""
    folder = tmp_path_factory.mktemp("clips")
    for seed in range(3):
        write_clip(folder, seed, 7, SIZE, pairs=0, name=PLAN.domain)
    for seed in range(100, 103):
        write_clip(folder / "held_out", seed, 7, SIZE, pairs=3, name=PLAN.domain)
    return folder


def refine(videos: Path, weights: str | Path, out: Path) -> RefineResult:
    return rm.refine(
        videos, None, weights, out, steps=STEPS, iters=PLAN.iters, augment=AUGMENT, filters=FILTERS, settings=SETTINGS,
        accelerator="cpu", batch_size=2, **TRAINING, **DATA,
    )  # fmt: skip


def change(result: RefineResult, weights: str | Path, truth: Path) -> float:
    """Error after over error before; printed, so that one sees what was near."""
    table = rm.evaluate_flow(
        load_model(None, result.weights), truth, load_model(None, weights), PLAN.iters, progress=False
    )
    last = rm.evaluate_flow(load_model(None, result.files["student"]), truth, iters=PLAN.iters, progress=False)
    assert table.mean.epe_against is not None
    ratio = table.mean.epe / table.mean.epe_against
    unchecked = last.mean.epe / table.mean.epe_against
    told = ", ".join(f"{name} {100 * (value - 1):+.1f} %" for name, value in (("result", ratio), ("last", unchecked)))
    print(f"\n{result.outcome.line()}\n  true change: {told}")
    return ratio


def test_noisy_weights(clips: Path, tmp_path: Path) -> None:
    model = load_model(None, "embedded")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 1 + 0.1 * torch.randn(parameter.shape, generator=generator)
    noisy = save_weights(model, tmp_path / "noisy.safetensors")
    result = refine(clips / "videos", noisy, tmp_path / "run")
    assert change(result, noisy, clips / "held_out" / "truth") <= WORSE


def test_labels_of_other_clips(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    store = rm.label(clips / "videos", None, "embedded", out / "labels", SETTINGS, "cpu", num_workers=1)
    data = VideoLabelDataModule(str(clips / "videos"), cache=str(out / "index"))
    data.prepare_data()
    data.setup("fit")
    by_video = [list(keys) for _, keys in itertools.groupby(data.label_keys(), key=lambda key: key.video)]
    assert len(by_video) == 3
    labels = [[store.read(key) for key in keys] for keys in by_video]
    for number, keys in enumerate(by_video):
        for key, label in zip(keys, labels[(number + 1) % 3], strict=True):
            store.write(key, label)
    result = refine(clips / "videos", "embedded", out)
    assert change(result, "embedded", clips / "held_out" / "truth") <= WORSE


def test_a_static_video(clips: Path, tmp_path: Path) -> None:
    frames = read_first(clips)
    (tmp_path / "videos").mkdir()
    for number, frame in enumerate(frames):
        write_video(tmp_path / "videos" / f"{number}.mp4", frame[None].repeat(8, 1, 1, 1), 24)
    result = refine(tmp_path / "videos", "embedded", tmp_path / "run")
    assert change(result, "embedded", clips / "held_out" / "truth") <= WORSE


def test_a_slideshow(clips: Path, tmp_path: Path) -> None:
    """Every frame is another scene: either no pair is left between the cuts, or what is learnt from them is refused."""
    for seed in range(200, 210):
        write_clip(tmp_path / "scenes", seed, 2, SIZE, pairs=0, name=PLAN.domain)
    slides = torch.cat(
        [read_frames(v, [0]) for v in build_index(tmp_path / "scenes" / "videos", progress=False).videos]
    )
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "slides.mp4", slides, 24)
    try:
        result = refine(tmp_path / "videos", "embedded", tmp_path / "run")
    except RefineMotionError as refusal:
        print(f"\nrefused: {refusal}")
        assert not (tmp_path / "run" / "refined.safetensors").exists()
        return
    assert change(result, "embedded", clips / "held_out" / "truth") <= WORSE


def test_slow_motion_and_then_fast(tmp_path: Path) -> None:
    for seed in range(3):
        write_clip(tmp_path / "slow", seed, 7, SIZE, max_speed=1.0, pairs=0, name=PLAN.domain)
    for seed in range(100, 103):
        write_clip(tmp_path / "fast", seed, 7, SIZE, max_speed=20.0, pairs=3, name=PLAN.domain)
    result = refine(tmp_path / "slow" / "videos", "embedded", tmp_path / "run")
    assert change(result, "embedded", tmp_path / "fast" / "truth") <= WORSE


def read_first(clips: Path) -> list[torch.Tensor]:
    """The first frame of every clip to learn from."""
    return [read_frames(video, [0])[0] for video in build_index(clips / "videos", progress=False).videos]
