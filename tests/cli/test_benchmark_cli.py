from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from refine_motion.benchmarks.flow_files import write_flo
from refine_motion.cli.main import main

CONFIGS = Path(__file__).parents[2] / "configs" / "benchmarks"


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """The one line with which a command is refused."""
    assert main([str(a) for a in args]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("refine-motion: ")
    return last


@pytest.fixture
def sintel(tmp_path: Path) -> Path:
    """Two scenes of three frames of 72 x 64 pixels."""
    root = tmp_path / "sintel"
    generator = torch.Generator().manual_seed(0)
    for scene in ("alley_1", "cave_2"):
        for number in (1, 2, 3):
            for name in ("clean", "final"):
                path = root / f"training/{name}/{scene}/frame_{number:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = torch.randint(0, 256, (64, 72, 3), generator=generator, dtype=torch.uint8)
                Image.fromarray(pixels.numpy()).save(path)
        for number in (1, 2):
            path = root / f"training/flow/{scene}/frame_{number:04d}.flo"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_flo(path, torch.ones(2, 64, 72))
    return root


def test_table_on_the_screen_and_in_files(sintel: Path, untrained: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert main([
        "test", "--config", str(CONFIGS / "sintel.yaml"), "--data.root", str(sintel), "--data.passes", "final",
        "--model.weights", str(untrained), "--model.against", str(untrained), "--model.iters", "1",
        "--trainer.accelerator", "cpu", "--workdir", str(out), "--data.num_workers", "0",
    ]) == 0  # fmt: skip
    text = capsys.readouterr().out
    assert "1 iterations" in text
    assert "95% interval of the change" in text
    with (out / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["name"], r["pairs"]) for r in rows[:2]] == [("final/alley_1", "2"), ("final/cave_2", "2")]
    values = json.loads((out / "table.json").read_text())
    assert values["pooled"]["change_percent"] == 0
    assert values["change_interval_95"] == {"pooled": [0, 0], "mean": [0, 0], "unit": "scenes", "units": 2}
    assert yaml.safe_load((out / "test.yaml").read_text())["model"]["iters"] == 1


@pytest.mark.parametrize(
    ("name", "data", "iters"),
    [
        ("sintel", "Sintel", 32),
        ("kitti2015", "Kitti2015", 24),
        ("flyingchairs", "FlyingChairs", 24),
        ("spring", "Spring", 32),
        ("middlebury", "Middlebury", 32),
    ],
)
def test_configurations(name: str, data: str, iters: int, capsys) -> None:
    file = CONFIGS / f"{name}.yaml"
    with pytest.raises(SystemExit) as stop:
        main(["test", "--config", str(file), "--data.root", "here", "--workdir", "there", "--print_config"])
    assert stop.value.code == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["data"]["class_path"].split(".")[-1] == data
    assert config["data"]["init_args"]["root"] == "here"
    assert config["model"]["iters"] == iters
    assert config["model"]["weights"] is None
    assert config["trainer"]["default_root_dir"] == "there"
    assert f"refine-motion test --config configs/benchmarks/{name}.yaml --data.root" in file.read_text()


def test_wrong_input_is_refused_in_one_line(sintel: Path, untrained: Path, tmp_path: Path, capsys) -> None:
    common = [
        "test",
        "--config",
        CONFIGS / "sintel.yaml",
        "--trainer.accelerator",
        "cpu",
        "--workdir",
        tmp_path / "out",
    ]
    given = [*common, "--model.weights", untrained]
    assert "--data.root" in refused(capsys, *given)
    assert "no such folder" in refused(capsys, *given, "--data.root", tmp_path / "absent")
    assert "not the layout of Sintel" in refused(capsys, *given, "--data.root", tmp_path)
    assert "no weights given" in refused(capsys, *common, "--data.root", sintel)
    assert "model.iters" in refused(capsys, *given, "--data.root", sintel, "--model.iters", 0)
    (sintel / "training/final/cave_2/frame_0002.png").write_text("no picture")
    for workers in (0, 1):
        line = refused(capsys, *given, "--data.root", sintel, "--model.iters", 1, "--data.num_workers", workers)
        assert "final/cave_2/frame_0002.png: cannot be read as a picture" in line
