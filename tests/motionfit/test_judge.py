from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from refine_motion.benchmarks.actions.benchmark import ActionBenchmark, ActionVideo
from refine_motion.errors import ConfigError
from refine_motion.models.clip_models import build_clip_model
from refine_motion.motionfit.clip_settings import ClipSettings
from refine_motion.motionfit.clips import LabelledVideo
from refine_motion.motionfit.datamodule import ActionDataModule
from refine_motion.motionfit.judge import judge_actions, judge_retrieval
from refine_motion.motionfit.readers import RgbReader
from refine_motion.motionfit.timeline import Footage
from refine_motion.motionfit.trained import Trained
from refine_motion.video.info import VideoInfo

CPU = torch.device("cpu")
CLIP = ClipSettings("rgb", Footage((16, 24)), length=2, strides=(1,))
CROP = (16, 16)


def write(folder: Path, frames: Tensor) -> VideoInfo:
    """``(T, 3, H, W)`` as a folder of frames."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(folder / f"{number:03}.png")
    times = tuple(number / 24 for number in range(len(frames)))
    height, width = frames.shape[-2:]
    return VideoInfo(folder, folder.name, len(frames), width, height, 24.0, times, (), (), "images", ())


class Listed(ActionBenchmark):
    """What is found in it is set by the test."""

    title = "made"
    classes = ("left", "right", "up")

    def train(self) -> list[ActionVideo]:
        raise AssertionError

    def test(self) -> list[ActionVideo]:
        raise AssertionError


def data_of(
    test: list[LabelledVideo], train: list[LabelledVideo], folder: Path, test_clips: int = 3
) -> ActionDataModule:
    data = ActionDataModule(Listed(), CLIP, test_clips=test_clips, num_workers=0, cache=str(folder))
    data.train_videos, data.test_videos = train, test
    return data


class Table(nn.Module):
    """Logits and features that a clip's brightness chooses: 0, 1, 2 ... for 0, 10, 20 ..."""

    def __init__(self, rows: list[list[float]]):
        super().__init__()
        self.rows = torch.tensor(rows)

    def features(self, clips: Tensor) -> Tensor:
        return self.rows[(clips.mean(dim=(1, 2, 3, 4)) / 10).round().long()]

    def forward(self, clips: Tensor) -> Tensor:
        return self.features(clips)


def table(rows: list[list[float]], classes: tuple[str, ...] = Listed.classes) -> Trained:
    return Trained(Table(rows), CLIP, CROP, classes)  # type: ignore[arg-type]


def steps(folder: Path, *rows: int) -> VideoInfo:
    """Clips of 2 frames that begin at the even ones, each of the brightness of a row of a table."""
    frames = torch.tensor([10 * row for row in rows for _ in range(2)], dtype=torch.uint8)
    return write(folder, frames[:, None, None, None].expand(-1, 3, 16, 24))


def test_the_mean_of_logits_over_clips_and_crops(tmp_path: Path) -> None:
    """Of a real network, by hand: all three clips, at all three crops."""
    torch.manual_seed(0)
    model = build_clip_model("r2plus1d_10_tiny", 3, 3).eval()
    nn.init.normal_(model.fc.weight, std=3)
    generator = torch.Generator().manual_seed(1)
    videos = [
        write(tmp_path / f"v{n}", torch.randint(0, 256, (6, 3, 16, 24), generator=generator, dtype=torch.uint8))
        for n in range(6)
    ]
    reader, wanted = RgbReader(CLIP.footage), []
    for video in videos:
        # Of the five starts 0 to 4, and of the 8 pixels that a crop of 16 leaves of 24.
        clips = [reader.read(video, start, 1, 2)[..., left : left + 16] for start in (0, 2, 4) for left in (0, 4, 8)]
        with torch.no_grad():
            wanted.append(torch.stack([model(clip[None].float())[0] for clip in clips]).mean(dim=0))
    # Without what all videos have in common, their classes differ.
    common = torch.stack(wanted).mean(dim=0)
    with torch.no_grad():
        model.fc.bias.sub_(common)
    said = (torch.stack(wanted) - common).argmax(dim=-1)
    assert len(said.unique()) == 3
    # The last two are wrong.
    truth = [*said[:4].tolist(), *((said[4:] + 1) % 3).tolist()]
    test = [LabelledVideo(video, label) for video, label in zip(videos, truth, strict=True)]
    found = judge_actions(Trained(model, CLIP, CROP, Listed.classes), data_of(test, [], tmp_path), 3, CPU)
    assert found.scores["top1"] == pytest.approx(100 * 4 / 6)
    assert found.videos == 6


def test_logits_and_not_votes(tmp_path: Path) -> None:
    """One clip is sure of the first class, and two say the second: votes and probabilities would be theirs."""
    trained = table([[9.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    test = [LabelledVideo(steps(tmp_path / "v", 1, 0, 1), 0)]
    scores = judge_actions(trained, data_of(test, [], tmp_path), 1, CPU)
    assert scores.scores["top1"] == 100


def test_crops_count_too(tmp_path: Path) -> None:
    """Only the left end of the frame shows what it is."""
    trained = table([[0.0, 1.0, 0.0], [9.0, 0.0, 0.0]])
    frames = torch.zeros(2, 3, 16, 32, dtype=torch.uint8)
    # Of the crops of 16 in 32 pixels, the left one alone has them.
    frames[..., :8] = 20
    clip = ClipSettings("rgb", Footage((16, 32)), length=2)
    data = data_of([LabelledVideo(write(tmp_path / "v", frames), 0)], [], tmp_path, test_clips=1)
    data.reader = clip.reader(tmp_path)
    wide = Trained(trained.model, clip, CROP, trained.classes)
    assert judge_actions(wide, data, 3, CPU).scores["top1"] == 100
    assert judge_actions(wide, data, 1, CPU).scores["top1"] == 0


def test_scores_by_class(tmp_path: Path) -> None:
    """Of the first class 1 of 3, of the second 1 of 1, of the third there is none."""
    trained = table([[2.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    said = [(0, 0), (1, 0), (1, 0), (1, 1)]
    test = [LabelledVideo(steps(tmp_path / f"v{n}", row, row), label) for n, (row, label) in enumerate(said)]
    found = judge_actions(trained, data_of(test, [], tmp_path, test_clips=2), 1, CPU)
    assert found.scores == pytest.approx({"top1": 50.0, "top5": 100.0, "class_mean": (100 / 3 + 100) / 2})
    assert (found.classes["left"], found.classes["right"]) == pytest.approx((100 / 3, 100.0))
    assert math.isnan(found.classes["up"])
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["classes"]["up"] is None
    assert plain["videos"] == 4


def test_the_best_five(tmp_path: Path) -> None:
    """The class is the fifth of six by its logit in one video, and the sixth in the other."""
    trained = table([[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]], tuple("abcdef"))
    test = [LabelledVideo(steps(tmp_path / f"v{label}", 0, 0), label) for label in (4, 5)]
    found = judge_actions(trained, data_of(test, [], tmp_path, test_clips=1), 1, CPU)
    assert (found.scores["top1"], found.scores["top5"]) == (0, 50)


def test_other_numbers_of_crops(tmp_path: Path) -> None:
    test = [LabelledVideo(steps(tmp_path / "v", 0), 0)]
    with pytest.raises(ConfigError, match="crops must be 1, the middle, or 3"):
        judge_actions(table([[1.0, 0.0, 0.0]]), data_of(test, [], tmp_path), 2, CPU)


def test_retrieval(tmp_path: Path) -> None:
    """Features of one clip each; videos of the same class are nearest, second or not among those there are."""
    trained = table([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
    train = [LabelledVideo(steps(tmp_path / f"train{n}", row), n) for n, row in enumerate((0, 2, 3))]
    # By angle the train videos are at 0, 53 and 90 degrees. The first query is at 0, the second at 37.
    test = [LabelledVideo(steps(tmp_path / f"test{n}", row), label) for n, (row, label) in enumerate([(0, 0), (1, 0)])]
    found = judge_retrieval(trained, data_of(test, train, tmp_path, test_clips=1), CPU)
    assert found == {"r_at_1": 50.0, "r_at_5": 100.0, "r_at_10": 100.0, "r_at_20": 100.0, "r_at_50": 100.0}


def test_retrieval_by_the_mean_over_clips(tmp_path: Path) -> None:
    """Clips at 0 and 90 degrees are like a train video at 53, though each clip is like another one."""
    trained = table([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
    train = [LabelledVideo(steps(tmp_path / f"train{n}", row, row), n) for n, row in enumerate((0, 2, 3))]
    test = [LabelledVideo(steps(tmp_path / "test", 0, 3), 1)]
    assert judge_retrieval(trained, data_of(test, train, tmp_path, test_clips=2), CPU)["r_at_1"] == 100


def test_nothing_to_judge_by(tmp_path: Path) -> None:
    data = data_of([LabelledVideo(steps(tmp_path / "v", 0), 0)], [], tmp_path, test_clips=0)
    for judge in (
        lambda: judge_actions(table([[1.0]]), data, 1, CPU),
        lambda: judge_retrieval(table([[1.0]]), data, CPU),
    ):
        with pytest.raises(ConfigError, match=r"data\.test_clips is 0"):
            judge()
