from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from refine_motion.labels.teacher import LabelSettings
from refine_motion.models.weights import read_weights
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.module import RefineModule
from refine_motion.refine.run import RESULT, RefineResult, refine_once
from refine_motion.refine.trainer import RefineTrainer


class Stop(Exception):
    """The power goes."""


class Losses(Callback):
    """Notes the loss of every step, and stops after one of them where asked."""

    def __init__(self, stop_after: int | None = None):
        self.stop_after = stop_after
        self.seen: dict[int, float] = {}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        self.seen[trainer.global_step] = trainer.callback_metrics["train/loss"].item()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        if trainer.global_step == self.stop_after:
            raise Stop


def refine(
    clip_folder: Path,
    weights: Path,
    folder: Path,
    stop_after: int | None = None,
    learning_rate: float = 1e-3,
    **trainer: object,
) -> tuple[RefineResult, dict[int, float]]:
    seed_everything(0, verbose=False)
    losses = Losses(stop_after)
    checkpoint = ModelCheckpoint(
        folder / "checkpoints", every_n_train_steps=2, save_last=True, enable_version_counter=False
    )
    result = refine_once(
        RefineTrainer(
            accelerator="cpu",
            devices=1,
            callbacks=[losses, checkpoint],
            logger=False,
            gradient_clip_val=5.0,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            check_val_every_n_epoch=None,
            val_check_interval=3,
            **(trainer or {"max_steps": 9}),
        ),
        RefineModule("raft_small", str(weights), iters=1, learning_rate=learning_rate, ema=0.9),
        VideoLabelDataModule(
            str(clip_folder / "videos"),
            labels=str(folder.parent / "labels"),
            cache=str(folder.parent / "index"),
            crop=(64, 64),
            batch_size=2,
            num_workers=0,
            holdout=0.3,
            filters={},
        ),
        LabelSettings(iters=1, ceiling=1e4),
        folder,
    )
    return result, losses.seen


# Three batches an epoch, a checkpoint every second step: the interruptions lie inside an epoch, at its end, at a
# checkpoint and beside one.
@pytest.mark.parametrize(
    ("stop_after", "trainer"),
    [(5, {}), (6, {}), (8, {}), (5, {"max_epochs": 3}), (3, {"max_steps": 4, "accumulate_grad_batches": 2})],
)
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    clip_folder: Path,
    untrained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    stop_after: int,
    trainer: dict,
) -> None:
    whole, expected = refine(clip_folder, untrained, tmp_path / "whole", **trainer)
    with pytest.raises(Stop):
        refine(clip_folder, untrained, tmp_path / "cut", stop_after, **trainer)
    capsys.readouterr()
    resumed, losses = refine(clip_folder, untrained, tmp_path / "cut", **trainer)
    assert "going on from" in capsys.readouterr().out
    # With accumulation, the first batch after the checkpoint is not yet a step.
    assert min(losses) == 2 * (stop_after // 2) + ("accumulate_grad_batches" not in trainer)
    for step, loss in losses.items():
        assert loss == pytest.approx(expected[step], rel=1e-5)
    assert max(losses) == max(expected)
    for name, path in whole.candidates.items():
        found = read_weights(resumed.candidates[name])
        for key, value in read_weights(path).items():
            torch.testing.assert_close(found[key], value, atol=1e-6, rtol=1e-5)


def test_a_finished_run_is_not_repeated_unless_a_setting_changes(
    clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, losses = refine(clip_folder, untrained, tmp_path / "run", max_steps=2)
    assert len(losses) == 2
    stamp = first.weights.stat().st_mtime_ns
    capsys.readouterr()
    again, losses = refine(clip_folder, untrained, tmp_path / "run", max_steps=2)
    assert losses == {}
    assert "finished already" in capsys.readouterr().out
    assert again.candidates == first.candidates
    assert again.held_out == pytest.approx(first.held_out)
    assert first.weights.stat().st_mtime_ns == stamp

    other, losses = refine(clip_folder, untrained, tmp_path / "run", max_steps=2, learning_rate=1e-4)
    assert min(losses) == 1
    assert other.weights.stat().st_mtime_ns != stamp
    # Neither does a damaged note stand in the way.
    (tmp_path / "run" / RESULT).write_text("{")
    _, losses = refine(clip_folder, untrained, tmp_path / "run", max_steps=2, learning_rate=1e-4)
    assert json.loads((tmp_path / "run" / RESULT).read_text())["steps"] == 2


def test_a_checkpoint_cut_off_by_the_interruption_gives_way_to_the_one_before(
    clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Stop):
        refine(clip_folder, untrained, tmp_path / "run", stop_after=5)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    _, losses = refine(clip_folder, untrained, tmp_path / "run")
    assert min(losses) == 5
    for path in last.parent.glob("*.ckpt"):
        path.write_bytes(b"")
    (tmp_path / "run" / RESULT).unlink()
    _, losses = refine(clip_folder, untrained, tmp_path / "run")
    assert min(losses) == 1
