from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from refine_motion.benchmarks.source_domain import ProceduralClips
from refine_motion.cli.main import main
from refine_motion.corrflow.datamodule import CorrFlowDataModule
from refine_motion.corrflow.module import CorrFlowModule
from refine_motion.corrflow.run import CorrFlowResult, train_once
from refine_motion.errors import ConfigError
from refine_motion.models.load import load_model
from refine_motion.models.weights import read_facts
from refine_motion.motion.local_attention import LocalAttention
from refine_motion.training.checkpoint import PieceCheckpoint

STEPS = 4
FULL = "refine_motion.motion.full_attention.FullAttention"
OFFICIAL = {"scaled": False, "one_hot_first": False, "exact_border": False}
CONFIG = Path(__file__).parents[2] / "configs" / "corrflow"


class Stop(Exception):
    """The power goes."""


class Watch(Callback):
    """Notes what is drawn in every step, and stops before one of them where asked."""

    def __init__(self, stop_before: int | None = None):
        self.stop_before = stop_before
        self.drawn: dict[int, tuple[Any, ...]] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: dict, *args: object) -> None:
        if trainer.global_step == self.stop_before:
            raise Stop
        seen = batch["seen"].flatten(2)
        self.drawn[trainer.global_step] = (batch["number"].tolist(), batch["step_seed"], seen.mean(-1).tolist())

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        probability = trainer.callback_metrics["train/truth_probability"].item()
        self.drawn[trainer.global_step - 1] += (probability, trainer.callback_metrics["train/loss"].item())


def run(folder: Path, watch: Callback | None = None, model: dict[str, Any] | None = None) -> CorrFlowResult:
    torch.manual_seed(0)
    return train_once(
        Trainer(
            accelerator="cpu",
            devices=1,
            max_steps=STEPS,
            callbacks=[*filter(None, [watch]), PieceCheckpoint(str(folder / "checkpoints"), every=2)],
            logger=False,
            check_val_every_n_epoch=None,
            val_check_interval=2,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        ),
        CorrFlowModule("corrflow_small", attention=LocalAttention(radius=2), **(model or {})),
        CorrFlowDataModule(
            made=ProceduralClips("particles", 4.0), size=(32, 48), batch_size=2, num_workers=0, held_out=2
        ),
        folder,
        "the command",
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Watch, CorrFlowResult]:
    """A training that nothing interrupted."""
    folder, watch = tmp_path_factory.mktemp("whole"), Watch()
    return folder, watch, run(folder, watch)


def test_weights_tell_how_they_came_about(whole: tuple[Path, Watch, CorrFlowResult]) -> None:
    folder, _, result = whole
    assert result == CorrFlowResult(STEPS, folder / "corrflow_small.safetensors")
    assert result.weights is not None
    facts = read_facts(result.weights)
    assert (facts["steps"], facts["samples"], facts["command"]) == (STEPS, 2 * STEPS, "the command")
    assert facts["settings"]["attention"]["radius"] == 2
    assert load_model(None, result.weights).name == "corrflow_small"


@pytest.mark.parametrize(("stop_before", "resumed_at"), [(1, 0), (3, 2)])
def test_an_interrupted_training_ends_as_if_it_had_not_been(
    whole: tuple[Path, Watch, CorrFlowResult], tmp_path: Path, stop_before: int, resumed_at: int
) -> None:
    """Steps, clips, dropped channels, the probability of scheduled sampling, losses and weights are the same."""
    folder, expected, _ = whole
    with pytest.raises(Stop):
        run(tmp_path, Watch(stop_before))
    # The state of the global generator must not matter.
    torch.manual_seed(123)
    rest = Watch()
    run(tmp_path, rest)
    assert sorted(rest.drawn) == [*range(resumed_at, STEPS)]
    for step, (numbers, seed, seen, probability, loss) in rest.drawn.items():
        assert (numbers, seed, seen, probability) == expected.drawn[step][:4]
        assert loss == pytest.approx(expected.drawn[step][4], rel=1e-4)
    mine, other = (load_model(None, one / "corrflow_small.safetensors").state_dict() for one in (tmp_path, folder))
    for key, value in other.items():
        torch.testing.assert_close(mine[key], value, atol=1e-5, rtol=1e-4)


def test_the_probability_of_scheduled_sampling_falls(whole: tuple[Path, Watch, CorrFlowResult]) -> None:
    probabilities = [whole[1].drawn[step][3] for step in range(STEPS)]
    assert probabilities == pytest.approx([0.9, 0.825, 0.75, 0.675])


def test_finished_training_is_not_repeated_and_another_refused(
    whole: tuple[Path, Watch, CorrFlowResult], capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Watch()
    assert run(whole[0], watch) == whole[2]
    assert watch.drawn == {}
    assert "finished already" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="another --workdir"):
        run(whole[0], model={"cycle_weight": 0.5})


SMALL = [
    "fit",
    "--config",
    str(CONFIG / "small.yaml"),
    "--trainer.max_steps",
    "1",
    "--data.size",
    "[32,32]",
    "--data.held_out",
    "0",
    "--data.batch_size",
    "1",
    "--data.num_workers",
    "0",
]


def test_the_command_on_videos(clip_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """9 frames at 24 a second are two clips at 18."""
    args = [*SMALL, "--workdir", str(tmp_path), "--data.videos", str(clip_folder / "videos"), "--data.fps", "12"]
    assert main(args) == 0
    assert (tmp_path / "corrflow_small.safetensors").is_file()
    assert (tmp_path / "fit.yaml").is_file()
    assert "refine-motion propagate" in capsys.readouterr().out


def test_the_command_on_made_clips(tmp_path: Path) -> None:
    made = ["--config", str(CONFIG / "made.yaml"), "--data.made.domain", "particles"]
    assert main([*SMALL[:3], *made, *SMALL[3:], "--workdir", str(tmp_path)]) == 0
    facts = read_facts(tmp_path / "corrflow_small.safetensors")
    assert facts["settings"]["made"] == {"kind": "ProceduralClips", "domain": "particles", "max_speed": 24.0}


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["validate", *SMALL[1:3]], "has no command validate"),
        (SMALL, "set data.videos"),
        ([*SMALL, "--data.videos", "nowhere"], "nowhere"),
        ([*SMALL, "--trainer.precision", "16-true"], "round coordinates"),
        ([*SMALL, "--model.attention.radius", "-1"], "attention.radius"),
    ],
)
def test_wrong_calls(args: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([*args, "--workdir", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.strip().count("\n") == 0


def settings_of(args: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What a command line is read as."""
    with pytest.raises(SystemExit) as ended:
        main(["fit", "--config", str(CONFIG / "train.yaml"), *args, "--print_config"])
    assert ended.value.code == 0
    read = yaml.safe_load(capsys.readouterr().out)
    assert isinstance(read, dict)
    return read


def test_the_published_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    read = settings_of([], capsys)
    model, data = read["model"], read["data"]
    assert (read["trainer"]["max_steps"] + 1) * data["batch_size"] > 1_000_000
    assert (data["frames"], data["fps"], data["size"], data["batch_size"]) == (3, 6.0, [256, 256], 6)
    assert (model["network"], model["cycle_weight"], model["learning_rate"]) == ("corrflow", 0.1, 2e-4)
    assert (model["first_truth"], model["last_truth"]) == (0.9, 0.6)
    assert model["attention"]["init_args"]["radius"] == 6


@pytest.mark.parametrize(
    ("args", "path", "expected"),
    [
        (["--model.attention", "FullAttention"], ("attention", "class_path"), FULL),
        (["--model.bottleneck.inputs", "lab"], ("bottleneck", "inputs"), "lab"),
        (["--model.bottleneck.dropout_probability", "0"], ("bottleneck", "dropout_probability"), 0.0),
        (["--model.cycle_weight", "0"], ("cycle_weight",), 0.0),
        (["--model.first_truth", "1", "--model.last_truth", "1"], ("last_truth",), 1.0),
        (["--model.attention.top_k", "10"], ("attention", "init_args", "top_k"), 10),
        (["--config", str(CONFIG / "official.yaml")], ("attention", "init_args", "compat"), OFFICIAL),
        (["--config", str(CONFIG / "official.yaml")], ("attention", "init_args", "radius"), 6),
    ],
)
def test_parts_of_the_method_can_be_taken_away(
    args: list[str], path: tuple[str, ...], expected: object, capsys: pytest.CaptureFixture[str]
) -> None:
    found = settings_of(args, capsys)["model"]
    for key in path:
        found = found[key]
    assert found == expected
