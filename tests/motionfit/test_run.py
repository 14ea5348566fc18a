from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from refine_motion.benchmarks.actions.class_folders import ClassFolders
from refine_motion.errors import ConfigError
from refine_motion.models import load
from refine_motion.models.weights import read_facts, read_weights
from refine_motion.motionfit.augment import ActionAugmentation
from refine_motion.motionfit.clip_settings import ClipSettings
from refine_motion.motionfit.datamodule import ActionDataModule, ClipDataModule, PseudoLabelDataModule
from refine_motion.motionfit.flow_cache import FlowCache
from refine_motion.motionfit.granularity import Granularity
from refine_motion.motionfit.judge import judge_actions
from refine_motion.motionfit.label_store import LabelTable, Row, write_labels
from refine_motion.motionfit.module import ClipModule
from refine_motion.motionfit.run import ClipResult, train_clips
from refine_motion.motionfit.timeline import Footage
from refine_motion.motionfit.trained import load_trained
from refine_motion.training.checkpoint import PieceCheckpoint
from refine_motion.video.index import build_index
from refine_motion.video.writer import write_video

CPU = torch.device("cpu")
STEPS = 4
SIZE = (20, 24)
CLIP = ClipSettings("rgb", Footage(SIZE), length=4, strides=(1, 2))


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
        seen = batch["seen"].double().mean(dim=(-3, -2, -1))
        self.drawn[trainer.global_step] = (batch["number"].tolist(), batch["label"].tolist(), seen.tolist())

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.drawn[trainer.global_step - 1] += (rate, trainer.callback_metrics["train/loss"].item())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos of each of two classes to learn from, and one of each to test on."""
    folder, generator = tmp_path_factory.mktemp("actions"), torch.Generator().manual_seed(0)
    for part, count in (("train", 3), ("test", 1)):
        for name in ("fall", "rise"):
            for number in range(count):
                noise = torch.randint(0, 256, (10, 3, *SIZE), generator=generator, dtype=torch.uint8)
                write_video(folder / part / name / f"{number}.mp4", noise, 10.0)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def actions(root: Path, cache: Path, clip: ClipSettings = CLIP, test_clips: int = 2) -> ActionDataModule:
    return ActionDataModule(
        ClassFolders(str(root)), clip, clips=2, test_clips=test_clips, batch_size=2, num_workers=0, cache=str(cache)
    )


def run(folder: Path, data: ClipDataModule, watch: Callback | None = None, crops: int = 3, **model: Any) -> ClipResult:
    torch.manual_seed(0)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=STEPS,
        callbacks=[*filter(None, [watch]), PieceCheckpoint(str(folder / "checkpoints"), every=2)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = ClipModule(
        "r2plus1d_10_tiny", augment=ActionAugmentation(crop=(16, 16)), **{"learning_rate": 1e-2, **model}
    )
    return train_clips(trainer, module, data, folder, "the command", crops)


@pytest.fixture(scope="module")
def whole(root: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Watch, ClipResult]:
    """A training that nothing interrupted."""
    folder, watch = tmp_path_factory.mktemp("whole"), Watch()
    return folder, watch, run(folder, actions(root, cache), watch)


def test_what_is_left_of_it(whole: tuple[Path, Watch, ClipResult], root: Path, cache: Path) -> None:
    folder, watch, result = whole
    assert (result.steps, result.weights) == (STEPS, folder / "weights.safetensors")
    assert result.weights is not None
    facts = read_facts(result.weights)
    assert (facts["steps"], facts["samples"], facts["command"]) == (STEPS, 2 * STEPS, "the command")
    assert facts["settings"]["network"] == "r2plus1d_10_tiny"
    trained = load_trained(result.weights)
    assert (trained.clip, trained.crop, trained.classes) == (CLIP, (16, 16), ("fall", "rise"))
    data = actions(root, cache)
    data.setup()
    scores = judge_actions(trained, data, 3, CPU)
    assert result.scores is not None
    written = json.loads((folder / "scores.json").read_text())
    assert written == {"clips": 2, "crops": 3, "left_out": 0, **scores.to_dict()}
    assert result.scores.to_dict() == scores.to_dict()
    assert scores.videos == 2
    # In three steps every one of the six videos comes once.
    labels = [label for step in range(3) for label in watch.drawn[step][1]]
    assert sorted(labels) == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("stop_before", "resumed_at"), [(1, 0), (3, 2)])
def test_an_interrupted_training_ends_as_if_it_had_not_been(
    stop_before: int, resumed_at: int, whole: tuple[Path, Watch, ClipResult], root: Path, cache: Path, tmp_path: Path
) -> None:
    """Videos, clips, crops and colours, learning rates, losses and weights are the same."""
    folder, expected, _ = whole
    with pytest.raises(Stop):
        run(tmp_path, actions(root, cache), Watch(stop_before))
    assert not (tmp_path / "weights.safetensors").exists()
    # The state of the global generator must not matter.
    torch.manual_seed(123)
    rest = Watch()
    run(tmp_path, actions(root, cache), rest)
    assert sorted(rest.drawn) == [*range(resumed_at, STEPS)]
    for step, (numbers, labels, seen, rate, loss) in rest.drawn.items():
        assert (numbers, labels, seen, rate) == expected.drawn[step][:4]
        assert loss == pytest.approx(expected.drawn[step][4], rel=1e-4)
    mine, other = (read_weights(one / "weights.safetensors") for one in (tmp_path, folder))
    for key, value in other.items():
        torch.testing.assert_close(mine[key], value, atol=1e-5, rtol=1e-4)


def test_finished_training_is_not_repeated_and_another_refused(
    whole: tuple[Path, Watch, ClipResult], root: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _, result = whole
    watch, before = Watch(), (folder / "weights.safetensors").stat().st_mtime_ns
    again = run(folder, actions(root, cache), watch)
    assert (again.steps, again.weights) == (result.steps, result.weights)
    assert again.scores is not None
    assert result.scores is not None
    assert again.scores.to_dict() == result.scores.to_dict()
    assert watch.drawn == {}
    assert (folder / "weights.safetensors").stat().st_mtime_ns == before
    assert "finished already" in capsys.readouterr().out
    for other in (
        lambda: run(folder, actions(root, cache), learning_rate=0.5),
        lambda: run(folder, actions(root, cache, ClipSettings("rgb", Footage(SIZE), 3, (1, 2)))),
    ):
        with pytest.raises(ConfigError, match="another --workdir"):
            other()


def test_nothing_to_test_on(root: Path, cache: Path, tmp_path: Path) -> None:
    result = run(tmp_path, actions(root, cache, test_clips=0))
    assert (result.steps, result.scores) == (STEPS, None)
    assert not (tmp_path / "scores.json").exists()


def test_other_numbers_of_crops_are_refused_before_the_training(root: Path, cache: Path, tmp_path: Path) -> None:
    watch = Watch()
    with pytest.raises(ConfigError, match="test_crops must be 1 or 3, got 2"):
        run(tmp_path, actions(root, cache), watch, crops=2)
    assert watch.drawn == {}


class TestProbe:
    def changed(self, before: Path, after: Path) -> set[str]:
        old, new = read_weights(before), read_weights(after)
        assert old.keys() == new.keys()
        return {key for key, value in old.items() if not torch.equal(value, new[key])}

    def test_only_the_head_learns(
        self, whole: tuple[Path, Watch, ClipResult], root: Path, cache: Path, tmp_path: Path
    ) -> None:
        """And the statistics of normalisation stay, also where the training goes on."""
        weights = whole[0] / "weights.safetensors"
        settings: dict[str, Any] = {"weights": str(weights), "probe": True}
        run(tmp_path / "whole", actions(root, cache), **settings)
        assert self.changed(weights, tmp_path / "whole/weights.safetensors") == {"fc.weight", "fc.bias"}
        with pytest.raises(Stop):
            run(tmp_path / "pieces", actions(root, cache), Watch(stop_before=3), **settings)
        run(tmp_path / "pieces", actions(root, cache), **settings)
        assert self.changed(weights, tmp_path / "pieces/weights.safetensors") == {"fc.weight", "fc.bias"}
        one, other = (read_weights(tmp_path / name / "weights.safetensors") for name in ("whole", "pieces"))
        torch.testing.assert_close(one["fc.weight"], other["fc.weight"], atol=1e-6, rtol=1e-5)

    def test_all_of_it_learns_otherwise(
        self, whole: tuple[Path, Watch, ClipResult], root: Path, cache: Path, tmp_path: Path
    ) -> None:
        weights = whole[0] / "weights.safetensors"
        run(tmp_path, actions(root, cache), weights=str(weights), body_rate=0.1)
        assert self.changed(weights, tmp_path / "weights.safetensors") == set(read_weights(weights))


def no_flow(*_: object, **__: object) -> None:
    raise AssertionError("flow is asked for")


@pytest.fixture
def without_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "load_flow_model", no_flow)
    monkeypatch.setattr(FlowCache, "fill", no_flow)


@pytest.fixture
def student(root: Path, cache: Path, tmp_path: Path) -> Callable[[], PseudoLabelDataModule]:
    """Data with pseudo-labels in turn."""
    granularity, index = Granularity(4, (1, 2)), build_index(root / "train", cache / "index")
    cells = [cell for video in index.videos for cell in granularity.cells(video.key, video.frames)]
    rows = tuple(Row(cell, "a.mp4", number % 3, 0.5) for number, cell in enumerate(cells))
    write_labels(tmp_path / "labels", LabelTable(rows, ("0", "1", "2"), granularity, None, {}))
    return lambda: PseudoLabelDataModule(
        str(root / "train"), str(tmp_path / "labels"), CLIP, batch_size=3, num_workers=0, cache=str(cache)
    )


@pytest.mark.usefixtures("without_flow")
def test_a_student_never_touches_flow(
    student: Callable[[], PseudoLabelDataModule], root: Path, cache: Path, tmp_path: Path
) -> None:
    """Neither when it learns, nor when it is fine-tuned and judged; a teacher does."""
    first = run(tmp_path / "student", student())
    assert first.weights is not None
    assert first.scores is None
    assert load_trained(first.weights).classes == ("0", "1", "2")
    second = run(tmp_path / "finetune", actions(root, cache), weights=str(first.weights))
    assert second.scores is not None
    assert second.weights is not None
    assert load_trained(second.weights).classes == ("fall", "rise")
    with pytest.raises(AssertionError, match="flow is asked for"):
        run(tmp_path / "teacher", actions(root, cache, ClipSettings("flow", Footage((64, 64)), 4, (1,))))


def test_a_student_that_was_interrupted(student: Callable[[], PseudoLabelDataModule], tmp_path: Path) -> None:
    """Cells, clips and labels are those it would have had."""
    whole, rest = Watch(), Watch()
    run(tmp_path / "whole", student(), whole)
    assert all(sorted(whole.drawn[step][1]) == [0, 1, 2] for step in range(STEPS))
    with pytest.raises(Stop):
        run(tmp_path / "pieces", student(), Watch(stop_before=3))
    run(tmp_path / "pieces", student(), rest)
    assert {step: values[:4] for step, values in rest.drawn.items()} == {step: whole.drawn[step][:4] for step in (2, 3)}
    one, other = (read_weights(tmp_path / name / "weights.safetensors") for name in ("whole", "pieces"))
    for key, value in other.items():
        torch.testing.assert_close(one[key], value, atol=1e-5, rtol=1e-4)
