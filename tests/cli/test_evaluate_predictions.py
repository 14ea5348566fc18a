from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from refine_motion.benchmarks.keypoints.benchmark import KeypointClip
from refine_motion.benchmarks.keypoints.jhmdb import Jhmdb
from refine_motion.cli import evaluate_keypoints, evaluate_masks
from refine_motion.cli.main import main
from refine_motion.errors import BenchmarkError
from refine_motion.models.registry import build_model
from refine_motion.models.weights import save_weights
from refine_motion.video.palette import write_mask

CONFIGS = Path(__file__).parents[2] / "configs" / "benchmarks"
NAMES = {
    "davis2017": {"command": "masks", "class": "Davis", "year": 2017, "split": "val"},
    "davis2016": {"command": "masks", "class": "Davis", "year": 2016, "split": "val"},
    "jhmdb": {"command": "keypoints", "class": "Jhmdb", "split": 1, "clip_list": None},
}


def words(name: str, *more: object) -> list[str]:
    command = str(NAMES[name]["command"])
    return ["evaluate", command, "--config", str(CONFIGS / f"{name}.yaml"), *map(str, more)]


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(list(args)) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.count("\n") == 1
    return err


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """One sequence of 4 frames with a square of 10 x 10 px, and a prediction of half of it."""
    root, mask = tmp_path / "DAVIS", torch.zeros(30, 40, dtype=torch.uint8)
    mask[10:20, 10:20] = 1
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("car\n")
    (root / "JPEGImages/480p/car").mkdir(parents=True)
    for number in range(4):
        Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(root / f"JPEGImages/480p/car/{number:05d}.jpg")
        write_mask(root / f"Annotations/480p/car/{number:05d}.png", mask)
        half = mask.clone()
        half[15:] = 0
        write_mask(tmp_path / f"half/car/{number:05d}.png", half)
    return root


def test_masks_on_the_screen_and_in_files(davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    given = ["--data.root", davis, "--predictions", tmp_path / "half", "--workdir", out]
    assert main(words("davis2017", *given)) == 0
    text = capsys.readouterr().out
    assert "DAVIS 2017 val, objects by number, 480p" in text
    assert f"table.csv, table.json and table.md are in {out}" in text
    with (out / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["car_1", "mean"]
    assert (float(rows[0]["j_mean"]), float(rows[0]["j_recall"]), float(rows[0]["j_mean_still"])) == (0.5, 0, 1)
    assert json.loads((out / "table.json").read_text())["mean"]["j_mean"] == 0.5
    assert "| car_1 |" in (out / "table.md").read_text()


def test_keypoints_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = 10 * torch.arange(30, dtype=torch.float64).view(1, 15, 2).repeat(2, 1, 1)

    def clips(self: Jhmdb) -> Iterator[KeypointClip]:
        yield KeypointClip("walk/one", [Path("1.png"), Path("2.png")], places)

    # Reading its own files needs scipy.
    monkeypatch.setattr(Jhmdb, "clips", clips)
    lines = [f"{joint},1,{x},{y}" for joint, (x, y) in enumerate(places[1].tolist())]
    (tmp_path / "joints/walk").mkdir(parents=True)
    (tmp_path / "joints/walk/one.csv").write_text("\n".join(["point,frame,x,y", *lines]))
    given = ["--data.root", tmp_path, "--predictions", tmp_path / "joints", "--workdir", tmp_path / "out"]
    assert main(words("jhmdb", *given)) == 0
    with (tmp_path / "out/table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [*Jhmdb.joints, "mean"]
    assert {(row["pck_0.1"], row["estimated"]) for row in rows} == {("100.0", "1.0")}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save_weights(build_model("corrflow_small"), tmp_path_factory.mktemp("weights") / "corrflow.safetensors")


def test_masks_of_a_model(davis: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    # It looks at its own place alone, so that nothing moves.
    model = ["--model.weights", encoder, "--propagation.radius", 0, "--propagation.previous", "[1]"]
    assert main(words("davis2017", "--data.root", davis, *model, "--workdir", out)) == 0
    told = (
        "Carried from the first frame by corrflow_small: references t-1, 0, 5; radius 0 cells of 4 px, top-k all, "
        "temperature 1, soft labels, input rgb, compat fixed."
    )
    assert told in " ".join(capsys.readouterr().out.split())
    content = json.loads((out / "table.json").read_text())
    # The corners of a square of 10 px are rounded off by cells of 4 px.
    assert content["mean"]["j_mean"] > 0.85
    assert told in content["notes"]
    assert told in (out / "table.md").read_text()


def test_keypoints_of_a_model(encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = 20.0 + 5 * torch.arange(30, dtype=torch.float64).view(1, 15, 2).repeat(2, 1, 1)
    for number in range(2):
        Image.fromarray(np.zeros((240, 320, 3), np.uint8)).save(tmp_path / f"{number}.png")

    def clips(self: Jhmdb) -> Iterator[KeypointClip]:
        yield KeypointClip("walk/one", [tmp_path / f"{number}.png" for number in range(2)], places)

    monkeypatch.setattr(Jhmdb, "clips", clips)
    given = ["--data.root", tmp_path, "--model.weights", encoder, "--propagation.radius", 0]
    for name, side in (("own", []), ("published", ["--side", 320])):
        assert main(words("jhmdb", *given, *side, "--workdir", tmp_path / name)) == 0
    own, published = (json.loads((tmp_path / name / "table.json").read_text()) for name in ("own", "published"))
    assert own["mean"]["pck_0.1"] == published["mean"]["pck_0.1"] == 100
    assert "Carried from the first frame by corrflow_small" in own["notes"][-1]
    assert "frames of 320 x 320" in published["notes"][-1]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--propagation.iters", "3"], "iters 3: 'corrflow_small' is an encoder"),
        (
            ["--propagation.previous", "[3]", "--propagation.anchors", "[5]"],
            "the second frame has nothing to copy from",
        ),
        (["--propagation.compat", "old"], "compat"),
    ],
)
def test_settings_of_a_model_that_cannot_be(
    davis: Path, encoder: Path, capsys: pytest.CaptureFixture[str], args: list[str], message: str
) -> None:
    model = ["--data.root", str(davis), "--model.weights", str(encoder)]
    assert message in refused(capsys, *words("davis2017"), *model, *args)


@pytest.mark.parametrize("name", NAMES)
def test_configurations(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []

    def stop(*args: object) -> None:
        found.extend(args)
        raise BenchmarkError("far enough")

    monkeypatch.setattr(evaluate_masks, "evaluate_masks", stop)
    monkeypatch.setattr(evaluate_keypoints, "evaluate_keypoints", stop)
    assert main(words(name, "--data.root", "here", "--predictions", tmp_path)) == 2
    predictions, data = found
    assert (predictions, data.root) == (tmp_path, "here")
    expected = dict(NAMES[name])
    command = expected.pop("command")
    assert type(data).__name__ == expected.pop("class")
    assert {key: getattr(data, key) for key in expected} == expected
    text = (CONFIGS / f"{name}.yaml").read_text()
    assert f"evaluate {command} --config configs/benchmarks/{name}.yaml --data.root" in text
    assert yaml.safe_load(text)["workdir"] == f"runs/benchmark_{name}"
    assert yaml.safe_load(text)["predictions"] is None


def test_wrong_input_is_refused_in_one_line(davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--predictions", str(tmp_path / "half")]
    assert "no folder given: pass that of Davis as --data.root" in refused(capsys, *words("davis2017"), *given)
    root = ["--data.root", str(davis)]
    assert "no predictions given: pass their folder as --predictions" in refused(capsys, *words("davis2017"), *root)
    both = ["--model.weights", str(tmp_path / "w.pth")]
    assert "predictions and a model are given" in refused(capsys, *words("davis2017"), *root, *given, *both)
    assert "w.pth" in refused(capsys, *words("davis2017"), *root, *both)
    absent = ["--predictions", str(tmp_path / "absent")]
    assert "absent: no such folder" in refused(capsys, *words("davis2017"), *root, *absent)
    assert "ImageSets/2016/val.txt: cannot be read" in refused(capsys, *words("davis2016"), *root, *given)
    assert "split" in refused(capsys, *words("davis2017"), *root, *given, "--data.split", "test")
    assert "no *_test_split1.txt names a test clip" in refused(capsys, *words("jhmdb"), *root, *given)
    assert "data" in refused(capsys, "evaluate", "masks", *given)
    (tmp_path / "half/car/00001.png").write_text("no picture")
    assert "half/car/00001.png: cannot be read as a mask" in refused(capsys, *words("davis2017"), *root, *given)


@pytest.mark.parametrize("command", ["masks", "keypoints"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for args, text in ((["evaluate", "--help"], f"{command} "), (["evaluate", command, "--help"], "--predictions")):
        with pytest.raises(SystemExit) as stop:
            main(args)
        assert stop.value.code == 0
        assert text in capsys.readouterr().out
