from __future__ import annotations

from pathlib import Path

import pytest

from refine_motion.cli.main import main


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    assert main(["demo", "--out", str(tmp_path), "--weights", str(tmp_path / "thesis.txt")]) == 2
    assert "thesis" not in capsys.readouterr().out
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_too_little_time_and_missing_weights_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path / "a"), "--minutes", "1"]) == 2
    assert main(["demo", "--out", str(tmp_path / "a"), "--weights", str(tmp_path / "none.pth")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert "--minutes 1" in lines[0]
    assert "none.pth" in lines[1]


def test_an_unknown_domain_is_refused_with_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--out", str(tmp_path), "--domain", "moon"])
    assert stopped.value.code == 2
    assert "night" in capsys.readouterr().err
