from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from refine_motion.errors import ConfigError, VideoError
from refine_motion.models.clip_models import build_clip_model
from refine_motion.motionfit.augment import ActionAugmentation
from refine_motion.motionfit.clip_settings import ClipSettings
from refine_motion.motionfit.clusters import ClusterSettings, fit_clusters
from refine_motion.motionfit.granularity import Cell
from refine_motion.motionfit.label import PseudoLabelSettings, label_cells
from refine_motion.motionfit.label_store import LabelTable, read_labels
from refine_motion.motionfit.readers import RgbReader
from refine_motion.motionfit.timeline import Footage
from refine_motion.motionfit.trained import Trained
from refine_motion.video.info import VideoInfo

CPU = torch.device("cpu")
CLIP = ClipSettings("rgb", Footage((20, 24)), length=4, strides=(1, 2))
CLUSTERS = PseudoLabelSettings(clusters=ClusterSettings(3, whiten=False, starts=1), batch_size=4)
POSTERIORS = replace(CLUSTERS, kind="posteriors")
# The fourth has room at stride 1 alone, the last at none.
FRAMES = (17, 16, 16, 6, 3)


def write(folder: Path, frames: Tensor) -> VideoInfo:
    """``(T, 3, H, W)`` as a folder of frames."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(folder / f"{number:03}.png")
    times = tuple(number / 24 for number in range(len(frames)))
    height, width = frames.shape[-2:]
    return VideoInfo(folder, folder.name, len(frames), width, height, 24.0, times, (), (), "images", ())


def network(seed: int = 0) -> Trained:
    """One whose classes differ, which those of an untrained head hardly do."""
    torch.manual_seed(seed)
    model = build_clip_model("r2plus1d_10_tiny", 3, 4).eval()
    torch.nn.init.normal_(model.fc.weight)
    return Trained(model, CLIP, (16, 16), ("left", "right", "up", "down"))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[VideoInfo]:
    """Of noise that grows from frame to frame."""
    folder, generator = tmp_path_factory.mktemp("videos"), torch.Generator().manual_seed(0)
    found = []
    for number, frames in enumerate(FRAMES):
        contrast = torch.linspace(0.1 + 0.2 * number, 1, frames)[:, None, None, None]
        noise = 128 + contrast * (torch.rand(frames, 3, 20, 24, generator=generator) * 254 - 127)
        found.append(write(folder / f"v{number}", noise.to(torch.uint8)))
    return found


def label(videos: list[VideoInfo], folder: Path, settings: PseudoLabelSettings = CLUSTERS, seed: int = 0) -> LabelTable:
    return label_cells(network(seed), videos, settings, folder, folder / "cache", CPU, {"command": "the command"})


@pytest.fixture(scope="module")
def whole(videos: list[VideoInfo], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labels of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    label(videos, folder)
    return folder


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """The cells that are read."""
    found, read = [], RgbReader.read

    def noted(self: RgbReader, video: VideoInfo, start: int, stride: int, length: int) -> Tensor:
        found.append(Cell(video.key, start, stride))
        return read(self, video, start, stride, length)

    monkeypatch.setattr(RgbReader, "read", noted)
    return found


def features_in(folder: Path) -> dict[str, Path]:
    """Files of features by the key of their video."""
    return {path.name.split("_")[0]: path for path in sorted((folder / "features").rglob("*.safetensors"))}


def seen(video: VideoInfo, cell: Cell) -> tuple[Tensor, Tensor]:
    """Features and logits of a cell, one by one."""
    trained = network()
    clip = RgbReader(CLIP.footage).read(video, cell.start, cell.stride, 4)
    with torch.no_grad():
        features = trained.model.features(ActionAugmentation(crop=(16, 16)).centre(clip[None, None], 1, 20)[0, 0])
        return features[0], trained.model.fc(features)[0]


def by_hand(videos: list[VideoInfo], table: LabelTable) -> tuple[Tensor, Tensor]:
    """Features and logits of the rows of a table."""
    keyed = {video.key: video for video in videos}
    found = [seen(keyed[row.cell.video], row.cell) for row in table.rows]
    return torch.stack([features for features, _ in found]), torch.stack([logits for _, logits in found])


def test_cells(videos: list[VideoInfo], whole: Path) -> None:
    table = read_labels(whole)
    counts = {"v0": (4, 2), "v1": (4, 2), "v2": (4, 2), "v3": (1, 0)}
    wanted = [
        Cell(key, 4 * stride * number, stride)
        for key, numbers in counts.items()
        for stride, count in zip((1, 2), numbers, strict=True)
        for number in range(count)
    ]
    assert [row.cell for row in table.rows] == wanted
    assert {row.path for row in table.rows} == {str(video.path) for video in videos[:4]}
    assert (table.granularity.length, tuple(table.granularity.strides), table.fps) == (4, (1, 2), None)
    assert table.classes == ("cluster 0", "cluster 1", "cluster 2")
    facts = table.provenance
    assert (facts["command"], facts["network"]) == ("the command", "r2plus1d_10_tiny")
    assert facts["label"]["clusters"]["count"] == 3
    assert facts["clips"]["size"] == [20, 24]


def test_clusters_are_those_of_the_features(videos: list[VideoInfo], whole: Path) -> None:
    table = read_labels(whole)
    features, _ = by_hand(videos, table)
    wanted = fit_clusters(features, CLUSTERS.clusters).assign(features)
    assert [row.label for row in table.rows] == wanted.ids.tolist()
    assert {row.label for row in table.rows} == {0, 1, 2}
    assert [row.confidence for row in table.rows] == pytest.approx(wanted.confidence.tolist(), abs=1e-3)


def test_posteriors_are_the_classes_of_the_teacher(videos: list[VideoInfo], tmp_path: Path) -> None:
    table = label(videos, tmp_path, POSTERIORS)
    _, logits = by_hand(videos, table)
    assert [row.label for row in table.rows] == logits.argmax(dim=-1).tolist()
    assert len({row.label for row in table.rows}) > 1
    wanted = logits.softmax(dim=-1).max(dim=-1).values
    assert [row.confidence for row in table.rows] == pytest.approx(wanted.tolist(), abs=1e-4)
    assert table.classes == ("left", "right", "up", "down")


@pytest.mark.parametrize("kind", ["clusters", "posteriors"])
def test_a_label_a_video(kind: str, videos: list[VideoInfo], tmp_path: Path) -> None:
    settings = replace(POSTERIORS if kind == "posteriors" else CLUSTERS, unit="video")
    table = label(videos, tmp_path, settings)
    features, logits = by_hand(videos, table)
    keys = [row.cell.video for row in table.rows]
    members = {key: torch.tensor([one == key for one in keys]) for key in dict.fromkeys(keys)}
    if kind == "posteriors":
        means = torch.stack([logits[chosen].softmax(dim=-1).mean(dim=0) for chosen in members.values()])
        sure, wanted = means.max(dim=-1)
    else:
        means = torch.stack([features[chosen].mean(dim=0) for chosen in members.values()])
        found = fit_clusters(means, settings.clusters).assign(means)
        wanted, sure = found.ids, found.confidence
        assert len(set(wanted.tolist())) == 3
    labels = dict(zip(members, wanted.tolist(), strict=True))
    confidence = dict(zip(members, sure.tolist(), strict=True))
    assert [row.label for row in table.rows] == [labels[key] for key in keys]
    assert [row.confidence for row in table.rows] == pytest.approx([confidence[key] for key in keys], abs=1e-4)


def test_strides_of_ones_own(videos: list[VideoInfo], tmp_path: Path) -> None:
    table = label(videos, tmp_path, replace(CLUSTERS, strides=(4,)))
    assert [row.cell for row in table.rows] == [Cell(key, 0, 4) for key in ("v0", "v1", "v2")]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def garbled(path: Path) -> None:
    path.write_bytes(b"nothing of the kind")


def of_another_video(path: Path) -> None:
    """One with fewer cells."""
    other = next(one for key, one in features_in(path.parents[3]).items() if key == "v3")
    path.write_bytes(other.read_bytes())


class TestHalfDone:
    """Its labels are those of a whole run, to the byte."""

    @pytest.mark.parametrize("damage", [Path.unlink, truncated, garbled, of_another_video])
    def test_features_that_are_lost(
        self, damage: Callable[[Path], None], videos: list[VideoInfo], whole: Path, looks: list[Cell], tmp_path: Path
    ) -> None:
        label(videos, tmp_path)
        files = features_in(tmp_path)
        assert sorted(files) == ["v0", "v1", "v2", "v3"]
        content, before = files["v1"].read_bytes(), {path: path.stat().st_mtime_ns for path in files.values()}
        damage(files["v1"])
        for name in ("labels.csv", "labels.json"):
            (tmp_path / name).unlink()
        looks.clear()
        label(videos, tmp_path)
        assert {cell.video for cell in looks} == {"v1"}
        assert files["v1"].read_bytes() == content
        assert all(path.stat().st_mtime_ns == before[path] for key, path in files.items() if key != "v1")
        for name in ("labels.csv", "labels.json"):
            assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()

    def test_a_killed_run(self, videos: list[VideoInfo], whole: Path, tmp_path: Path) -> None:
        """In the midst of the third video."""
        read, count = RgbReader.read, 0

        def dies(self: RgbReader, video: VideoInfo, *place: int) -> Tensor:
            nonlocal count
            count += video.key == "v2"
            if count == 5:
                raise KeyboardInterrupt
            return read(self, video, *place)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RgbReader, "read", dies)
            with pytest.raises(KeyboardInterrupt):
                label(videos, tmp_path)
        assert sorted(features_in(tmp_path)) == ["v0", "v1"]
        assert not (tmp_path / "labels.csv").exists()
        assert not (tmp_path / "labels.json").exists()
        label(videos, tmp_path)
        assert (tmp_path / "labels.csv").read_bytes() == (whole / "labels.csv").read_bytes()


def test_other_labels_cost_no_second_look(videos: list[VideoInfo], looks: list[Cell], tmp_path: Path) -> None:
    first = label(videos, tmp_path)
    looks.clear()
    second = label(videos, tmp_path, replace(CLUSTERS, clusters=ClusterSettings(5, starts=1)))
    label(videos, tmp_path, POSTERIORS)
    assert looks == []
    assert first.provenance["features"] == second.provenance["features"]
    # Another teacher has to look itself.
    third = label(videos, tmp_path, seed=1)
    assert len(looks) == len(third.rows)
    assert third.provenance["features"] != first.provenance["features"]


def test_batches_do_not_matter(videos: list[VideoInfo], whole: Path, tmp_path: Path) -> None:
    label(videos, tmp_path, replace(CLUSTERS, batch_size=1))
    wanted, found = read_labels(whole).rows, read_labels(tmp_path).rows
    assert [(row.cell, row.label) for row in found] == [(row.cell, row.label) for row in wanted]


def test_videos_that_are_too_short(videos: list[VideoInfo], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        label(videos, tmp_path)
    assert "1 videos are too short for a clip and get no label" in caplog.text
    with pytest.raises(VideoError, match=r"^no video has 4 frames at stride 1, as the teacher was trained; give .*$"):
        label(videos[4:], tmp_path)


def test_more_clusters_than_cells(videos: list[VideoInfo], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        label(videos, tmp_path, replace(CLUSTERS, clusters=ClusterSettings(50)))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "labels.csv").exists()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kind": "names"}, "label.kind must be clusters or posteriors and label.unit clip or video, got 'names'"),
        ({"unit": "frame"}, "label.unit clip or video, got 'clusters' and 'frame'"),
        ({"batch_size": 0}, "label.batch_size must be at least 1, got 0"),
    ],
)
def test_settings_that_are_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        PseudoLabelSettings(**values)


def test_facts_are_plain(whole: Path) -> None:
    assert json.loads((whole / "labels.json").read_text())["provenance"]["label"]["unit"] == "clip"
