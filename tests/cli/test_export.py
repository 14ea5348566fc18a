from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from refine_motion.cli.main import main
from refine_motion.models.export import NAMINGS
from refine_motion.models.load import load_model


def run(*args: object) -> int:
    return main(["export", *map(str, args)])


@pytest.mark.parametrize("keys", NAMINGS)
def test_one_line_says_what_was_written(
    untrained: Path, tmp_path: Path, keys: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "w.safetensors"
    assert run(untrained, out, "--keys", keys) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{out}: raft_small, {keys} keys, 106 tensors, {out.stat().st_size:,} bytes; load with ")
    assert {"own": "load_model(", "official": "RAFT(args)", "torchvision": "raft_small()."}[keys] in line
    before, after = load_model(None, untrained).state_dict(), load_model(None, out).state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_own_names_are_the_default(untrained: Path, tmp_path: Path) -> None:
    assert run(untrained, tmp_path / "w.safetensors") == 0
    assert load_file(tmp_path / "w.safetensors").keys() == load_file(untrained).keys()


def test_errors_are_one_line(untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.pth").write_text("hello")
    out = tmp_path / "w.safetensors"
    for args, what in (
        ((untrained, tmp_path / "w.pth"), ".safetensors"),
        ((untrained, out, "--model", "raft_large"), "raft_small"),
        ((untrained, out, "--model", "raft_tiny"), "raft_tiny"),
        ((tmp_path / "text.pth", out), "text.pth"),
        (("raft_large_C_T", out), "raft_large_C_T_V1"),
    ):
        assert run(*args) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("refine-motion: ")
        assert what in line
    assert not out.exists()


def test_wrong_words(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["a.pth"], ["a.pth", "b.safetensors", "--keys", "keras"]):
        with pytest.raises(SystemExit) as end:
            run(*words)
        assert end.value.code == 2
        assert "usage: refine-motion export" in capsys.readouterr().err
