from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from refine_motion.benchmarks.actions.class_folders import ClassFolders
from refine_motion.benchmarks.synthetic.actions import ActionSet, write_actions
from refine_motion.cli import evaluate_actions
from refine_motion.cli.main import main
from refine_motion.errors import BenchmarkError
from refine_motion.models.clip_models import build_clip_model
from refine_motion.motion.grid import resize_frames
from refine_motion.motionfit.clip_settings import ClipSettings
from refine_motion.motionfit.readers import FlowReader
from refine_motion.motionfit.timeline import Footage
from refine_motion.motionfit.trained import Trained, save_trained
from refine_motion.video.index import build_index
from refine_motion.video.info import VideoInfo
from refine_motion.video.reader import read_frames
from refine_motion.video.writer import write_video

CONFIGS = Path(__file__).parents[2] / "configs" / "benchmarks"
NAMES = {
    "ucf101": {"class": "Ucf101", "split": 1},
    "hmdb51": {"class": "Hmdb51", "split": 1},
    "class_folders": {"class": "ClassFolders", "test_share": 0.3, "seed": 0},
}
# The frames are as high as a crop and wider, so that crops are parts of them and nothing is interpolated.
SIDE, WIDTH, LENGTH = 32, 48, 8
CLIP = ClipSettings(footage=Footage((SIDE, WIDTH)), length=LENGTH, strides=(1,))
# Of 16 frames, which have room for 9 starts.
CLIPS, STARTS = 2, (0, 8)
LEFT = {1: (8,), 3: (0, 8, 16)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One test video and two to learn from of each of 8 classes."""
    return write_actions(
        tmp_path_factory.mktemp("actions"),
        ActionSet(labelled=16, unlabelled=0, test=8, size=(SIDE, WIDTH), frames=16),
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def clips(root: Path, cache: Path) -> dict[str, list[Tensor]]:
    """Of each part: ``(CLIPS, 3, LENGTH, SIDE, WIDTH)`` of each video, in the order of :class:`ClassFolders`."""
    collection, found = ClassFolders(str(root)), {}
    for part, videos in (("train", collection.train()), ("test", collection.test())):
        by_path = {info.path: info for info in build_index([video.path for video in videos], cache / "index").videos}
        found[part] = [
            torch.stack([
                resize_frames(
                    read_frames(by_path[video.path], range(start, start + LENGTH)), (SIDE, WIDTH)
                ).transpose(0, 1)
                for start in STARTS
            ])
            for video in videos
        ]  # fmt: skip
    return found


@pytest.fixture(scope="module")
def trained(root: Path, clips: dict[str, list[Tensor]]) -> Trained:
    """Untrained, with logits of equal spread, or it would tell the same class of all videos.

    They are so far apart that the mean of probabilities says other classes than that of logits.
    """
    torch.manual_seed(9)
    model = build_clip_model("r2plus1d_10_tiny", 3, 8).eval()
    with torch.no_grad():
        seen = model(torch.cat(clips["test"])[..., 8 : 8 + SIDE])
        spread = seen.std(dim=0) / 10
        model.fc.weight /= spread[:, None]
        model.fc.bias -= seen.mean(dim=0) / spread
    return Trained(model, CLIP, (SIDE, SIDE), ClassFolders(str(root)).classes)


@pytest.fixture(scope="module")
def weights(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_trained(trained, tmp_path_factory.mktemp("weights") / "weights.safetensors", {})


def words(root: Path, cache: Path, *more: object) -> list[str]:
    config = ["--config", CONFIGS / "class_folders.yaml", "--data.root", root, "--cache", cache, "--clips", CLIPS]
    return ["evaluate", "actions", *map(str, (*config, *more))]


def refused(capsys: pytest.CaptureFixture[str], args: Sequence[object]) -> str:
    assert main([str(word) for word in args]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.count("\n") == 1
    return err


def logits(trained: Trained, videos: list[Tensor], crops: int) -> Tensor:
    """``(V, K)``: the mean over clips and crops, one at a time."""
    with torch.no_grad():
        looks = [
            [trained.model(clip[None, ..., left : left + SIDE]) for clip in video for left in LEFT[crops]]
            for video in videos
        ]
    return torch.stack([torch.cat(look).mean(dim=0) for look in looks])


def recalls(trained: Trained, clips: dict[str, list[Tensor]]) -> dict[str, float]:
    """R@k of the test videos, from sorted distances; a class is every eighth of a part in order."""
    with torch.no_grad():
        features = {
            part: torch.stack([
                F.normalize(trained.model.features(video[..., 8 : 8 + SIDE]), dim=1).mean(dim=0) for video in videos
            ])
            for part, videos in clips.items()
        }  # fmt: skip
    near = torch.cdist(features["test"].double(), features["train"].double()).argsort(dim=1) // 2
    right = near == torch.arange(8)[:, None]
    return {f"r_at_{k}": 100 * right[:, :k].any(dim=1).double().mean().item() for k in (1, 5, 10, 20, 50)}


@pytest.mark.parametrize("crops", [1, 3])
def test_accuracy(
    crops: int,
    root: Path,
    cache: Path,
    clips: dict[str, list[Tensor]],
    trained: Trained,
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said, labels = logits(trained, clips["test"], crops), torch.arange(8)
    assert not torch.equal(said.argmax(dim=1), logits(trained, clips["test"], 4 - crops).argmax(dim=1))
    right = said.argmax(dim=1) == labels
    among = (said.argsort(dim=1, descending=True)[:, :5] == labels[:, None]).any(dim=1)
    assert 0 < right.sum() < among.sum() < 8
    assert main(words(root, cache, "--weights", weights, "--crops", crops, "--workdir", tmp_path / "out")) == 0
    text = capsys.readouterr().out
    assert "8 of 8 videos, 2 clips" in text
    assert f"{100 * right.double().mean().item():.1f} %" in text

    table = json.loads((tmp_path / "out/table.json").read_text())
    top1, top5 = 12.5 * int(right.sum()), 12.5 * int(among.sum())
    assert table["scores"] == {"top1": top1, "top5": top5, "class_mean": top1}
    assert table["classes"] == {name: 100.0 * hit for name, hit in zip(trained.classes, right.tolist(), strict=True)}
    facts = {"title": root.name, "weights": str(weights), "clips": 2, "crops": crops, "videos": 8, "left_out": 0}
    assert facts.items() <= table.items()

    with (tmp_path / "out/table.csv").open(newline="") as file:
        *rows, mean = csv.DictReader(file)
    assert {row["name"]: float(row["top1"]) for row in rows} == table["classes"]
    assert {row["top5"] + row["class_mean"] for row in rows} == {""}
    assert mean == {"name": "mean", **{name: str(value) for name, value in table["scores"].items()}}
    assert not (tmp_path / "out/retrieval.json").exists()


def test_retrieval_beside_accuracy(
    root: Path, cache: Path, clips: dict[str, list[Tensor]], trained: Trained, weights: Path, tmp_path: Path, capsys
) -> None:
    assert main(words(root, cache, "--weights", weights, "--retrieval", "true", "--workdir", tmp_path)) == 0
    found = json.loads((tmp_path / "retrieval.json").read_text())
    assert found["scores"] == recalls(trained, clips)
    assert 0 < found["scores"]["r_at_5"] < found["scores"]["r_at_10"] == 100
    assert (found["videos"], found["gallery"], found["clips"]) == (8, 16, 2)
    assert f"{found['scores']['r_at_5']:.1f} %" in capsys.readouterr().out
    assert (tmp_path / "table.json").is_file()


def test_other_classes_have_retrieval_alone(
    root: Path, cache: Path, clips: dict[str, list[Tensor]], trained: Trained, tmp_path: Path, capsys
) -> None:
    """As pseudo-labels have; features and so retrieval are those of the same network with its classes."""
    renamed = ("flight", *trained.classes[1:])
    for name, classes, model in (
        ("renamed", renamed, trained.model),
        ("more", (*trained.classes, "still"), build_clip_model("r2plus1d_10_tiny", 3, 9)),
    ):
        weights = save_trained(replace(trained, classes=classes, model=model), tmp_path / f"{name}.safetensors", {})
        line = refused(capsys, words(root, cache, "--weights", weights, "--workdir", tmp_path / "out"))
        assert f"{name}.safetensors: not trained on the classes of {root.name}" in line
        assert "--retrieval true" in line
        assert ("class 1 is 'flight' instead of" if name == "renamed" else "9 classes instead of 8") in line
    assert not (tmp_path / "out").exists()

    given = ["--weights", tmp_path / "renamed.safetensors", "--workdir", tmp_path / "out", "--retrieval", "true"]
    assert main(words(root, cache, *given)) == 0
    assert "no accuracy" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/retrieval.json").read_text())["scores"] == recalls(trained, clips)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["retrieval.json"]


def test_videos_without_room_for_a_clip_are_counted(
    root: Path, cache: Path, clips: dict[str, list[Tensor]], trained: Trained, weights: Path, tmp_path: Path
) -> None:
    """A class that loses all its test videos so has no score and no part in the mean; another one has two."""
    mixed, (double, lost) = shutil.copytree(root, tmp_path / "mixed"), trained.classes[:2]
    own, more = next((mixed / "test" / lost).iterdir()), sorted((mixed / "train" / double).iterdir())[0]
    write_video(own, torch.zeros(LENGTH - 1, 3, SIDE, WIDTH, dtype=torch.uint8), fps=12.0)
    more.rename(mixed / "test" / double / more.name)
    given = ["--weights", weights, "--crops", 1, "--workdir", tmp_path / "out"]
    assert main(words(mixed, cache, *given)) == 0

    hits = logits(trained, clips["test"], 1).argmax(dim=1) == torch.arange(8)
    hit = int(logits(trained, clips["train"][:1], 1).argmax() == 0)
    by_class = [(int(hits[0]) + hit) / 2, *hits[2:].tolist()]
    table = json.loads((tmp_path / "out/table.json").read_text())
    assert (table["videos"], table["left_out"]) == (8, 1)
    assert table["classes"][double] == 100 * by_class[0]
    assert table["classes"][lost] is None
    assert table["scores"]["top1"] == 12.5 * (int(hits[0]) + hit + int(hits[2:].sum()))
    assert table["scores"]["class_mean"] == pytest.approx(100 * sum(by_class) / 7)
    assert f"\n{lost},,,\n" in (tmp_path / "out/table.csv").read_text()


@pytest.mark.parametrize("retrieval", [False, True])
def test_flow_is_made_of_what_is_judged_alone(
    retrieval: bool, root: Path, cache: Path, trained: Trained, tmp_path: Path, monkeypatch, capsys
) -> None:
    """Of test videos, and of those to learn from for retrieval; at the stride that clips are judged at."""
    asked: list[tuple[list[str], tuple[int, ...]]] = []

    def stop(self: FlowReader, videos: Sequence[VideoInfo], strides: Sequence[int], device: torch.device) -> None:
        asked.append(([video.path.parents[1].name for video in videos], tuple(strides)))
        if "test" in asked[-1][0]:
            raise BenchmarkError("far enough")

    monkeypatch.setattr(FlowReader, "prepare", stop)
    flow = replace(trained, clip=replace(CLIP, input="flow", strides=(2, 1)))
    flow = replace(flow, model=build_clip_model("r2plus1d_10_tiny", 2, 8))
    weights = save_trained(flow, tmp_path / "flow.safetensors", {})
    assert "far enough" in refused(capsys, words(root, cache, "--weights", weights, "--retrieval", retrieval))
    assert asked == [(["train"] * 16, (2,))] * retrieval + [(["test"] * 8, (2,))]


@pytest.mark.parametrize("name", NAMES)
def test_configurations(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []

    def stop(config: Any) -> None:
        found.append(config)
        raise BenchmarkError("far enough")

    monkeypatch.setattr(evaluate_actions, "_check", stop)
    file, expected = CONFIGS / f"{name}.yaml", dict(NAMES[name])
    assert main(["evaluate", "actions", "--config", str(file), "--data.init_args.root", "here"]) == 2
    (config,) = found
    assert (config.weights, config.clips, config.crops, config.retrieval) == (None, 10, 3, False)
    assert type(config.data).__name__ == expected.pop("class")
    assert {key: getattr(config.data, key) for key in ("root", *expected)} == {"root": "here", **expected}
    text = file.read_text()
    assert f"evaluate actions --config configs/benchmarks/{name}.yaml --data.root" in text
    assert yaml.safe_load(text)["workdir"] == f"runs/benchmark_{name}"
    # So that index and flow of a training are used again.
    training = yaml.safe_load((CONFIGS.parent / "motionfit/finetune.yaml").read_text())
    assert yaml.safe_load(text)["cache"] == training["data"]["init_args"]["cache"]


def test_another_split_can_be_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found: list[Any] = []
    monkeypatch.setattr(evaluate_actions, "_check", found.append)
    given = ["evaluate", "actions", "--config", CONFIGS / "ucf101.yaml", "--data.init_args.split"]
    assert "no-weights" in refused(capsys, [*given, 2, "--weights", "no-weights"])
    assert found[0].data.split == 2
    assert "split" in refused(capsys, [*given, 4])


def test_wrong_input_is_refused_in_one_line(
    root: Path, cache: Path, trained: Trained, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--weights", weights]
    assert "no weights given" in refused(capsys, words(root, cache))
    absent = tmp_path / "absent"
    assert "absent" in refused(capsys, words(root, cache, "--weights", absent))
    assert "absent: no such folder; give that of ClassFolders as --data.root" in refused(
        capsys, words(absent, cache, *given)
    )
    config = ["evaluate", "actions", "--config", CONFIGS / "ucf101.yaml", *given]
    assert "no folder given: pass that of Ucf101 as --data.root" in refused(capsys, config)
    assert "has no ucfTrainTestlist/" in refused(capsys, [*config, "--data.root", root])
    assert "crops must be 1, the middle, or 3" in refused(capsys, words(root, cache, *given, "--crops", 2))
    for number in (0, -1):
        line = refused(capsys, words(root, cache, *given, "--clips", number))
        assert f"clips must be at least 1 of each video, usually 10, got {number}: set --clips" in line
    assert "data" in refused(capsys, ["evaluate", "actions", *given])
    long = save_trained(replace(trained, clip=replace(CLIP, length=17)), tmp_path / "long.safetensors", {})
    assert "has 17 frames at stride 1" in refused(capsys, words(root, cache, "--weights", long))


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for args, text in ((["evaluate", "--help"], "actions "), (["evaluate", "actions", "--help"], "--retrieval")):
        with pytest.raises(SystemExit) as stop:
            main(args)
        assert stop.value.code == 0
        assert text in capsys.readouterr().out
