from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from refine_motion.benchmarks.flow_pair import read_picture
from refine_motion.errors import BenchmarkError, ConfigError, VideoError
from refine_motion.models.corrflow import corrflow_small
from refine_motion.models.load import load_model
from refine_motion.motion.label_maps import one_hot
from refine_motion.motion.propagate import propagate
from refine_motion.propagation.embedding import EmbeddingMatcher
from refine_motion.propagation.identity import IdentityMatcher
from refine_motion.propagation.matchers import matcher_for
from refine_motion.propagation.predictors import MaskPropagation
from refine_motion.propagation.run import (
    mask_file,
    propagate_mask,
    propagate_points,
    read_first_mask,
    write_mask_overlay,
    write_points,
)
from refine_motion.propagation.settings import PropagationSettings
from refine_motion.tracking.run import open_single
from refine_motion.video.info import VideoInfo
from refine_motion.video.palette import read_mask, write_mask
from refine_motion.video.reader import read_frames
from refine_motion.video.writer import write_video
from tests.propagation.made import Drifting, overlap, texture


@pytest.fixture(scope="module")
def info(clip_folder: Path) -> VideoInfo:
    return open_single(next((clip_folder / "videos").iterdir()))


def random_mask(height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 9, (height, width), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


class TestMasks:
    def test_one_picture_a_frame(self, info: VideoInfo, tmp_path: Path) -> None:
        mask = random_mask(72, 96)
        propagate_mask(info, mask, IdentityMatcher(), tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [f"{number:05d}.png" for number in range(9)]
        # Not one pixel of a perfect mask is lost on the way into the file.
        assert all(torch.equal(read_mask(mask_file(tmp_path, number)), mask) for number in range(9))

    @pytest.mark.parametrize("width", [854, 910])
    def test_sizes_that_lost_columns_in_the_official_code(self, tmp_path: Path, width: int) -> None:
        path = tmp_path / "still.mp4"
        write_video(path, texture(32, width).expand(2, -1, -1, -1), fps=10)
        mask = random_mask(32, width)
        propagate_mask(open_single(path), mask, IdentityMatcher(), tmp_path / "out")
        assert torch.equal(read_mask(tmp_path / "out/00001.png"), mask)

    def test_drawn_over_the_video(self, info: VideoInfo, tmp_path: Path) -> None:
        mask = torch.zeros(72, 96, dtype=torch.uint8)
        mask[20:50, 20:60] = 2
        propagate_mask(info, mask, IdentityMatcher(), tmp_path)
        write_mask_overlay(info, tmp_path, tmp_path / "overlay.mp4")
        drawn = open_single(tmp_path / "overlay.mp4")
        assert (drawn.frames, drawn.width, drawn.height) == (9, 96, 72)
        frame, over = (read_frames(video, [4])[0].float() for video in (info, drawn))
        assert (over - frame)[:, 60:].abs().mean() < 4
        tinted = (frame + torch.tensor([0.0, 128, 0]).view(3, 1, 1)) / 2
        assert (over - tinted)[:, 24:46, 24:56].abs().mean() < 6

    def test_the_first_mask(self, info: VideoInfo, tmp_path: Path) -> None:
        mask = torch.zeros(72, 96, dtype=torch.uint8)
        mask[:10], mask[20:30] = 4, 255
        write_mask(tmp_path / "first.png", mask)
        found = read_first_mask(tmp_path / "first.png", info)
        assert found.unique().tolist() == [0, 4]

    def test_first_masks_that_cannot_be(self, info: VideoInfo, tmp_path: Path) -> None:
        write_mask(tmp_path / "small.png", torch.ones(72, 95, dtype=torch.uint8))
        with pytest.raises(ConfigError, match=r"small\.png: 95 x 72 pixels, but .*mp4 has 96 x 72"):
            read_first_mask(tmp_path / "small.png", info)
        write_mask(tmp_path / "empty.png", torch.full((72, 96), 255, dtype=torch.uint8))
        with pytest.raises(ConfigError, match=r"empty\.png: has no object"):
            read_first_mask(tmp_path / "empty.png", info)
        with pytest.raises(BenchmarkError, match=r"absent\.png: cannot be read"):
            read_first_mask(tmp_path / "absent.png", info)


class TestPoints:
    def test_places_and_their_file(self, info: VideoInfo, tmp_path: Path) -> None:
        points = torch.tensor([[10.25, 20.0], [300.0, 20.0]])
        tracks = propagate_points(info, points, matcher_for(Drifting(1, 0.5)))
        assert tracks.xy[:, 0].tolist() == [[10.25 + t, 20 + 0.5 * t] for t in range(9)]
        # Outside from the start: known where it was given alone.
        assert tracks.visible[:, 1].tolist() == [True] + [False] * 8
        write_points(tmp_path / "points.csv", tracks, ["nose", "far"])
        with (tmp_path / "points.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 10
        assert rows[3] == {"point": "nose", "frame": "3", "x": "13.25", "y": "21.5"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("min_frames", 10, "9 frames are too few .* looks at 10 at a time"),
        ("min_side", 73, "96x72: a side is below 73"),
    ],
)
def test_videos_that_are_too_small(
    info: VideoInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int, message: str
) -> None:
    matcher = IdentityMatcher()
    monkeypatch.setattr(matcher, name, value)
    with pytest.raises(VideoError, match=message):
        propagate_mask(info, random_mask(72, 96), matcher, tmp_path / "out")
    with pytest.raises(VideoError, match=message):
        propagate_points(info, torch.zeros(1, 2), matcher)
    assert not (tmp_path / "out").exists()


class TestARealClip:
    """Three frames of DAVIS's bear with its true masks."""

    def masks(self, real_data: Path) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        folder = real_data / "davis/bear"
        frames = [read_picture(folder / "frames" / f"{number:05d}.jpg") for number in range(3)]
        return frames, [read_mask(folder / "masks" / f"{number:05d}.png") for number in range(3)]

    # `make real-propagate` looks at all frames.
    @pytest.mark.slow
    def test_embedded_flow_is_better_than_nothing(self, real_data: Path) -> None:
        frames, truth = self.masks(real_data)
        flow = matcher_for(load_model(weights="embedded"), PropagationSettings(iters=4))
        moved, kept = (list(MaskPropagation(matcher)(truth[0], frames))[-1] for matcher in (flow, IdentityMatcher()))
        assert overlap(moved > 0, truth[2] > 0) > overlap(kept > 0, truth[2] > 0) > 0.9

    def test_an_untrained_encoder_is_valid_at_full_size(self, real_data: Path) -> None:
        frames, truth = self.masks(real_data)
        torch.manual_seed(0)
        matcher = EmbeddingMatcher(corrflow_small().eval(), PropagationSettings())
        *_, last = propagate(matcher, one_hot((truth[0] > 0).long()[None], 2)[0], frames[:2])
        torch.testing.assert_close(last.sum(dim=0), torch.ones(truth[0].shape))
