from __future__ import annotations

from pathlib import Path

import pytest

from refine_motion.cli.main import main

CPU = str(Path(__file__).parents[2] / "configs" / "refine" / "flow_paper_cpu.yaml")
MODULE = """
from pathlib import Path
from lightning.pytorch.callbacks import Callback

Path(__file__).with_name("imported").touch()


class Mine(Callback):
    pass
"""


@pytest.mark.parametrize("where", ["file", "command line"])
def test_class_paths_come_from_allowed_packages_unless_the_user_says_so(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = f"callbacks_of_{where.split()[0]}"
    (tmp_path / f"{package}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    args = ["fit", "--config", CPU, "--data.videos", "clips"]
    if where == "file":
        (tmp_path / "more.yaml").write_text(f"trainer: {{callbacks: [{{class_path: {package}.Mine}}]}}")
        args += ["--config", str(tmp_path / "more.yaml"), "--print_config"]
    else:
        args += [f"--trainer.callbacks+={package}.Mine", "--print_config"]
    assert main(args) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"REFINE_MOTION_ALLOW_CLASSES={package}" in line
    assert not (tmp_path / "imported").exists()

    monkeypatch.setenv("REFINE_MOTION_ALLOW_CLASSES", f"other,{package}")
    with pytest.raises(SystemExit) as stop:
        main(args)
    assert stop.value.code == 0
    assert f"{package}.Mine" in capsys.readouterr().out
    assert (tmp_path / "imported").exists()
