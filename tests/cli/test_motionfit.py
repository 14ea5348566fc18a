from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from refine_motion.benchmarks.synthetic.actions import CLASSES, ActionSet, write_actions
from refine_motion.cli.main import main
from refine_motion.models.weights import read_facts
from refine_motion.motionfit.label_store import read_labels
from refine_motion.motionfit.trained import load_trained

CONFIGS = Path(__file__).parents[2] / "configs" / "motionfit"
SMALL = CONFIGS / "small"
DATA = "--data.init_args"
CLIP = [f"{DATA}.clip.length", "4", f"{DATA}.clip.strides", "[2]", f"{DATA}.clip.footage.size", "[40,40]"]
TINY = [*CLIP, "--trainer.max_steps", "2", f"{DATA}.num_workers", "0", f"{DATA}.batch_size", "2"]
FLOW = [f"{DATA}.clip.flow.iters", "1", f"{DATA}.clip.flow.scale", "1.6"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made collection; among its unlabelled videos is one that cannot be read."""
    folder = tmp_path_factory.mktemp("actions")
    write_actions(folder, ActionSet(labelled=8, unlabelled=5, test=8, size=(48, 48), frames=16))
    (folder / "unlabelled/broken.mp4").write_bytes(b"nothing of the kind")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def fit(step: str, runs: Path, *more: str) -> list[str]:
    return [
        "fit", "--config", str(SMALL / f"{step}.yaml"), "--workdir", str(runs / step), *TINY,
        f"{DATA}.cache", str(runs / "cache"), *more,
    ]  # fmt: skip


def of_actions(root: Path) -> list[str]:
    return [f"{DATA}.benchmark.init_args.root", str(root)]


def of_labels(root: Path, runs: Path) -> list[str]:
    return [f"{DATA}.videos", str(root / "unlabelled"), f"{DATA}.labels", str(runs / "labels")]


def label(runs: Path, root: Path, *more: str) -> list[str]:
    return [
        "label", "--config", str(SMALL / "pseudo_labels.yaml"), "--workdir", str(runs / "labels"),
        "--videos", str(root / "unlabelled"), "--teacher", str(runs / "teacher/weights.safetensors"),
        "--cache", str(runs / "cache"), "--label.clusters.count", "3", *more,
    ]  # fmt: skip


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """The one line with which a command is refused."""
    assert main(list(args)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("refine-motion: ")
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


def done(args: list[str]) -> str:
    """What a command that works prints."""
    with redirect_stdout(StringIO()) as out:
        assert main(args) == 0
    return out.getvalue()


@pytest.fixture(scope="module")
def teacher(root: Path, runs: Path) -> Path:
    """Weights of the first step."""
    done(fit("teacher", runs, *of_actions(root), *FLOW, "--seed_everything", "3"))
    return runs / "teacher/weights.safetensors"


@pytest.fixture(scope="module")
def labels(teacher: Path, root: Path, runs: Path) -> str:
    """What the second step prints."""
    return done(label(runs, root))


@pytest.fixture(scope="module")
def student(labels: str, root: Path, runs: Path) -> Path:
    """Weights of the third step."""
    done(fit("student", runs, *of_labels(root, runs)))
    return runs / "student/weights.safetensors"


class TestAllSteps:
    """Each from what the one before has left."""

    def test_the_teacher(self, teacher: Path) -> None:
        trained, facts = load_trained(teacher), read_facts(teacher)
        assert (trained.clip.input, trained.clip.length, trained.clip.strides) == ("flow", 4, (2,))
        assert trained.classes == tuple(sorted(CLASSES))
        assert facts["command"].startswith("refine-motion fit --config ")
        # That of the run is that of the data.
        assert facts["settings"]["seed"] == 3
        config = yaml.safe_load((teacher.parent / "fit.yaml").read_text())
        assert config["data"]["init_args"]["clip"]["flow"]["scale"] == 1.6
        assert (config["seed_everything"], config["task"]) == (3, "motionfit")

    def test_the_labels(self, labels: str, runs: Path) -> None:
        assert f"{runs / 'labels' / 'labels.csv'}; learn from it with {DATA}.labels {runs / 'labels'}" in labels
        assert "3 of 3" in labels
        # What cannot be read is told.
        assert "broken.mp4" in labels
        table = read_labels(runs / "labels")
        # 4 frames at stride 2 are two cells of 16 frames.
        assert [(row.cell.start, row.cell.stride) for row in table.rows] == 5 * [(0, 2), (8, 2)]
        assert table.provenance["teacher"] == str(runs / "teacher/weights.safetensors")
        assert table.provenance["command"].startswith("refine-motion label --config ")

    def test_the_student(self, student: Path) -> None:
        trained = load_trained(student)
        assert (trained.clip.input, trained.classes) == ("rgb", ("cluster 0", "cluster 1", "cluster 2"))

    def test_the_target_collection(
        self, student: Path, root: Path, runs: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        args = fit("finetune", runs, *of_actions(root), "--model.weights", str(student))
        told = done(args)
        assert "class_mean" in told
        assert "8 videos, 4 clips, 1 crops" in told
        found = json.loads((runs / "finetune/scores.json").read_text())
        assert found["videos"] == 8
        assert set(found["classes"]) == set(CLASSES)
        # Again, it only tests.
        assert "finished already" in done(args)
        assert json.loads((runs / "finetune/scores.json").read_text()) == found
        assert "another --workdir" in refused(capsys, *args, "--model.learning_rate", "0.5")

    @pytest.mark.usefixtures("labels")
    def test_a_stride_that_was_not_labelled(self, root: Path, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
        told = refused(capsys, *fit("student", runs, *of_labels(root, runs), f"{DATA}.clip.strides", "[1]"))
        assert "has labels at strides [2], and data.clip.strides asks for 1" in told

    @pytest.mark.usefixtures("teacher")
    @pytest.mark.parametrize(
        ("more", "told"),
        [
            (["--label.clusters.count", "1"], "clusters.count must be at least 2, got 1"),
            (["--label.strides", "[40]"], "no video has 4 frames at stride 40"),
            (["--videos", "nowhere"], "nowhere"),
            (["--teacher", "nowhere.safetensors"], "nowhere.safetensors: no such weights file"),
            (["--videos", "null"], "no videos given: pass the unlabelled videos as --videos"),
            (["--teacher", "null"], "no teacher given: pass the weights of a finished teacher as --teacher"),
            (["--label.colour", "grey"], "refine-motion label --help"),
        ],
    )
    def test_labels_that_cannot_be_made(
        self, more: list[str], told: str, root: Path, runs: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert told in refused(capsys, *label(runs, root, *more, "--workdir", str(runs / "none")))
        assert not (runs / "none/labels.csv").exists()


@pytest.mark.parametrize(
    ("step", "more", "told"),
    [
        ("teacher", [f"{DATA}.benchmark.init_args.root", "nowhere"], "nowhere"),
        ("teacher", [f"{DATA}.clip.length", "1"], "clip.length must be at least 2 for flow, got 1"),
        ("teacher", [f"{DATA}.clip.length", "60"], "no video to learn from has 60 frames at stride 2"),
        ("teacher", ["--model.network", "r3d_18"], "no model of clips is called 'r3d_18'"),
        ("teacher", ["--test_crops", "2"], "test_crops must be 1 or 3, got 2"),
        ("teacher", ["--model.colour", "grey"], "refine-motion fit --help"),
        ("finetune", ["--trainer.max_steps", "-1"], "trainer.max_steps must be set"),
        ("finetune", ["--model.weights", "nowhere.pth"], "nowhere.pth: no such weights file"),
        ("student", [], "no videos given: set data.videos to the unlabelled videos"),
        ("student", [f"{DATA}.videos", ".", f"{DATA}.labels", "nowhere"], "labels.csv: cannot be read"),
    ],
)
def test_trainings_that_are_refused(
    step: str, more: list[str], told: str, root: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [] if step == "student" else of_actions(root)
    assert told in refused(capsys, *fit(step, runs, *where, *more, "--workdir", str(runs / "none")))
    assert not (runs / "none/weights.safetensors").exists()


def test_no_such_command(capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, "validate", "--config", str(SMALL / "teacher.yaml"))
    assert "task motionfit has no command validate" in told


def settings_of(config: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What a configuration is read as."""
    command = "label" if config.stem == "pseudo_labels" else "fit"
    with pytest.raises(SystemExit) as stop:
        main([command, "--config", str(config), "--workdir", "elsewhere", "--print_config"])
    assert stop.value.code == 0
    found = yaml.safe_load(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("folder", [CONFIGS, SMALL])
def test_the_configurations_are_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And go together: each step looks at clips as the one before does."""
    found = {step: settings_of(folder / f"{step}.yaml", capsys) for step in ("teacher", "student", "finetune")}
    clips = {step: read["data"]["init_args"]["clip"] for step, read in found.items()}
    assert {step: clip["input"] for step, clip in clips.items()} == {
        "teacher": "flow",
        "student": "rgb",
        "finetune": "rgb",
    }
    assert len({str(clip["footage"]) for clip in clips.values()}) == 1
    assert set(clips["student"]["strides"]) <= set(clips["teacher"]["strides"])
    assert found["finetune"]["model"]["network"] == found["student"]["model"]["network"]
    for read in found.values():
        assert read["trainer"]["default_root_dir"] == read["trainer"]["logger"]["init_args"]["save_dir"] == "elsewhere"
        assert read["trainer"]["max_steps"] > 0
    labels = settings_of(folder / "pseudo_labels.yaml", capsys)
    assert (labels["task"], labels["label"]["strides"]) == ("motionfit", None)
    caches = {labels["cache"], *(read["data"]["init_args"]["cache"] for read in found.values())}
    assert len(caches) == 1
