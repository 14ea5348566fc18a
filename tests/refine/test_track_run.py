from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.errors import ConfigError, LabelError
from refine_motion.labels.adaptive import AdaptiveCycle
from refine_motion.labels.densify import Densify
from refine_motion.labels.select import CycleRule, LabelRule, SoftWeight
from refine_motion.labels.track_rules import AllFrames, MinTrackSpeed
from refine_motion.labels.track_summary import summarise_tracks
from refine_motion.labels.track_teacher import TrackLabelSettings
from refine_motion.models.load import load_model
from refine_motion.models.registry import build_model
from refine_motion.models.weights import save_weights
from refine_motion.refine import stage1, track_datamodule, track_dataset
from refine_motion.refine.clip_augment import ClipAugmentation
from refine_motion.refine.decision import IMPROVED, KEPT
from refine_motion.refine.holdout import PARTS
from refine_motion.refine.made_tracks import MadeClip, random_clip
from refine_motion.refine.run import RefineResult, refine_once
from refine_motion.refine.selection import SelectionSettings
from refine_motion.refine.stage1 import label_videos
from refine_motion.refine.track_datamodule import TrackDataModule
from refine_motion.refine.track_dataset import TrackSource
from refine_motion.refine.track_module import TrackRefineModule
from refine_motion.refine.trainer import RefineTrainer
from refine_motion.video.index import VideoIndex
from refine_motion.video.info import VideoInfo

LOOSE: dict[str, LabelRule] = {"cycle": AllFrames(1000.0)}
SETTINGS = TrackLabelSettings(iters=1, seeds=24, dense=8, ceiling=1000.0)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tracks")
    for seed in (3, 4):
        write_clip(folder, seed, 20, (64, 96), pairs=0)
    return folder / "videos"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save_weights(build_model("pips_small"), tmp_path_factory.mktemp("weights") / "pips.safetensors")


def data_of(videos: Path, folder: Path, **more: object) -> TrackDataModule:
    options = {"stride": 4, "backward": False, "points": 12, "num_workers": 0, "holdout": 0.3, **more}
    return TrackDataModule(
        str(videos),
        str(folder / "labels"),
        str(folder / "index"),
        filters=LOOSE,
        **options,  # type: ignore[arg-type]
    )


def module_of(weights: Path, **more: object) -> TrackRefineModule:
    augment = ClipAugmentation(jitter_probability=0, occluder_probability=0, crop=(64, 64))
    options = {"iters": 1, "learning_rate": 1e-3, "augment": augment, **more}
    return TrackRefineModule(None, str(weights), **options)  # type: ignore[arg-type]


def quick_trainer() -> RefineTrainer:
    return RefineTrainer(
        accelerator="cpu", devices=1, max_steps=2, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, check_val_every_n_epoch=None, val_check_interval=2,
    )  # fmt: skip


def refined(videos: Path, weights: Path, folder: Path, **more: object) -> RefineResult:
    selection = SelectionSettings(snapshots=0)
    return refine_once(
        quick_trainer(), module_of(weights), data_of(videos, folder, **more), SETTINGS, folder, selection=selection
    )


def test_both_stages_the_choice_and_no_second_time(
    videos: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = refined(videos, weights, tmp_path, max_windows=2)
    assert result.outcome.decision in (IMPROVED, KEPT)
    assert "Held out to judge by: blocks of the picture" in capsys.readouterr().out
    assert result.labels.count == 2
    assert {"val/cycle_error", "val/label_epe", "val/teacher_cycle_error"} <= set(result.held_out)
    assert json.loads((tmp_path / "result.json").read_text())["outcome"]["decision"] == result.outcome.decision
    before, after = load_model(None, weights).state_dict(), load_model(None, result.files["student"]).state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert any(name.startswith("fnet.") for name in changed)
    assert any(name.startswith("delta_block.") for name in changed)
    # What a teacher cannot see is not taught.
    assert not any(name.startswith("vis_predictor.") for name in changed)
    if result.outcome.decision == KEPT:
        chosen = load_model(None, result.weights).state_dict()
        assert all(torch.equal(value, chosen[name]) for name, value in before.items())
    capsys.readouterr()
    refined(videos, weights, tmp_path, max_windows=2)
    said = capsys.readouterr()
    assert "labelled already" in said.out + said.err
    assert "finished already" in said.out + said.err


def test_nothing_is_judged_on_frames_that_were_trained_on(weights: Path, tmp_path: Path) -> None:
    write_clip(tmp_path, 5, 84, (64, 96), pairs=0)
    data = data_of(tmp_path / "videos", tmp_path, stride=8)
    store, _ = label_videos(quick_trainer(), module_of(weights).labelling(SETTINGS), data)

    def parts() -> list[TrackSource]:
        training = data.train_dataloader().dataset.source  # type: ignore[attr-defined]
        return [training, *(data.held_out_samples(part).source for part in PARTS)]

    found = parts()
    assert [len(part.windows) for part in found] == [6, 2, 3]
    frames = [{time for window in part.windows for time in window.clip.frames} for part in found]
    assert not frames[0] & (frames[1] | frames[2])
    assert not frames[1] & frames[2]
    # The last two windows overlap, and say nothing independent of one another.
    first, *others = (sample["unit"] for sample in data.held_out_samples("decide"))
    assert others == [others[0]] * 2
    assert first != others[0]
    # Where most of a half could not be labelled, the rest is parted anew.
    for window in found[2].windows:
        store.path(window.key).unlink()
    # What is labelled is looked up once for each store.
    data.store = copy.copy(store)
    assert [len(part.windows) for part in parts()] == [4, 2, 2]


def test_what_serves_nothing_is_not_labelled_unless_it_was_asked_for(tmp_path: Path) -> None:
    times = tuple(frame / 10 for frame in range(400))
    video = VideoInfo(Path("a.mp4"), "a", 400, 96, 72, 10.0, times, (0,), (), "decord", ())
    (tmp_path / "points.csv").write_text("frame,x,y\n" + "".join(f"{frame},9,9\n" for frame in range(0, 400, 10)))
    lost = []
    for points in (None, str(tmp_path / "points.csv")):
        # Points of one's own are not thinned out.
        most = None if points is None else 10
        data = TrackDataModule("a.mp4", holdout=0.2, backward=False, own_points=points, max_windows=most)
        planned = data.plan([video])
        data._plan(VideoIndex([video], []))
        used = data.hold_out(planned).used
        assert len(used) < len(planned)
        lost.append((len(planned) - len(data.windows), len(planned) - len(used)))
        assert re.search(rf"\d+ windows, while \d+ are trained on; {lost[-1][1]} between", data.held_out())
    assert lost[0][0] == lost[0][1]
    assert lost[1][0] == 0


@pytest.mark.parametrize(("most", "count"), [(120, 120), (121, 120), (1, 1), (1000, 240)])
def test_windows_that_are_thinned_out_still_go_both_ways(most: int, count: int) -> None:
    times = tuple(frame / 10 for frame in range(484))
    video = VideoInfo(Path("a.mp4"), "a", 484, 96, 72, 10.0, times, (0,), (), "decord", ())
    data = TrackDataModule("a.mp4", holdout=0.2, backward=True, max_windows=most)
    windows = data.thin_out(data.plan([video]))
    assert len(windows) == count
    assert sum(window.backward for window in windows) == count // 2


def points_of(folder: Path, text: str, **more: object) -> TrackDataModule:
    (folder / "points.csv").write_text("frame,x,y\n" + text)
    return TrackDataModule("a.mp4", own_points=str(folder / "points.csv"), **more)  # type: ignore[arg-type]


def own_video() -> VideoInfo:
    times = tuple(frame / 10 for frame in range(40))
    return VideoInfo(Path("a.mp4"), "a", 40, 320, 240, 10.0, times, (0,), (3,), "decord", ())


def test_a_few_points_of_ones_own_are_told_that_they_prove_nothing(tmp_path: Path) -> None:
    few = points_of(tmp_path, "9,20,20\n9,300,200\n")
    few._plan(VideoIndex([own_video()], []))
    assert re.search(r"\d of your points to choose weights by, \d to decide by, too few to tell", few.held_out())
    many = points_of(tmp_path, "".join(f"9,{x},{y}\n" for x in range(0, 320, 16) for y in range(0, 240, 16)))
    many._plan(VideoIndex([own_video()], []))
    found = re.search(r"(\d+) of your points to choose weights by, (\d+) to decide by$", many.held_out())
    assert found
    blocks = many._held.blocks
    assert blocks
    for part, told in zip(PARTS, found.groups(), strict=True):
        assert int(told) == int(blocks.judged((240, 320), (part,))[::16, ::16].sum()) > 5


def test_points_are_counted_in_the_blocks_of_the_frames_that_are_judged(tmp_path: Path) -> None:
    """Frames are brought to another size, which has other blocks."""
    data = points_of(tmp_path, "".join(f"9,{x},{y}\n" for x in range(0, 320, 8) for y in range(0, 240, 8)))
    data._shown_size = lambda size: (860, 1145)
    data._plan(VideoIndex([own_video()], []))
    found = re.search(r"(\d+) of your points to choose weights by, (\d+) to decide by$", data.held_out())
    assert found
    blocks = data._held.blocks
    assert blocks
    x, y = (((torch.arange(0, side, 8) + 0.5) * scale - 0.5).round().long() for side, scale in (
        (320, 1145 / 320), (240, 860 / 240)))  # fmt: skip
    for part, told in zip(PARTS, found.groups(), strict=True):
        region = blocks.judged((860, 1145), (part,))
        assert int(told) == int(region[y[:, None], x[None]].sum()) > 5


def test_points_around_which_nothing_fits_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # Of the first shot there are three frames.
    with caplog.at_level("INFO"):
        windows = points_of(tmp_path, "1,20,20\n9,300,200\n").plan([own_video()])
    assert {window.key.frames[0] for window in windows} == {9}
    assert "a.mp4: points in frame 1 are left out: no 8 frames" in caplog.text


def test_points_of_ones_own_are_in_frames_not_in_time(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^data: own_points [^\n]+ seconds_per_step$"):
        points_of(tmp_path, "1,20,20\n", seconds_per_step=0.2)


def test_crops_that_the_model_cannot_take_are_refused_at_once(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"^model\.augment\.crop must be at least \d+ pixels [^\n]*\[16, 64\]$"):
        module_of(weights, augment=ClipAugmentation(crop=(16, 64)))


def test_few_windows_hold_blocks_of_the_picture_out(videos: Path, weights: Path, tmp_path: Path) -> None:
    data = data_of(videos, tmp_path, max_windows=3)
    label_videos(quick_trainer(), module_of(weights).labelling(SETTINGS), data)
    data.setup("fit")
    trained, held = set(), set()
    for number in range(3):
        _, label, weight = data.train_dataloader().dataset.source.read(number)  # type: ignore[attr-defined]
        trained |= {(number, *xy) for xy in label.xy[weight > 0].tolist()}
    for part in ("choose", "decide"):
        for sample in data.held_out_samples(part):  # type: ignore[arg-type]
            held |= {(sample["window"], *xy) for xy in sample["places"][0].tolist()}
    assert trained
    assert held
    assert not trained & held


def test_a_flow_model_is_told_where_to_go(tmp_path: Path) -> None:
    path = save_weights(build_model("raft_small"), tmp_path / "raft.safetensors")
    with pytest.raises(ConfigError, match="not a PIPs"):
        TrackRefineModule(None, str(path))


def test_labels_of_another_window_length(videos: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="frames"):
        refined(videos, weights, tmp_path, frames=6)


def test_batches_of_frames_of_one_size(videos: Path, weights: Path, tmp_path: Path) -> None:
    write_clip(tmp_path, 6, 20, (68, 96), pairs=0)
    for seed in (3, 4):
        (tmp_path / "videos" / f"{seed}.mp4").symlink_to(next(videos.glob(f"*{seed}.mp4")))
    with pytest.raises(ConfigError, match=r"^data\.batch_size is 2, but [^\n]*96x64[^\n]*96x68: set batch_size 1, or"):
        refined(tmp_path / "videos", weights, tmp_path / "mixed", batch_size=2)
    brought = replace(SETTINGS, size=(64, 96))
    data = data_of(tmp_path / "videos", tmp_path / "brought", batch_size=2, max_windows=6)
    label_videos(quick_trainer(), module_of(weights).labelling(brought), data)
    loader = data.train_dataloader()
    assert next(iter(loader))["frames"].shape == (2, 8, 3, 64, 96)
    quick_trainer().fit(module_of(weights), datamodule=data)
    source = loader.dataset.source  # type: ignore[attr-defined]
    assert {window.clip.video.height for window in source.windows} == {64, 68}
    # Pieces of made clips too.
    assert {source.picture(number).shape for number in range(len(source.windows))} == {(3, 64, 96)}


def test_rules_for_pairs_are_refused(videos: Path, tmp_path: Path) -> None:
    for rule in (CycleRule(), SoftWeight(), AdaptiveCycle(), Densify()):
        with pytest.raises(
            ConfigError, match=rf"^data\.filters\.cycle: {type(rule).__name__} is for flow; [^\n]*AllFrames"
        ):
            TrackDataModule(str(videos), filters={"cycle": rule})


def test_some_samples_are_made_of_the_own_frames(
    videos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def noted(pictures: Sequence[Tensor], *rest: Any) -> MadeClip:
        used.append(pictures)
        return random_clip(pictures, *rest)

    monkeypatch.setattr(track_dataset, "random_clip", noted)
    samples = {}
    for share in (0.0, 0.5):
        data = data_of(videos, tmp_path, made_share=share)
        data.setup("fit")
        label_videos(quick_trainer(), module_of(weights).labelling(SETTINGS), data)
        # Twice around.
        samples[share] = [sample for _ in range(2) for sample in data.train_dataloader()]
    made = [not torch.equal(a["xy"], b["xy"]) for a, b in zip(samples[0.0], samples[0.5], strict=True)]
    assert 0 < sum(made) < len(made)
    for is_made, plain, mixed in zip(made, samples[0.0], samples[0.5], strict=True):
        assert {name: value.shape for name, value in plain.items() if isinstance(value, Tensor)} == {
            name: value.shape for name, value in mixed.items() if isinstance(value, Tensor)
        }
        assert torch.equal(plain["frames"], mixed["frames"]) != is_made
        if is_made:
            # Its own first frame lies behind the pieces.
            ground, *others = used.pop(0)
            assert torch.equal(ground, plain["frames"][0, 0])
            assert len(others) == 2
            assert mixed["visible"][:, 0].all()
            assert not (mixed["visible"] & ~mixed["valid"]).any()


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_of_made_motion_that_leaves_no_label_is_refused(videos: Path, tmp_path: Path, share: float) -> None:
    with pytest.raises(ConfigError, match="made_share"):
        data_of(videos, tmp_path, made_share=share)


def test_a_video_too_short_for_its_time_step_is_told_so(tmp_path: Path) -> None:
    data = TrackDataModule("a.mp4", seconds_per_step=1.0)
    assert data.too_short(own_video()) == "no shot of its 40 frames holds 8 frames 1 s apart"


def test_not_all_of_many_held_out_windows_are_measured_along_the_training(
    videos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track_datamodule, "_MEASURED", 2)
    data = data_of(videos, tmp_path, max_windows=3)
    label_videos(quick_trainer(), module_of(weights).labelling(SETTINGS), data)
    (loader,) = data.val_dataloader()
    assert len(loader) == 2
    # What is labelled is looked up once, however often it is asked for: every label is a file.
    monkeypatch.setattr(type(data.store), "missing", None)
    data.train_dataloader()
    data.held_out_samples("choose")


def test_filters_that_keep_nothing_of_what_is_looked_at_end_a_run(
    videos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of(videos, tmp_path, max_windows=3)
    data.filters = [MinTrackSpeed(1000.0)]
    monkeypatch.setattr(stage1, "summarise_tracks", partial(summarise_tracks, max_read=2))
    with pytest.raises(LabelError, match="keep none of the stored labels of the 2 windows that were looked at"):
        label_videos(quick_trainer(), module_of(weights).labelling(SETTINGS), data)


class Losses(Callback):
    """Notes the loss of every step, and stops before one."""

    def __init__(self, stop_before: int | None = None):
        self.stop_before, self.seen = stop_before, dict[int, float]()

    def on_train_batch_start(self, trainer: Trainer, *_: object) -> None:
        if trainer.global_step == self.stop_before:
            raise StopError

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        self.seen[trainer.global_step] = trainer.callback_metrics["train/loss"].item()


class StopError(Exception):
    pass


def test_an_interrupted_run_of_tracks_ends_as_if_it_had_not_been(
    videos: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(folder: Path, losses: Losses) -> RefineResult:
        saving = ModelCheckpoint(folder / "checkpoints", every_n_train_steps=2, save_last=True)
        trainer = RefineTrainer(
            accelerator="cpu", devices=1, max_steps=5, logger=False, callbacks=[losses, saving],
            enable_progress_bar=False, check_val_every_n_epoch=None, val_check_interval=2,
        )  # fmt: skip
        module, data = module_of(weights, ema=0.9), data_of(videos, tmp_path, max_windows=3, made_share=0.5)
        return refine_once(trainer, module, data, SETTINGS, folder, selection=SelectionSettings(snapshots=0))

    whole, rest = Losses(), Losses()
    expected = run(tmp_path / "whole", whole)
    with pytest.raises(StopError):
        run(tmp_path / "cut", Losses(3))
    capsys.readouterr()
    resumed = run(tmp_path / "cut", rest)
    assert "going on from" in capsys.readouterr().out
    assert list(rest.seen) == [3, 4, 5]
    assert rest.seen == pytest.approx({step: whole.seen[step] for step in rest.seen}, rel=1e-5)
    for name, path in expected.files.items():
        found = load_model(None, resumed.files[name]).state_dict()
        for key, value in load_model(None, path).state_dict().items():
            torch.testing.assert_close(found[key], value, atol=1e-6, rtol=1e-5)
    assert resumed.outcome.decision == expected.outcome.decision


def test_places_keep_float32_where_the_rest_is_mixed(weights: Path) -> None:
    """Of what is corrected too: half precision has steps of half a pixel at 16 cells."""
    module = module_of(weights, iters=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = module.student.encode(torch.randint(0, 255, (8, 3, 64, 64), dtype=torch.uint8))[None]
        assert maps.dtype == torch.bfloat16
        found = module.student.predict(maps, torch.rand(1, 6, 2) * 63, 2, score_maps=True)
        change = module.student.delta_block(torch.rand(3, 8, 64), torch.rand(3, 8, 196), torch.rand(3, 8, 3))
    assert {places.dtype for places in (*found.coords, *found.score_maps, change)} == {torch.float32}
    sum(places.sum() for places in found.coords).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.student.parameters())
