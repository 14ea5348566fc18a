from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import Dataset

from refine_motion.motionfit.clips import CellClips, DrawnClips, LabelledCell, LabelledVideo, SpreadClips, starts
from refine_motion.motionfit.granularity import Granularity
from refine_motion.motionfit.readers import ClipReader
from refine_motion.motionfit.timeline import Footage
from refine_motion.video.info import VideoInfo


class Numbers(ClipReader):
    """Of a frame it reads two numbers: that of the video, and its own on the timeline.

    Args:
        kept: clips start at multiples of their stride, as those of flow do.
        fps: of the timeline.
    """

    channels = 2

    def __init__(self, kept: bool = False, fps: float | None = None):
        super().__init__(Footage((1, 1), fps))
        self.kept = kept

    def read(self, video: VideoInfo, start: int, stride: int, length: int) -> Tensor:
        self._places(video, start, stride, length)
        assert start % self.step(stride) == 0
        frames = start + stride * torch.arange(length)
        return torch.stack((torch.full_like(frames, int(video.key)), frames))[:, :, None, None]

    def step(self, stride: int) -> int:
        return stride if self.kept else 1

    def settings(self) -> dict[str, object]:
        raise AssertionError

    def prepare(self, videos: Sequence[VideoInfo], strides: Sequence[int], device: torch.device) -> None:
        raise AssertionError


def video(key: int, frames: int) -> VideoInfo:
    times = tuple(number / 24 for number in range(frames))
    return VideoInfo(Path(f"{key}.mp4"), str(key), frames, 8, 8, 24.0, times, (), (), "images", ())


def labelled(*frames: int) -> list[LabelledVideo]:
    """Videos of so many frames; the label tells the video."""
    return [LabelledVideo(video(key, count), 10 + key) for key, count in enumerate(frames)]


def drawn(sample: dict[str, Tensor]) -> list[tuple[int, int, int]]:
    """Video, start and stride of each clip of a sample."""
    frames = sample["clips"][:, 1, :, 0, 0]
    videos = sample["clips"][:, 0, 0, 0, 0]
    return [(int(key), int(clip[0]), int(clip[1] - clip[0])) for key, clip in zip(videos, frames, strict=True)]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(
    ("frames", "length", "stride", "kept", "wanted"),
    [
        (10, 4, 2, False, [0, 1, 2, 3]),
        (10, 4, 2, True, [0, 2]),
        (7, 4, 2, True, [0]),
        (6, 4, 2, False, []),
        (11, 4, 3, True, [0]),
        (13, 4, 3, True, [0, 3]),
    ],
)
def test_starts(frames: int, length: int, stride: int, kept: bool, wanted: list[int]) -> None:
    assert [*starts(frames, length, stride, Numbers(kept))] == wanted


class TestDrawnClips:
    def test_every_video_once_a_round(self) -> None:
        clips = DrawnClips(labelled(8, 9, 10, 20, 30), Numbers(), 4, (1, 2), 1, seed=3)
        rounds = [[drawn(clips[5 * around + place])[0][0] for place in range(5)] for around in range(6)]
        assert all(sorted(order) == [0, 1, 2, 3, 4] for order in rounds)
        assert len({tuple(order) for order in rounds}) > 3

    def test_every_sample_is_a_draw_of_its_own(self) -> None:
        """Videos of the same length do not begin alike in the same round."""
        clips = DrawnClips(labelled(100, 100, 100, 100), Numbers(), 4, (1,), 1, seed=3)
        assert all(len({drawn(clips[4 * around + n])[0][1] for n in range(4)}) > 2 for around in range(5))

    def test_what_a_sample_holds(self) -> None:
        clips = DrawnClips(labelled(8, 30), Numbers(), 4, (1, 2), 3, seed=0)
        for number in range(10):
            sample = clips[number]
            assert sample["clips"].shape == (3, 2, 4, 1, 1)
            assert len({key for key, *_ in drawn(sample)}) == 1
            assert sample["label"] == 10 + drawn(sample)[0][0]
            assert (sample["label"].dtype, sample["weight"].dtype, sample["weight"]) == (torch.int64, torch.float32, 1)

    @pytest.mark.parametrize("kept", [False, True])
    def test_only_strides_with_room_and_all_their_starts(self, kept: bool) -> None:
        """4 frames at stride 4 need 13 of them, at stride 8 there would have to be 25."""
        clips = DrawnClips(labelled(14), Numbers(kept), 4, (2, 4, 8), 2, seed=1)
        found = Counter(clip[1:] for number in range(150) for clip in drawn(clips[number]))
        places = {2: range(0, 8, 2 if kept else 1), 4: range(0, 2, 4 if kept else 1)}
        assert set(found) == {(start, stride) for stride, room in places.items() for start in room}
        # Each stride that has room is as likely as another, however many starts it has.
        assert sum(count for (_, stride), count in found.items() if stride == 4) == pytest.approx(150, abs=35)

    def test_frames_are_those_of_the_timeline(self) -> None:
        """Of 24 frames a second, every third: 24 frames are 8, with room for 5 clips of 4."""
        clips = DrawnClips(labelled(24), Numbers(fps=8.0), 4, (1,), 1, seed=0)
        assert {drawn(clips[number])[0][1] for number in range(60)} == set(range(5))

    def test_a_seed_of_its_own(self) -> None:
        one, other = (DrawnClips(labelled(60, 60), Numbers(), 4, (1, 2), 1, seed=seed) for seed in (0, 1))
        assert [drawn(one[n]) for n in range(8)] != [drawn(other[n]) for n in range(8)]


def cells_of(granularity: Granularity, videos: Sequence[VideoInfo], labels: int = 10**6) -> list[LabelledCell]:
    """Every cell of some videos, with numbers of labels in turn; by default each has one of its own."""
    found = [cell for one in videos for cell in granularity.cells(one.key, one.frames)]
    return [LabelledCell(cell, number % labels, 1 / (1 + number)) for number, cell in enumerate(found)]


def cell_clips(
    granularity: Granularity, videos: Sequence[VideoInfo], cells: Sequence[LabelledCell], length: int, **more: int
) -> CellClips:
    reader = Numbers(kept=bool(more.get("kept")))
    by_key = {one.key: one for one in videos}
    return CellClips(cells, by_key, reader, granularity, length, more.get("clips", 1), more.get("seed", 0))


class TestCellClips:
    @settings(max_examples=40, deadline=None)
    @given(
        st.integers(2, 6), st.sampled_from([(1,), (2, 3), (4, 1)]), st.integers(1, 9), st.booleans(), st.integers(0, 99)
    )
    def test_a_clip_lies_in_the_cell_whose_label_it_has(
        self, grain: int, strides: tuple[int, ...], length: int, kept: bool, seed: int
    ) -> None:
        """And the cells without a clip that lies in them are the ones left out."""
        granularity, videos = Granularity(grain, strides), [video(0, 37), video(1, 12)]
        frames = {one.key: one.frames for one in videos}
        cells = cells_of(granularity, videos)
        clips = cell_clips(granularity, videos, cells, length, clips=2, seed=seed, kept=int(kept))
        for number in range(2 * len(clips.cells)):
            sample = clips[number]
            cell = cells[int(sample["label"])]
            assert sample["weight"] == pytest.approx(cell.weight)
            for found in sample["clips"]:
                key, start = str(int(found[0, 0])), int(found[1, 0])
                stride = int(found[1, 1]) - start if length > 1 else cell.cell.stride
                assert granularity.cell_of(key, frames[key], start, stride, length) == cell.cell
                # It is in no other, whatever the cells are called.
                assert [
                    one.cell for one in cells if self.holds(granularity, one, start, stride, key, frames, length)
                ] == [cell.cell]
        lost = [one for one in cells if one.label not in clips.cells]
        for one in lost:
            room = granularity.starts_in(one.cell, frames[one.cell.video], length)
            assert not [start for start in room if start % (one.cell.stride if kept else 1) == 0]

    @staticmethod
    def holds(
        granularity: Granularity,
        one: LabelledCell,
        start: int,
        stride: int,
        key: str,
        frames: dict[str, int],
        length: int,
    ) -> bool:
        ours = (one.cell.video, one.cell.stride) == (key, stride)
        return ours and start in granularity.starts_in(one.cell, frames[key], length)

    def test_labels_are_balanced_over_every_round(self) -> None:
        granularity, videos = Granularity(4, (1, 2)), [video(0, 64)]
        # 24 cells: two labels have one each, the third all others.
        cells = [
            LabelledCell(cell, {0: 5, 1: 7}.get(number, 2)) for number, cell in enumerate(granularity.cells("0", 64))
        ]
        clips = cell_clips(granularity, videos, cells, 4)
        assert {label: len(members) for label, members in clips.cells.items()} == {2: 22, 5: 1, 7: 1}
        rounds = [[int(clips[3 * around + place]["label"]) for place in range(3)] for around in range(40)]
        assert all(sorted(order) == [2, 5, 7] for order in rounds)
        assert len({tuple(order) for order in rounds}) == 6
        # All cells of the common label come.
        seen = {
            granularity.cell_of("0", 64, start, stride, 4)
            for number in range(600)
            if (sample := clips[number])["label"] == 2
            for _, start, stride in drawn(sample)
        }
        assert len(seen) == 22

    def test_all_starts_in_a_cell(self) -> None:
        """The second of the cells of 4 frames in 10 has clips from 2 to 6."""
        granularity, videos = Granularity(4, (1,)), [video(0, 10)]
        cells = [LabelledCell(cell, number) for number, cell in enumerate(granularity.cells("0", 10))]
        clips = cell_clips(granularity, videos, cells, 4)
        found = {drawn(sample)[0][1] for number in range(120) if (sample := clips[number])["label"] == 1}
        assert found == {2, 3, 4, 5, 6}


def sources() -> dict[str, Dataset[dict[str, Tensor]]]:
    granularity, videos = Granularity(4, (1, 2)), [video(key, 40 + key) for key in range(3)]
    return {
        "drawn": DrawnClips(labelled(30, 40, 50), Numbers(), 4, (1, 2), 2, seed=5),
        "cells": cell_clips(granularity, videos, cells_of(granularity, videos, labels=4), 4, clips=2, seed=5),
    }


@pytest.mark.parametrize("kind", ["drawn", "cells"])
def test_a_sample_is_the_same_whatever_was_read_before(kind: str) -> None:
    """So that a training that goes on, or another worker, sees what it would have seen."""
    in_order = [sources()[kind][number] for number in range(12)]
    mixed = sources()[kind]
    for number in (11, 0, 7, 7, 3, 10**9, 5, 2, 9):
        torch.manual_seed(number)
        assert number > 11 or same(mixed[number], in_order[number])
    assert not same(in_order[0], in_order[1])
    assert len(mixed) > 10**9  # type: ignore[arg-type]


class TestSpreadClips:
    def test_from_end_to_end(self) -> None:
        """13 starts in 16 frames."""
        clips = SpreadClips(labelled(16, 5), Numbers(), 4, 1, 4)
        assert len(clips) == 2
        assert drawn(clips[0]) == [(0, 0, 1), (0, 4, 1), (0, 8, 1), (0, 12, 1)]
        # Some come again where there are not so many.
        assert [start for _, start, _ in drawn(clips[1])] == [0, 0, 1, 1]
        assert (clips[1]["label"], clips[1]["number"]) == (11, 1)
        assert clips[0]["clips"].shape == (4, 2, 4, 1, 1)

    def test_one_clip_is_that_of_the_middle(self) -> None:
        assert drawn(SpreadClips(labelled(16), Numbers(), 4, 1, 1)[0]) == [(0, 6, 1)]

    def test_where_flow_is_kept(self) -> None:
        clips = SpreadClips(labelled(16), Numbers(kept=True), 4, 2, 3)
        assert [start for _, start, _ in drawn(clips[0])] == [0, 4, 8]

    def test_there_is_no_more(self) -> None:
        with pytest.raises(IndexError):
            SpreadClips(labelled(16, 16), Numbers(), 4, 1, 2)[2]
