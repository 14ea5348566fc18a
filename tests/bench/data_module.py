"""Frames per second of the training loader, against decord alone reading the same videos from start to end.

The loader reads windows in random order, each by itself with a decoder opened for it, and besides decoding reads the
labels, applies the paper's filters, makes flow maps of them, cuts crops and collates batches. Plain decord has one
decoder a video, open all the time, one thread, and reads window after window. The labels are made up: 60 % of the
pixels of every pair. Frames are counted as decoded and used; one epoch is timed, after one to warm up. A row of its own
says what of it is decoding: the same windows, read as the loader reads them, without labels.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, cast

import torch
from decord import VideoReader, cpu
from torch.utils.data import DataLoader

from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.store import LabelStore
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.dataset import TrainingPairs
from refine_motion.refine.order import WindowShuffle
from refine_motion.types import Evidence
from refine_motion.video.reader import read_frames
from tests.bench.material import data
from tests.bench.meter import seconds_of
from tests.bench.results import Row, row


def measure(
    device: str,
    out: str,
    videos: tuple[str, ...] = ("bag.avi", "pancake.mkv"),
    max_pairs: int | None = None,
    window: int = 8,
    crop: tuple[int, int] = (224, 320),
) -> list[Row]:
    """Frames and pairs per second with 0, 1 and 2 workers.

    Args:
        device: not used, decoding is the CPU's.
        out: not used.
        videos: to read.
        max_pairs: at most so many; None takes all.
        window: frames; the batch is its pairs.
        crop: ``(H, W)`` in pixels.
    """
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "videos.txt"
        listed.write_text("\n".join(str(data() / "videos" / video) for video in videos))
        module = VideoLabelDataModule(
            str(listed),
            labels=folder,
            cache=f"{folder}/index",
            window=window,
            max_pairs=max_pairs,
            holdout=0,
            crop=crop,
            batch_size=window - 1,
        )
        module.prepare_data()
        module.store = LabelStore(folder, "bench")
        _make_labels(module)
        plain = _decord_rate(module)
        alone = _window_rate(module)
        conditions = f"plain decord; {', '.join(videos)}, window {window}, no labels"
        rows.append(row("reading windows alone", alone, "frames/s", plain, conditions, True))
        for workers in (0, 1, 2):
            module.num_workers = workers
            frames, pairs = _loader_rates(module.train_dataloader())
            conditions = f"plain decord; {', '.join(videos)}, window {window}, {pairs:.3g} pairs/s"
            rows.append(row(f"training loader, num_workers {workers}", frames, "frames/s", plain, conditions, True))
    return rows


def _make_labels(module: VideoLabelDataModule) -> None:
    """The same smooth flow and small errors for every pair of a video."""
    generator = torch.Generator().manual_seed(0)
    made: dict[tuple[int, int], FlowLabel] = {}
    for window in module.windows:
        size = (window.clip.video.height, window.clip.video.width)
        if size not in made:
            count = min(200_000, round(0.6 * size[0] * size[1]))
            index = torch.randperm(size[0] * size[1], generator=generator)[:count].sort().values
            flow = torch.stack((index % size[1], index // size[1]), dim=1) / 40
            small = torch.rand(count, generator=generator)
            speed, none = flow.norm(dim=1), torch.zeros(count)
            evidence = Evidence(0.1 * small, speed, speed, 2 * small, 10 * small, none, none)
            made[size] = FlowLabel(size, index, flow, evidence)
        for key in window.label_keys():
            cast(LabelStore, module.store).write(key, made[size])


def _decord_rate(module: VideoLabelDataModule) -> float:
    """Frames per second of decord over the planned windows, every frame once."""
    wanted: dict[Path, dict[int, list[int]]] = {}
    for number, window in enumerate(module.windows):
        fresh = window.clip.frames[window.clip.shared :]
        wanted.setdefault(window.clip.video.path, {})[number] = list(fresh)

    def read() -> None:
        for path, windows in wanted.items():
            reader = VideoReader(str(path), ctx=cpu(0), num_threads=1)
            for frames in windows.values():
                reader.get_batch(frames).asnumpy()

    count = sum(len(frames) for windows in wanted.values() for frames in windows.values())
    read()
    return count / seconds_of(read, "cpu")


def _window_rate(module: VideoLabelDataModule) -> float:
    """Frames per second of reading the planned windows, each by itself."""

    def read() -> None:
        for window in module.windows:
            read_frames(window.clip.video, window.clip.frames)

    read()
    return sum(len(window.clip.frames) for window in module.windows) / seconds_of(read, "cpu")


def _loader_rates(loader: DataLoader[dict[str, Any]]) -> tuple[float, float]:
    """Frames and pairs per second of the second epoch."""
    order, dataset = cast(WindowShuffle, loader.sampler), cast(TrainingPairs, loader.dataset)
    for _ in loader:
        pass
    order.set_epoch(1)
    start = time.perf_counter()
    pairs = sum(len(batch["image_a"]) for batch in loader)
    seconds = time.perf_counter() - start
    frames = 0
    for batch in loader.batch_sampler or ():
        samples = [dataset.samples[request.number] for request in batch]
        used = {(w, position) for w, p in samples for position in dataset.source.windows[w].pairs[p]}
        frames += len(used)
    return frames / seconds, pairs / seconds
