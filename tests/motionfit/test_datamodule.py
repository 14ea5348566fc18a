from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from refine_motion.benchmarks.actions.class_folders import ClassFolders
from refine_motion.errors import ConfigError, LabelError, VideoError
from refine_motion.motionfit.clip_settings import ClipSettings
from refine_motion.motionfit.datamodule import ActionDataModule, PseudoLabelDataModule
from refine_motion.motionfit.flow_cache import FlowSettings
from refine_motion.motionfit.granularity import Granularity
from refine_motion.motionfit.label_store import LabelTable, Row, read_labels, write_labels
from refine_motion.motionfit.timeline import Footage
from refine_motion.video.index import VideoIndex, build_index
from refine_motion.video.writer import write_video

SIZE = (16, 20)
CLIP = ClipSettings("rgb", Footage(SIZE), length=4, strides=(2, 1))
# Below ``root``, and how many frames they have; 4 frames at stride 2 need 7.
VIDEOS = {
    "train/fall/a": 12,
    "train/fall/b": 9,
    "train/fall/short": 3,
    "train/rise/a": 12,
    "train/rise/thin": 6,
    "test/fall/a": 12,
    "test/rise/a": 9,
    "test/rise/thin": 6,
    "test/rise/short": 3,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection with ``broken.mp4`` and a copy among its train videos."""
    folder, generator = tmp_path_factory.mktemp("actions"), torch.Generator().manual_seed(0)
    for name, frames in VIDEOS.items():
        noise = torch.randint(0, 256, (frames, 3, *SIZE), generator=generator, dtype=torch.uint8)
        write_video(folder / f"{name}.mp4", noise, 10.0)
    (folder / "train/rise/broken.mp4").write_bytes(b"nothing of the kind")
    (folder / "train/rise/copy.mp4").write_bytes((folder / "train/rise/a.mp4").read_bytes())
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def index(root: Path, cache: str) -> VideoIndex:
    return build_index(root / "train", Path(cache) / "index")


def names(paths: list[Path]) -> list[str]:
    return [f"{path.parent.name}/{path.stem}" for path in paths]


class TestActions:
    def data(self, root: Path, cache: str, clip: ClipSettings = CLIP, **more: Any) -> ActionDataModule:
        return ActionDataModule(
            ClassFolders(str(root)),
            clip,
            **{"test_clips": 2, "batch_size": 2, "num_workers": 0, "cache": cache, **more},
        )

    def test_what_is_left_out_is_told(self, root: Path, cache: str, caplog: pytest.LogCaptureFixture) -> None:
        """Any of the strides will do to learn from, and any at all to be tested on."""
        data = self.data(root, cache)
        with caplog.at_level("INFO"):
            data.setup()
        assert names([one.video.path for one in data.train_videos]) == ["fall/a", "fall/b", "rise/a", "rise/thin"]
        assert [one.label for one in data.train_videos] == [0, 0, 1, 1]
        assert names([one.video.path for one in data.test_videos]) == ["fall/a", "rise/a", "rise/thin"]
        assert data.classes == ("fall", "rise")
        assert (
            "to learn from: 4 of 7 videos; left out: 1 too short for a clip, 2 that cannot be read or are copies"
            in caplog.text
        )
        assert "to test on: 3 of 4 videos; left out: 1 too short for a clip, 0 that cannot be read" in caplog.text
        # Once it is set up, nothing is looked for again.
        caplog.clear()
        data.setup("fit")
        assert caplog.text == ""

    def test_no_video_is_long_enough(self, root: Path, cache: str) -> None:
        data = self.data(root, cache, replace(CLIP, length=13))
        # Nor when it is tried again.
        for _ in range(2):
            with pytest.raises(VideoError, match="no video to learn from has 13 frames at stride 1; lower"):
                data.setup()

    def test_a_short_video_is_tested_at_the_stride_it_has_room_for(self, root: Path, cache: str) -> None:
        data = self.data(root, cache, replace(CLIP, strides=(4, 2)))
        data.setup()
        looked = [*data.test_dataloader()]
        assert names([one.video.path for one in data.test_videos]) == ["fall/a", "rise/a", "rise/thin"]
        # Of 12, 9 and 6 frames there is room for 4 frames at strides 3, 2 and 1.
        for batch, labelled, stride, last in zip(looked, data.test_videos, (3, 2, 1), (2, 2, 2), strict=True):
            first, other = batch["clips"][0]
            assert torch.equal(first, data.reader.read(labelled.video, 0, stride, 4))
            assert torch.equal(other, data.reader.read(labelled.video, last, stride, 4))

    def test_copies_of_test_videos_are_not_learnt_from(
        self, root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        shutil.copytree(root, tmp_path / "copied")
        shutil.copy(root / "test/rise/a.mp4", tmp_path / "copied/train/rise/known.mp4")
        data = self.data(tmp_path / "copied", str(tmp_path / "cache"))
        with caplog.at_level("INFO"):
            data.setup()
        assert "known" not in {one.video.path.stem for one in data.train_videos}
        assert "1 copies of test videos are left out" in caplog.text

    def test_no_test(self, root: Path, cache: str) -> None:
        data = self.data(root, cache, replace(CLIP, strides=(4, 2)), test_clips=0)
        with pytest.raises(VideoError, match="to learn from"):
            self.data(root, cache, replace(CLIP, strides=(4,)), test_clips=0).setup()
        data.setup()
        assert data.test_videos == []
        assert len(data.videos) == len(data.train_videos) == 3

    def test_batches(self, root: Path, cache: str) -> None:
        data = self.data(root, cache, clips=3)
        data.setup()
        batches = iter(data.train_dataloader())
        first, second = next(batches), next(batches)
        assert (first["clips"].shape, first["clips"].dtype) == ((2, 3, 3, 4, *SIZE), torch.uint8)
        assert sorted([*first["label"].tolist(), *second["label"].tolist()]) == [0, 0, 1, 1]
        assert (first["number"].tolist(), second["number"].tolist()) == ([0, 1], [2, 3])

    def test_both_parts(self, root: Path, cache: str) -> None:
        data = self.data(root, cache, replace(CLIP, strides=(2,)))
        data.setup()
        train, test = ([*data.test_dataloader(part)] for part in ("train", "test"))  # type: ignore[arg-type]
        assert [batch["label"].item() for batch in train] == [0, 0, 1]
        assert [batch["label"].item() for batch in test] == [0, 1, 1]
        assert train[0]["clips"].shape == test[0]["clips"].shape == (1, 2, 3, 4, *SIZE)
        assert torch.equal(test[0]["clips"][0, 0], data.reader.read(data.test_videos[0].video, 0, 2, 4))
        assert torch.equal(test[0]["clips"][0, 1], data.reader.read(data.test_videos[0].video, 5, 2, 4))

    def test_settings(self, root: Path, cache: str) -> None:
        """All that the training depends on: which videos, too."""

        def settings(**more: Any) -> dict[str, Any]:
            data = self.data(root, cache, **more)
            data.setup()
            return json.loads(json.dumps(data.settings()))

        first = settings()
        assert first == settings(num_workers=2)
        # What it is tested on is none of its business.
        assert first == settings(test_clips=3)
        others = [
            settings(**more)
            for more in (
                {"clips": 2},
                {"seed": 1},
                {"batch_size": 3},
                {"labelled_share": 0.5},
                {"clip": replace(CLIP, strides=(1, 2))},
                {"clip": replace(CLIP, length=3)},
                {"clip": replace(CLIP, footage=Footage((16, 16)))},
            )
        ]
        assert all(other != first for other in others)
        assert others[3]["videos"] != first["videos"]

    @pytest.mark.parametrize("values", [{"clips": 0}, {"batch_size": 0}, {"num_workers": -1}, {"test_clips": -1}])
    def test_what_is_refused(self, values: dict[str, Any], root: Path, cache: str) -> None:
        with pytest.raises(ConfigError, match=next(iter(values))) as raised:
            self.data(root, cache, **values)
        assert "\n" not in str(raised.value)


class TestFlow:
    def test_it_is_made_of_the_strides_in_use(self, root: Path, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
        data = ActionDataModule(
            ClassFolders(str(root)), replace(CLIP, input="flow", flow=FlowSettings(iters=1)), test_clips=1, cache=cache
        )
        data.setup()
        asked: list[tuple[Any, ...]] = []
        monkeypatch.setattr(type(data.reader), "prepare", lambda *given: asked.append(given[1:]))
        data.fill(torch.device("cpu"))
        assert asked == [(data.videos, (2, 1), torch.device("cpu"))]
        assert data.videos == [one.video for one in data.train_videos]
        asked.clear()
        for rank in range(2):
            data.fill(torch.device("cpu"), 2, rank)
        even, odd = data.videos[::2], data.videos[1::2]
        assert [videos for videos, *_ in asked] == [even + odd[::-1], odd + even[::-1]]
        asked.clear()
        data.fill_test(torch.device("cpu"))
        by_length = [one.video for one in data.test_videos]
        assert asked == [(by_length[:2], [2], torch.device("cpu")), (by_length[2:], [1], torch.device("cpu"))]


@pytest.fixture
def labels(index: VideoIndex, tmp_path: Path) -> Path:
    """Of every cell of the train videos, in two of three classes; the confidence rises from cell to cell."""
    granularity = Granularity(4, (1, 2))
    cells = [(cell, str(video.path)) for video in index.videos for cell in granularity.cells(video.key, video.frames)]
    rows = tuple(Row(cell, path, 2 * (n % 2), n / len(cells)) for n, (cell, path) in enumerate(cells))
    write_labels(tmp_path, LabelTable(rows, ("one", "two", "three"), granularity, None, {}))
    return tmp_path


class TestPseudoLabels:
    def data(
        self, root: Path, labels: Path, cache: str, clip: ClipSettings = CLIP, **more: Any
    ) -> PseudoLabelDataModule:
        return PseudoLabelDataModule(
            str(root / "train"), str(labels), clip, **{"batch_size": 2, "num_workers": 0, "cache": cache, **more}
        )

    def test_what_is_used_is_told(self, root: Path, labels: Path, cache: str, caplog: pytest.LogCaptureFixture) -> None:
        """12, 9, 12 and 6 frames are 3 + 2 + 3 + 1 cells at stride 1, and one each of the first three at stride 2."""
        data = self.data(root, labels, cache)
        with caplog.at_level("INFO"):
            data.setup()
        assert data.classes == ("one", "two", "three")
        assert data.samples is not None
        assert sum(map(len, data.samples.cells.values())) == 12
        assert set(data.samples.cells) == {0, 2}
        assert names([video.path for video in data.videos]) == ["fall/a", "fall/b", "rise/a", "rise/thin"]
        assert "12 of 12 labels in use, of 2 of 3 classes; 1 of 5 videos have none, and 1 cannot be read" in caplog.text

    def test_only_the_strides_in_use(self, root: Path, labels: Path, cache: str) -> None:
        data = self.data(root, labels, cache, replace(CLIP, strides=(2,)))
        data.setup()
        assert data.samples is not None
        cells = [cell.cell for members in data.samples.cells.values() for cell in members]
        assert [cell.stride for cell in cells] == [2, 2, 2]
        assert "rise/thin" not in names([video.path for video in data.videos])

    def test_only_sure_labels(self, root: Path, labels: Path, cache: str) -> None:
        data = self.data(root, labels, cache, min_confidence=0.5)
        data.setup()
        assert data.samples is not None
        assert sum(map(len, data.samples.cells.values())) == 6

    @pytest.mark.parametrize("weigh", [False, True])
    def test_batches(self, weigh: bool, root: Path, labels: Path, cache: str) -> None:
        data = self.data(root, labels, cache, weigh=weigh, clips=2)
        data.setup()
        batches = iter(data.train_dataloader())
        found = [next(batches) for _ in range(8)]
        assert found[0]["clips"].shape == (2, 2, 3, 4, *SIZE)
        assert all(sorted(batch["label"].tolist()) == [0, 2] for batch in found)
        weights = torch.cat([batch["weight"] for batch in found])
        assert (len(weights.unique()) > 2) == weigh
        known = torch.tensor([row.confidence for row in read_labels(labels).rows]) if weigh else torch.ones(1)
        assert all((weight - known).abs().min() < 1e-6 for weight in weights)

    def test_settings(self, root: Path, labels: Path, cache: str, tmp_path: Path) -> None:
        data = self.data(root, labels, cache)
        data.setup()
        first = json.loads(json.dumps(data.settings()))
        assert first["labels"] == read_labels(labels).digest
        table = read_labels(labels)
        changed = replace(table, rows=(replace(table.rows[0], label=1), *table.rows[1:]))
        write_labels(tmp_path / "other", changed)
        other = self.data(root, tmp_path / "other", cache)
        other.setup()
        assert other.settings()["labels"] != first["labels"]

    @pytest.mark.parametrize(
        ("more", "told"),
        [
            ({"clip": replace(CLIP, strides=(1, 3))}, r"has labels at strides \[1, 2\], and data\.clip\.strides asks"),
            (
                {"clip": replace(CLIP, footage=Footage(SIZE, 5.0))},
                r"was made at footage\.fps None, and data\.clip\.footage\.fps is 5\.0; set the same",
            ),
            ({"min_confidence": 0.95}, "of 12 labels 12 are of these videos and strides and 0 sure enough, with 0 cl"),
            ({"min_confidence": 0.9}, "and 1 sure enough, with 1 classes among them, and 2 are needed"),
            ({"clip": replace(CLIP, length=50)}, "12 sure enough, with 0 classes among them"),
        ],
    )
    def test_labels_that_do_not_fit(
        self, more: dict[str, Any], told: str, root: Path, labels: Path, cache: str
    ) -> None:
        data = self.data(root, labels, cache, **more)
        # Nor does it work when it is tried again.
        for _ in range(2):
            with pytest.raises(ConfigError, match=told) as raised:
                data.setup()
            assert str(raised.value).startswith(f"{labels}: ")
            assert "\n" not in str(raised.value)

    def test_labels_of_other_videos(self, root: Path, labels: Path, cache: str) -> None:
        data = PseudoLabelDataModule(str(root / "test"), str(labels), CLIP, cache=cache)
        with pytest.raises(ConfigError, match="of 12 labels 0 are of these videos and strides"):
            data.setup()

    def test_nothing_given(self, root: Path, labels: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"no videos given: set data\.videos to the unlabelled videos"):
            PseudoLabelDataModule(None, str(labels))
        with pytest.raises(
            ConfigError, match=r"no labels given: set data\.labels to the folder that `refine-motion la"
        ):
            PseudoLabelDataModule(str(root))
        with pytest.raises(LabelError, match="nowhere"):
            PseudoLabelDataModule(str(root), str(tmp_path / "nowhere"), CLIP).setup()
        with pytest.raises(VideoError):
            PseudoLabelDataModule(str(tmp_path / "nowhere"), str(labels), CLIP, cache=str(tmp_path)).setup()
