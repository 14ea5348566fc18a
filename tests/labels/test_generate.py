from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from refine_motion.labels.generate import LabelModule, LabelWriter, TrackLabelModule, UnlabelledWindows
from refine_motion.labels.track_codec import TrackLabel
from refine_motion.labels.track_teacher import TrackLabelSettings, TrackTeacher
from refine_motion.labels.track_windows import TrackWindow, plan_track_windows
from refine_motion.video.index import build_index
from tests.labels.made_tracks import ToldWindows, made_tracks, ramps
from tests.labels.test_windows import video


class Noting(TrackTeacher):
    """A teacher that takes down what it is asked for."""

    def __init__(self, **more: Any) -> None:
        still = ToldWindows(lambda places, time: places)
        super().__init__(still, TrackLabelSettings(queries=("grid",), seeds=4, dense=0, **more))
        self.asked: list[tuple[Tensor, int]] = []

    def label(
        self, frames: Tensor, seed: int, queries: Tensor | None = None, times: Tensor | None = None
    ) -> TrackLabel:
        self.asked.append((frames, seed))
        self.times = times
        return made_tracks(torch.zeros(8, 2, 2))


@pytest.fixture
def windows() -> list[TrackWindow]:
    return plan_track_windows([video("a", 8)], 8, [1], 4, True)


def batch(number: int, frames: Tensor | None = None, problem: str | None = None) -> dict[str, Any]:
    return {"number": number, "frames": frames, "problem": problem}


def test_backward_windows_are_shown_from_their_last_frame(windows: list[TrackWindow]) -> None:
    teacher, frames = Noting(), ramps()
    module = TrackLabelModule(teacher, windows)
    made = [module.predict_step(batch(number, frames), 0) for number in (0, 1)]
    assert [[key for key, _ in labels] for labels in made] == [[window.key] for window in windows]
    (there, seed_there), (back, seed_back) = teacher.asked
    assert torch.equal(there, frames)
    assert torch.equal(back, frames.flip(0))
    # Each name has a draw of its own, the same in every run.
    assert seed_there == int(windows[0].key.digest[:8], 16) != seed_back
    # Where there are fewer windows than processes, the loader goes round.
    assert module.predict_step(batch(3, frames), 0)[0][0] == windows[1].key


def test_frames_between_are_handed_on_with_the_places_of_the_windows_own() -> None:
    windows = plan_track_windows([video("a", 15)], 8, [2], 4, True)
    teacher = Noting(views=("1x", "every frame"))
    assert teacher.between
    assert not Noting().between
    module = TrackLabelModule(teacher, windows)
    frames = ramps(15)
    for number, own in ((0, [0, 2, 4, 6, 8, 10, 12, 14]), (1, [14, 12, 10, 8, 6, 4, 2, 0])):
        module.predict_step(batch(number, frames), 0)
        seen, _ = teacher.asked[-1]
        assert teacher.times is not None
        assert torch.equal(seen[teacher.times], frames[own])


def test_windows_that_cannot_be_read_are_noted(windows: list[TrackWindow]) -> None:
    module = TrackLabelModule(Noting(), windows)
    assert module.predict_step(batch(0, None, "a is torn"), 0) == []
    assert module.problems == ["a is torn"]


def test_the_trainer_moves_the_models_and_threads_are_taken(windows: list[TrackWindow]) -> None:
    before = torch.get_num_threads()
    teacher = Noting(threads_per_process=before + 1)
    module = TrackLabelModule(teacher, windows)
    assert isinstance(module, LabelModule)
    assert {id(p) for p in module.parameters()} == {id(teacher.model.parameter)}
    try:
        module.on_predict_start()
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_a_prediction_run_fills_the_store(tmp_path: Path, clip_folder: Path) -> None:
    videos = build_index(str(clip_folder / "videos"), cache_dir=tmp_path / "index", progress=False).videos
    windows = plan_track_windows(videos, 8, [1], 1, True)
    assert len(windows) == 4
    teacher = Noting()
    store = teacher.store(tmp_path / "labels")
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        callbacks=[LabelWriter(store)],
    )
    loader = DataLoader(UnlabelledWindows(windows, strict=True), batch_size=None)
    trainer.predict(TrackLabelModule(teacher, windows), loader, return_predictions=False)
    assert store.missing([window.key for window in windows]) == []
    assert store.read(windows[3].key).places.shape == (8, 2, 2)
    for (forward, _), (backward, _) in zip(teacher.asked[::2], teacher.asked[1::2], strict=True):
        assert torch.equal(forward.flip(0), backward)
