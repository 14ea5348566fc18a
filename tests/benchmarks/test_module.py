from __future__ import annotations

import csv
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger

from refine_motion.benchmarks import module as module_under_test
from refine_motion.benchmarks.datamodule import FlowBenchmark, Middlebury, Sintel, Spring
from refine_motion.benchmarks.flow_evaluation import evaluate_flow
from refine_motion.benchmarks.module import FlowBenchmarkModule
from refine_motion.errors import BenchmarkError, ConfigError
from refine_motion.refine.trainer import RefineTrainer


class Constant(torch.nn.Module):
    """Says the same flow everywhere."""

    def __init__(self, x: float):
        super().__init__()
        self.x = torch.nn.Parameter(torch.tensor(x))

    def flow(self, a: torch.Tensor, b: torch.Tensor, iters: int = 12) -> torch.Tensor:
        return self.x * torch.ones(1, 2, *a.shape[-2:], device=a.device)


@pytest.fixture
def root(tmp_path: Path, picture, truth) -> Path:
    """Five sequences of Middlebury's layout, of different sizes and speeds."""
    for i, name in enumerate(("Army", "Grove2", "Grove3", "Urban2", "Venus")):
        size = (24 + 8 * i, 16)
        for number in (10, 11):
            picture(tmp_path / f"other-data/{name}/frame{number}.png", size=size)
        truth(tmp_path / f"other-gt-flow/{name}/flow10.flo", 2.0 * i, i, size)
    return tmp_path


@pytest.fixture
def module(monkeypatch) -> FlowBenchmarkModule:
    monkeypatch.setattr(module_under_test, "load_flow_model", lambda name, weights: Constant(float(weights)))
    return FlowBenchmarkModule(weights="3.0", against="4.0", iters=2)


def trainer(**options: Any) -> Trainer:
    given: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, **options}
    return RefineTrainer(accelerator="cpu", enable_checkpointing=False, **given)


class KeepTable(Callback):
    """Processes do not share what they set on the module."""

    def __init__(self, folder: Path):
        self.folder = folder

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.table.to_json(self.folder / f"{trainer.global_rank}.json")


def test_the_table_is_that_of_evaluate_flow(root: Path, module: FlowBenchmarkModule, tmp_path: Path):
    logger = CSVLogger(tmp_path / "logs")
    trainer(logger=logger).test(module, datamodule=Middlebury(str(root), num_workers=0), verbose=False)
    expected = evaluate_flow(Constant(3.0), root, against=Constant(4.0), iters=2)
    assert module.table.to_dict() == expected.to_dict()
    assert [row.pairs for row in module.table.rows] == [1] * 5
    assert module.table.intervals.units == 5
    with (Path(logger.log_dir) / "metrics.csv").open(newline="") as file:
        logged = next(csv.DictReader(file))
    assert float(logged["test/epe"]) == pytest.approx(expected.pooled.epe)
    assert float(logged["test/change_percent"]) == pytest.approx(expected.pooled.change_percent)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_processes_give_the_table_of_one(root: Path, module: FlowBenchmarkModule, tmp_path: Path):
    # Five pairs: one process gets three, and Lightning repeats one for the other.
    parallel = trainer(devices=2, strategy="ddp_fork", callbacks=[KeepTable(tmp_path)])
    parallel.test(module, datamodule=Middlebury(str(root), num_workers=0), verbose=False)
    expected = evaluate_flow(Constant(3.0), root, against=Constant(4.0), iters=2).to_dict()
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == json.loads(json.dumps(expected))


def test_workers_and_a_second_test(root: Path, module: FlowBenchmarkModule):
    data = Middlebury(str(root), num_workers=1)
    for _ in range(2):
        trainer().test(module, datamodule=data, verbose=False)
        assert asdict(module.table.pooled)["pairs"] == 5


def test_official_raft_small_on_rubberwhale(real_data: Path, tmp_path: Path):
    real = real_data / "flow/rubberwhale"
    for folder, files in (("other-data", ("frame10.png", "frame11.png")), ("other-gt-flow", ("flow10.flo",))):
        (tmp_path / folder / "RubberWhale").mkdir(parents=True)
        for file in files:
            (tmp_path / folder / "RubberWhale" / file).symlink_to(real / file)
    module = FlowBenchmarkModule(weights=str(real_data / "weights/raft-small.pth"), iters=12)
    trainer().test(module, datamodule=Middlebury(str(tmp_path), num_workers=0), verbose=False)
    assert module.table.pooled.epe == pytest.approx(0.320, abs=0.002)
    assert module.table.intervals is None


def test_progress_bar(root: Path, module: FlowBenchmarkModule, capsys):
    trainer(enable_progress_bar=True).test(module, datamodule=Middlebury(str(root), num_workers=0), verbose=False)
    out = capsys.readouterr().out
    assert "Scoring pairs" in out
    assert "5/5" in out


class TestFaults:
    @pytest.mark.parametrize("data", [Sintel, Middlebury, Spring])
    def test_folders(self, data: type[FlowBenchmark], tmp_path: Path):
        with pytest.raises(BenchmarkError, match=f"no folder given: pass that of {data.__name__} as --data.root"):
            data().setup("test")
        with pytest.raises(BenchmarkError, match="no such folder"):
            data(str(tmp_path / "absent")).setup("test")
        with pytest.raises(BenchmarkError, match=f"not the layout of {data.__name__}"):
            data(str(tmp_path)).setup("test")

    def test_settings(self):
        with pytest.raises(ConfigError, match=r"model\.iters is 0"):
            FlowBenchmarkModule(weights="x", iters=0)
        with pytest.raises(ConfigError, match="no weights given"):
            FlowBenchmarkModule()
