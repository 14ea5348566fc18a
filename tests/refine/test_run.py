from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from refine_motion.benchmarks.source_domain import ProceduralPairs
from refine_motion.labels.select import CycleRule
from refine_motion.labels.teacher import LabelSettings
from refine_motion.models.options import MatchOptions
from refine_motion.models.weights import read_weights
from refine_motion.refine import run as run_module
from refine_motion.refine.augment import Augmentation
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.identity import identity
from refine_motion.refine.module import RefineModule
from refine_motion.refine.objectives import PseudoLabels
from refine_motion.refine.run import RESULT, RefineResult, refine_once
from refine_motion.refine.trainer import RefineTrainer


class Stop(Exception):
    """The power goes."""


class Losses(Callback):
    """Notes the loss of every step, and stops after one of them where asked."""

    def __init__(self, stop_after: int | None = None):
        self.stop_after = stop_after
        self.seen: dict[int, float] = {}
        self.samples: dict[int, list[int]] = {}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        self.seen[trainer.global_step] = trainer.callback_metrics["train/loss"].item()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: dict, *args: object) -> None:
        if trainer.global_step == self.stop_after:
            raise Stop
        self.samples[trainer.fit_loop.total_batch_idx] = batch["seed"].tolist()


def refine(
    clip_folder: Path,
    weights: Path,
    folder: Path,
    losses: Losses,
    checkpoint: dict | None = None,
    model: dict | None = None,
    data: dict | None = None,
    **trainer: object,
) -> RefineResult:
    seed_everything(0, verbose=False)
    saving = {"every_n_train_steps": 2} if checkpoint is None else checkpoint
    running = {
        "check_val_every_n_epoch": None,
        "val_check_interval": 3,
        "max_steps": -1 if "max_epochs" in trainer else 9,
    }
    return refine_once(
        RefineTrainer(
            accelerator="cpu",
            devices=1,
            callbacks=[
                losses,
                ModelCheckpoint(folder / "checkpoints", save_last=True, enable_version_counter=False, **saving),
            ],
            logger=False,
            gradient_clip_val=5.0,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            **{**running, **trainer},
        ),
        RefineModule("raft_small", str(weights), **{"iters": 1, "learning_rate": 1e-3, "ema": 0.9, **(model or {})}),
        VideoLabelDataModule(
            str(clip_folder / "videos"),
            labels=str(folder.parent / "labels"),
            cache=str(folder.parent / "index"),
            **{
                "crop": (64, 64),
                "batch_size": 2,
                "num_workers": 0,
                "window": 2,
                "holdout": 0.25,
                "filters": {},
                **(data or {}),
            },
        ),
        LabelSettings(iters=1, ceiling=1e4),
        folder,
    )


# Two of eight windows are held out, which leaves three batches an epoch; a checkpoint every second step where nothing
# else is said: the interruptions lie inside an epoch, at its end, at a checkpoint and beside one.
EVERY_EPOCH = {"save_on_train_epoch_end": True, "every_n_epochs": 1}
BY_EPOCHS = {"max_epochs": 4, "check_val_every_n_epoch": 1, "val_check_interval": 1.0}


@pytest.mark.parametrize(
    ("stop_after", "options"),
    [
        (5, {}),
        pytest.param(3, {"max_steps": 4, "accumulate_grad_batches": 2}, marks=pytest.mark.slow),
        pytest.param(7, {"checkpoint": EVERY_EPOCH, **BY_EPOCHS}, marks=pytest.mark.slow),
        pytest.param(6, {}, marks=pytest.mark.slow),
        pytest.param(8, {}, marks=pytest.mark.slow),
        pytest.param(5, {"max_epochs": 3}, marks=pytest.mark.slow),
        pytest.param(7, {"checkpoint": EVERY_EPOCH}, marks=pytest.mark.slow),
        pytest.param(8, {"checkpoint": {"monitor": "val/cycle_error"}, **BY_EPOCHS}, marks=pytest.mark.slow),
        pytest.param(
            8, {"checkpoint": {"monitor": "val/cycle_error"}, "val_check_interval": 2}, marks=pytest.mark.slow
        ),
        pytest.param(7, {"limit_train_batches": 2, "val_check_interval": 2}, marks=pytest.mark.slow),
        pytest.param(
            5,
            {"data": {"replay": ProceduralPairs(count=20, size=(64, 64)), "replay_share": 0.4}},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    clip_folder: Path,
    untrained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    stop_after: int,
    options: dict,
) -> None:
    expected = Losses()
    whole = refine(clip_folder, untrained, tmp_path / "whole", expected, **options)
    with pytest.raises(Stop):
        refine(clip_folder, untrained, tmp_path / "cut", Losses(stop_after), **options)
    capsys.readouterr()
    rest = Losses()
    resumed = refine(clip_folder, untrained, tmp_path / "cut", rest, **options)
    assert "going on from" in capsys.readouterr().out
    assert 0 < min(rest.samples) <= 2 * stop_after
    assert rest.samples == {batch: expected.samples[batch] for batch in rest.samples}
    assert max(rest.samples) == max(expected.samples)
    for step, loss in rest.seen.items():
        assert loss == pytest.approx(expected.seen[step], rel=1e-5)
    for name, path in whole.files.items():
        found = read_weights(resumed.files[name])
        for key, value in read_weights(path).items():
            torch.testing.assert_close(found[key], value, atol=1e-6, rtol=1e-5)
    assert resumed.outcome.decision == whole.outcome.decision
    snapshots = [sorted(p.name for p in (tmp_path / run / "snapshots").iterdir()) for run in ("whole", "cut")]
    assert snapshots[0] == snapshots[1]
    assert snapshots[0]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where labels are made but once."""
    return tmp_path_factory.mktemp("workshop")


@pytest.mark.parametrize(
    "changed",
    [
        {"model": {"learning_rate": 1e-4}},
        {"model": {"iters": 2}},
        {"model": {"objective": PseudoLabels(leaking=True)}},
        {"model": {"augment": Augmentation(hue=0.1)}},
        {"model": {"matching": MatchOptions(correlation="on_demand")}},
        {"data": {"window": 3}},
        {"data": {"holdout": 0.5}},
        {"data": {"crop": (64, 80)}},
        {"data": {"filters": {"cycle": CycleRule(0.1, 100.0)}}},
        {"data": {"replay": ProceduralPairs(count=20, size=(64, 64))}},
        {"max_steps": 3},
        {"gradient_clip_algorithm": "value"},
        {"limit_train_batches": 1},
        {"accumulate_grad_batches": 2},
    ],
)
def test_every_setting_that_changes_the_weights_makes_another_run(
    clip_folder: Path, untrained: Path, workshop: Path, monkeypatch: pytest.MonkeyPatch, changed: dict
) -> None:
    seen = []

    def note(*args: object) -> str:
        seen.append(identity(*args))  # type: ignore[arg-type]
        raise Stop

    monkeypatch.setattr("refine_motion.refine.run.identity", note)
    for options in ({}, {}, changed):
        with pytest.raises(Stop):
            refine(clip_folder, untrained, workshop / "run", Losses(), **{"max_steps": 2, **options})
    assert seen[0] == seen[1] != seen[2]


def test_a_finished_run_is_not_repeated_unless_a_setting_changes(
    clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(learning_rate: float = 1e-3) -> tuple[RefineResult, dict[int, float]]:
        losses = Losses()
        model = {"learning_rate": learning_rate}
        return refine(clip_folder, untrained, tmp_path / "run", losses, model=model, max_steps=2), losses.seen

    first, losses = run()
    assert len(losses) == 2
    stamp = first.weights.stat().st_mtime_ns
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == first.outcome.line()
    again, losses = run()
    assert losses == {}
    out = capsys.readouterr().out
    assert "finished already" in out
    assert out.splitlines()[-1] == last
    assert again.outcome == first.outcome
    assert again.files == first.files
    assert again.held_out == pytest.approx(first.held_out)
    assert first.weights.stat().st_mtime_ns == stamp

    other, losses = run(1e-4)
    assert "is replaced" in capsys.readouterr().out
    assert min(losses) == 1
    assert other.weights.stat().st_mtime_ns != stamp

    # A run that is killed while its weights are written leaves no note that speaks of others.
    def killed(*_: object) -> Any:
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "finish", killed)
        with pytest.raises(Stop):
            run(1e-5)
    assert not (tmp_path / "run" / RESULT).exists()
    # Neither does a damaged note stand in the way.
    (tmp_path / "run" / RESULT).write_text("{")
    run(1e-4)
    assert json.loads((tmp_path / "run" / RESULT).read_text())["steps"] == 2


def test_a_run_killed_right_after_a_checkpoint_has_the_snapshot_of_that_step(
    clip_folder: Path, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = ModelCheckpoint.on_train_batch_end

    def save_and_stop(self: ModelCheckpoint, trainer: Trainer, *args: object) -> None:
        save(self, trainer, *args)  # type: ignore[arg-type]
        if trainer.global_step == 4:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(ModelCheckpoint, "on_train_batch_end", save_and_stop)
        with pytest.raises(Stop):
            refine(clip_folder, untrained, tmp_path / "run", Losses())
    losses = Losses()
    refine(clip_folder, untrained, tmp_path / "run", losses)
    assert min(losses.seen) == 5
    names = sorted(path.stem for path in (tmp_path / "run" / "snapshots").iterdir())
    assert names == ["step_000002", "step_000004", "step_000006"]


@pytest.mark.slow
def test_a_checkpoint_cut_off_by_the_interruption_gives_way_to_the_one_before(
    clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Stop):
        refine(clip_folder, untrained, tmp_path / "run", Losses(5))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    losses = Losses()
    refine(clip_folder, untrained, tmp_path / "run", losses)
    assert min(losses.seen) == 5
    for path in last.parent.glob("*.ckpt"):
        path.write_bytes(b"")
    (tmp_path / "run" / RESULT).unlink()
    losses = Losses()
    refine(clip_folder, untrained, tmp_path / "run", losses)
    assert min(losses.seen) == 1
