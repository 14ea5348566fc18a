from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from refine_motion.cli import evaluate_tracks
from refine_motion.cli.main import main
from refine_motion.errors import BenchmarkError

CONFIGS = Path(__file__).parents[2] / "configs" / "benchmarks"
NAMES = {
    "tapvid_davis": {"class_path": "TapVid", "subset": "davis", "queries": "first"},
    "tapvid_kinetics": {"class_path": "TapVid", "subset": "kinetics"},
    "tapvid_rgb_stacking": {"class_path": "TapVid", "subset": "rgb_stacking"},
    "robotap": {"class_path": "TapVid", "subset": "robotap"},
    "badja": {"class_path": "Badja", "variant": "official"},
    "crohd": {"class_path": "Crohd", "preset": "clean"},
    "crohd_paper": {"class_path": "Crohd", "preset": "paper"},
    "horse30": {"class_path": "DeepLabCut", "preset": "clean", "size": [256, 448]},
    "horse30_paper": {"class_path": "DeepLabCut", "preset": "paper", "size": [256, 448]},
    "deeplabcut": {"class_path": "DeepLabCut", "preset": "clean", "size": None},
    "davis_masks": {"class_path": "DavisMasks", "year": 2017},
    "tracks_csv": {"class_path": "TracksCsv"},
}


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """Two videos of 3 frames with a point that stands still."""
    generator = np.random.default_rng(0)
    content = {
        name: {
            "video": generator.integers(0, 255, (3, 64, 72, 3), dtype=np.uint8),
            "points": np.full((1, 3, 2), 0.5, np.float32),
            "occluded": np.zeros((1, 3), bool),
        }
        for name in ("goat", "dog")
    }
    file = tmp_path / "davis/tapvid_davis.pkl"
    file.parent.mkdir()
    file.write_bytes(pickle.dumps(content))
    return file.parent


def words(name: str, *more: object) -> list[str]:
    return ["evaluate", "tracks", "--config", str(CONFIGS / f"{name}.yaml"), *map(str, more)]


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(list(args)) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.count("\n") == 1
    return err


def test_table_on_the_screen_and_in_files(davis: Path, untrained: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    models = ["--model.weights", untrained, "--model.against", untrained]
    args = words("tapvid_davis", "--data.root", davis, "--data.full_resolution", "true", *models, "--workdir", out)
    assert main(args) == 0
    text = capsys.readouterr().out
    assert "TAP-Vid davis, queries first" in text
    assert "AJ against before: +0.00, 95% interval" in text
    with (out / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["goat", "dog", "mean"]
    assert rows[0]["aj"] == rows[0]["aj_before"]
    assert float(rows[2]["delta_avg_still"]) == 1
    assert json.loads((out / "table.json").read_text())["mean"]["queries"] == 2
    assert not (out / "table.partial.csv").exists()


def test_scores_before_a_damaged_file_are_kept(davis: Path, untrained: Path, tmp_path: Path, capsys) -> None:
    content = (davis / "tapvid_davis.pkl").read_bytes()
    (davis / "robotap_split0.pkl").write_bytes(content)
    (davis / "robotap_split1.pkl").write_bytes(content[:-9])
    out = tmp_path / "out"
    args = words("robotap", "--data.root", davis, "--model.weights", untrained, "--workdir", out)
    args += ["--data.full_resolution", "true"]
    line = refused(capsys, *args)
    assert "robotap_split1.pkl: damaged or no pickle file" in line
    assert f"(the scores of the videos before it are in {out / 'table.partial.csv'})" in line
    with (out / "table.partial.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["goat", "dog", "mean"]
    # Another run that fails at once has no scores before it.
    (davis / "robotap_split0.pkl").unlink()
    assert "table.partial.csv" not in refused(capsys, *args)
    assert not (out / "table.partial.csv").exists()


@pytest.mark.parametrize("name", NAMES)
def test_configurations(name: str, monkeypatch) -> None:
    found: list[Any] = []

    def stop(*args: object, **_: object) -> None:
        found.extend(args)
        raise BenchmarkError("far enough")

    monkeypatch.setattr(evaluate_tracks.Models, "load", lambda self: (self, None))
    monkeypatch.setattr(evaluate_tracks, "evaluate_tracks", stop)
    assert main(words(name, "--data.root", "here", "--model.weights", "there")) == 2
    model, data, _ = found
    assert (model.weights, model.against, data.root) == ("there", None, "here")
    expected = dict(NAMES[name])
    assert type(data).__name__ == expected.pop("class_path")
    for key, value in expected.items():
        actual = getattr(data, key)
        assert (list(actual) if isinstance(value, list) else actual) == value
    text = (CONFIGS / f"{name}.yaml").read_text()
    assert f"evaluate tracks --config configs/benchmarks/{name}.yaml --data.root" in text
    assert yaml.safe_load(text)["workdir"] == f"runs/benchmark_{name}"
    assert ("LEAKS" in text) == name.endswith("_paper")
    assert data.title
    assert any("hand-picked" in note for note in data.notes) == name.endswith("_paper")


def test_wrong_input_is_refused_in_one_line(davis: Path, untrained: Path, tmp_path: Path, capsys) -> None:
    given = ["--model.weights", str(untrained)]
    assert "no folder given: pass that of TapVid as --data.root" in refused(capsys, *words("tapvid_davis"), *given)
    root = ["--data.root", str(davis)]
    assert "no weights given" in refused(capsys, *words("tapvid_davis"), *root)
    assert "no such file or folder" in refused(capsys, *words("badja", "--data.root", tmp_path / "absent"), *given)
    assert "has no joint_annotations" in refused(capsys, *words("badja", "--data.root", davis), *given)
    assert "--data.table" in refused(capsys, *words("tracks_csv", "--data.root", davis), *given)
    assert "queries" in refused(capsys, *words("tapvid_davis", "--data.queries", "last"), *root, *given)
    assert "data" in refused(capsys, "evaluate", "tracks", *given)
    (davis / "tapvid_davis.pkl").write_bytes(b"cos\nsystem\n(Vtouch x\ntR.")
    line = refused(capsys, *words("tapvid_davis"), *root, *given)
    assert "tapvid_davis.pkl: this pickle asks for os.system" in line


def test_help(capsys) -> None:
    for args, text in ((["evaluate", "--help"], "tracked points"), (["evaluate", "tracks", "--help"], "--workdir")):
        with pytest.raises(SystemExit) as stop:
            main(args)
        assert stop.value.code == 0
        assert text in capsys.readouterr().out
