from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback

from refine_motion.benchmarks.synthetic.domains import DOMAINS
from refine_motion.errors import ConfigError
from refine_motion.models.load import load_model
from refine_motion.models.weights import read_facts, read_weights
from refine_motion.pretrain import card
from refine_motion.pretrain.card import CardSettings
from refine_motion.pretrain.datamodule import PretrainDataModule
from refine_motion.pretrain.module import PretrainModule
from refine_motion.pretrain.run import PretrainResult, pretrain, pretrain_once
from refine_motion.pretrain.stream import Stage
from refine_motion.training.checkpoint import PieceCheckpoint

STAGES = [Stage(0, (64, 64), 2, 6.0, 1), Stage(4, (64, 72), 1, 8.0, 2)]
STEPS = 6
# The domain that is rendered fastest.
DATA = {"stages": STAGES, "num_workers": 0, "held_out": 2, "domain": "particles"}


class Stop(Exception):
    """The power goes."""


class Watch(Callback):
    """Notes the samples of every step, and stops after one of them where asked: hard, or as Lightning's timer does."""

    def __init__(self, stop_after: int | None = None, hard: bool = True):
        self.stop_after, self.hard = stop_after, hard
        self.samples: dict[int, list[int]] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: dict, *args: object) -> None:
        if trainer.global_step == self.stop_after:
            raise Stop
        self.samples[trainer.global_step] = batch["number"].tolist()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        if not self.hard and trainer.global_step == self.stop_after:
            trainer.should_stop = True


def run(
    folder: Path,
    watch: Callback | None = None,
    measured: CardSettings | None = None,
    model: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    **trainer: Any,
) -> PretrainResult:
    seed_everything(0, verbose=False)
    return pretrain_once(
        Trainer(
            accelerator="cpu",
            devices=1,
            callbacks=[*filter(None, [watch]), PieceCheckpoint(str(folder / "checkpoints"), every=2)],
            logger=False,
            check_val_every_n_epoch=None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            **{"max_steps": STEPS, "val_check_interval": 4, "gradient_clip_val": 1.0, **trainer},
        ),
        PretrainModule(**{"iters": 1, "learning_rate": 1e-3, **(model or {})}),
        PretrainDataModule(**{**DATA, **(data or {})}),
        folder,
        CardSettings(per_domain=1, size=(64, 64), iters=1) if measured is None else measured,
        "the command",
    )


@pytest.fixture(scope="module", autouse=True)
def one_domain() -> Iterator[None]:
    """The card of the trainings here is of one domain; test_card.py measures all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(card, "DOMAINS", {"particles": DOMAINS["particles"]})
        yield


def state(folder: Path, step: int = STEPS) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / f"step_{step:07d}.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Watch, PretrainResult]:
    """A training that nothing interrupted."""
    folder, watch = tmp_path_factory.mktemp("whole"), Watch()
    return folder, watch, run(folder, watch)


@pytest.mark.parametrize(
    ("stop_after", "hard", "resumed_at"),
    [(3, True, 2), pytest.param(5, True, 4, marks=pytest.mark.slow), (3, False, 3), (4, False, 4)],
)
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    whole: tuple[Path, Watch, PretrainResult],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    stop_after: int,
    hard: bool,
    resumed_at: int,
) -> None:
    folder, expected, _ = whole
    if hard:
        with pytest.raises(Stop):
            run(tmp_path, Watch(stop_after))
    else:
        assert run(tmp_path, Watch(stop_after, hard=False)) == PretrainResult(stop_after, None, {})
        assert f"stopped at step {stop_after} of {STEPS}: the same command goes on" in capsys.readouterr().out
    rest = Watch()
    assert run(tmp_path, rest).weights == tmp_path / "raft_small.safetensors"
    assert f"going on from {tmp_path / 'checkpoints' / f'step_{resumed_at:07d}.ckpt'}" in capsys.readouterr().out
    assert rest.samples == {step: expected.samples[step] for step in range(resumed_at, STEPS)}
    found = state(tmp_path)
    for key, value in state(folder)["state_dict"].items():
        torch.testing.assert_close(found["state_dict"][key], value, atol=1e-5, rtol=0)
    assert found["lr_schedulers"] == state(folder)["lr_schedulers"]


def test_every_sample_once(whole: tuple[Path, Watch, PretrainResult]) -> None:
    assert [n for step in range(STEPS) for n in whole[1].samples[step]] == [*range(10)]


def test_time_is_that_of_a_piece(tmp_path: Path) -> None:
    reached = [run(tmp_path, max_time={"milliseconds": 1}).steps for _ in range(3)]
    assert reached == [1, 2, 3]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    note = state(tmp_path, 3)["pretraining"]
    assert note["seconds"] > state(tmp_path, 2)["pretraining"]["seconds"] > 0
    assert len(note["hardware"]) == 1


@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_a_broken_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: bytes
) -> None:
    with pytest.raises(Stop):
        run(tmp_path, Watch(5))
    broken = tmp_path / "checkpoints" / "step_0000004.ckpt"
    broken.write_bytes(damage or broken.read_bytes()[: broken.stat().st_size // 2])
    rest = Watch()
    assert run(tmp_path, rest, max_time={"milliseconds": 1}).steps == 3
    assert f"{broken}: not a whole checkpoint" in capsys.readouterr().out
    assert list(rest.samples) == [2]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"model": {"learning_rate": 1e-4}}, "learning_rate"),
        ({"model": {"iters": 2}}, "iters"),
        ({"model": {"augment": False}}, "augment"),
        ({"data": {"stages": STAGES[:1]}}, "stages"),
        ({"data": {"seed": 1}}, "seed"),
        ({"max_steps": 7}, "max_steps"),
        ({"gradient_clip_val": 2.0}, "gradient_clip_val"),
    ],
)
def test_checkpoints_of_another_training_are_left_alone(
    whole: tuple[Path, Watch, PretrainResult], tmp_path: Path, changed: dict, told: str
) -> None:
    (tmp_path / "checkpoints").symlink_to(whole[0] / "checkpoints")
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "checkpoints").iterdir())
    with pytest.raises(ConfigError, match=f"of a training with another {told}; give another --workdir"):
        run(tmp_path, **changed)
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "checkpoints").iterdir()) == before


def test_what_does_not_change_the_weights_may_change(whole: tuple[Path, Watch, PretrainResult], tmp_path: Path) -> None:
    (tmp_path / "checkpoints").symlink_to(whole[0] / "checkpoints")
    watch = Watch()
    result = run(tmp_path, watch, data={"num_workers": 1, "held_out": 3}, val_check_interval=3)
    # The last checkpoint is that of the last step: nothing is left to train.
    assert (result.steps, watch.samples) == (STEPS, {})
    for key, value in read_weights(whole[0] / "raft_small.safetensors").items():
        assert torch.equal(read_weights(tmp_path / "raft_small.safetensors")[key], value)


def test_weights_are_half_and_small(whole: tuple[Path, Watch, PretrainResult]) -> None:
    folder, _, result = whole
    assert result.weights == folder / "raft_small.safetensors"
    assert result.weights.stat().st_size < 3e6
    halves, full = read_weights(result.weights), state(folder)["state_dict"]
    assert {value.dtype for value in halves.values()} == {torch.float16}
    for key, value in load_model("raft_small", result.weights).state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, halves[key].float())
        torch.testing.assert_close(value, full[f"model.{key}"], atol=1e-6, rtol=1e-3)
    facts = read_facts(result.weights)
    assert (facts["steps"], facts["samples"], facts["command"]) == (STEPS, 10, "the command")
    assert facts["settings"]["seed"] == 0
    assert "torch" in facts["hardware"][0]


def test_a_finished_training_is_measured_again_and_not_repeated(
    whole: tuple[Path, Watch, PretrainResult], tmp_path: Path, clip_folder: Path
) -> None:
    folder, _, result = whole
    weights = tmp_path / "raft_small.safetensors"
    weights.write_bytes((folder / weights.name).read_bytes())
    watch = Watch()
    again = run(tmp_path, watch, CardSettings(str(clip_folder / "truth"), per_domain=2, size=(64, 64), iters=2))
    assert watch.samples == {}
    assert again.metrics["domains"]["particles"]["pairs"] == 2
    assert again.metrics["domains"] != result.metrics["domains"]
    assert [row["pairs"] for row in again.metrics["real"].values()] == [2]
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["real"] == again.metrics["real"]
    assert written["facts"] == read_facts(folder / weights.name)
    with pytest.raises(ConfigError, match="of a training with other settings"):
        run(tmp_path, data={"seed": 5})


def test_the_batch_is_that_of_the_stage(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="accumulate_grad_batches must be 1"):
        run(tmp_path, accumulate_grad_batches=2)


def test_from_python(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "iters": 1,
        "accelerator": "cpu",
        "augment": False,
        "num_workers": 0,
        "held_out": 1,
        "domain": "particles",
        "card": CardSettings(per_domain=1, size=(64, 64), iters=1),
    }
    first = pretrain(tmp_path, STAGES[:1], 1, **options)
    assert first.weights is not None
    assert "particles" in (tmp_path / "MODEL_CARD.md").read_text()
    assert pretrain(tmp_path, STAGES[:1], 1, **options) == first
