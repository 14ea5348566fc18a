from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from PIL import Image

from refine_motion.benchmarks.flow_files import write_flo
from refine_motion.cli import evaluate
from refine_motion.errors import BenchmarkError


class Constant(torch.nn.Module):
    def __init__(self, x: float):
        super().__init__()
        self.x = torch.nn.Parameter(torch.tensor(x))

    def flow(self, a: torch.Tensor, b: torch.Tensor, iters: int = 12) -> torch.Tensor:
        return self.x * torch.ones(1, 2, *a.shape[-2:], device=a.device)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "whale"
    folder.mkdir()
    for i in (1, 2):
        Image.new("RGB", (10, 8)).save(folder / f"frame{i}.png")
    write_flo(folder / "flow1.flo", torch.zeros(2, 8, 10))
    return folder


@pytest.fixture
def loaded(monkeypatch) -> list[tuple[str | None, str]]:
    calls: list[tuple[str | None, str]] = []

    def load(name: str | None, weights: str) -> Constant:
        calls.append((name, weights))
        return Constant({"new.pth": 3.0, "old.pth": 4.0}[weights])

    monkeypatch.setattr(evaluate, "load_flow_model", load)
    return calls


def test_table_and_csv(pairs: Path, loaded, capsys, tmp_path: Path):
    out = tmp_path / "table.csv"
    words = ["flow", "--weights", "new.pth", "--against", "old.pth", "--pairs", str(pairs), "--csv", str(out)]
    assert evaluate.main([*words, "--iters", "5"]) == 0
    assert loaded == [(None, "new.pth"), (None, "old.pth")]
    text = capsys.readouterr().out
    assert "5 iterations" in text
    assert "pooled" in text
    with out.open(newline="") as file:
        row = next(csv.DictReader(file))
    assert row["name"] == "whale"
    assert float(row["epe"]) == pytest.approx(3 * 2**0.5, rel=1e-6)
    assert float(row["change_percent"]) == pytest.approx(-25, rel=1e-5)


def test_model_alone(pairs: Path, loaded, capsys):
    assert evaluate.main(["flow", "--model", "raft_small", "--weights", "new.pth", "--pairs", str(pairs)]) == 0
    assert loaded == [("raft_small", "new.pth")]
    assert "32 iterations" in capsys.readouterr().out


def test_user_errors_reach_the_caller(loaded, tmp_path: Path):
    with pytest.raises(BenchmarkError, match="no such folder"):
        evaluate.main(["flow", "--weights", "new.pth", "--pairs", str(tmp_path / "nothing")])


@pytest.mark.parametrize("words", [[], ["colours"], ["flow", "--weights", "a", "--pairs", "b", "--iters", "0"]])
def test_wrong_words(words: list[str], capsys):
    with pytest.raises(SystemExit) as end:
        evaluate.main(words)
    assert end.value.code == 2
    assert "usage: refine-motion evaluate" in capsys.readouterr().err
