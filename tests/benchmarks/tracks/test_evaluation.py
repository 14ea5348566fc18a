from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from refine_motion.benchmarks import progress
from refine_motion.benchmarks.tracks.benchmark import Column, TrackBenchmark
from refine_motion.benchmarks.tracks.evaluation import evaluate_tracks
from refine_motion.benchmarks.tracks.scoring import ERROR_COLUMNS, error_scores
from refine_motion.benchmarks.tracks.video import TrackVideo
from refine_motion.errors import BenchmarkError
from refine_motion.types import Tracks


def video(name: str, speed: float, frames: int = 5, served: int | None = None, recording: str = "") -> TrackVideo:
    """One point that moves; the frames are of twice the size that is scored."""
    xy = torch.stack((10 + speed * torch.arange(frames), torch.full((frames,), 20.0)), dim=1)[:, None]
    known = torch.ones(frames, 1, dtype=torch.bool)

    def pictures() -> Iterator[Tensor]:
        return iter(torch.zeros(served or frames, 3, 512, 512, dtype=torch.uint8))

    queries = torch.tensor([[0.0, 10.0, 20.0]])
    return TrackVideo(name, (256, 256), pictures, xy, known, known, queries, torch.tensor([0]), recording)


class Made(TrackBenchmark):
    columns = ERROR_COLUMNS
    title = "Made [up]"

    def __init__(self, *videos: TrackVideo):
        super().__init__("here")
        self.made = videos

    def videos(self) -> Iterator[TrackVideo]:
        return iter(self.made)

    def scores(self, video: TrackVideo, tracks: Tracks) -> dict[str, float]:
        return error_scores(video, tracks)


def test_rows_mean_and_interval(moves, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark = Made(video("a", 2.0), video("b", 4.0), video("c", 8.0))
    # 4 px of the frames are 2 px of what is scored.
    table = evaluate_tracks(moves(4), benchmark, against=moves(0), progress=False)
    # The mean over the five frames of a growing error is twice the error of one step.
    assert [row.scores["ate"] for row in table.rows] == pytest.approx([0, 4, 12], abs=1e-4)
    assert [row.against["ate"] for row in table.rows] == pytest.approx([4, 8, 16], abs=1e-4)
    assert table.rows[0].still["ate"] == pytest.approx(4)
    assert table.mean.scores["ate"] == pytest.approx(16 / 3)
    assert table.mean.queries == 3
    interval = table.intervals["ate"]
    assert (interval.mean, interval.low, interval.high) == pytest.approx((-4, -4, -4), abs=1e-4)
    assert interval.units == 3
    table.print()
    text = capsys.readouterr().out
    assert "Made [up]" in text
    assert (
        "ATE px against before: -4.00, 95% interval -4.00 to -4.00 (3 recordings resampled; of so few it is rough, and "
        "rather too narrow; lower is better)" in " ".join(text.split())
    )
    table.to_csv(tmp_path / "out/table.csv")
    with (tmp_path / "out/table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["a", "b", "c", "mean"]
    assert float(rows[3]["ate"]) == pytest.approx(16 / 3)
    assert float(rows[1]["ate_before"]) == pytest.approx(8)
    # No track was hidden, so there is no such error.
    assert rows[0]["ate_occluded_still"] == ""
    table.to_json(tmp_path / "out/table.json")
    values = json.loads((tmp_path / "out/table.json").read_text())
    assert values["mean"]["ate_before"] == pytest.approx(28 / 3)
    assert values["difference_interval_95"]["ate"]["units"] == 3


def test_a_model_that_leaves_the_numbers_still_gets_its_table(moves, tmp_path: Path) -> None:
    table = evaluate_tracks(moves(math.nan), Made(video("a", 2.0), video("b", 4.0)), against=moves(0), progress=False)
    assert table.mean.scores["ate"] == math.inf
    table.print()
    table.to_csv(tmp_path / "table.csv")
    table.to_json(tmp_path / "table.json")
    values = json.loads((tmp_path / "table.json").read_text())
    assert values["mean"]["ate"] is None
    assert values["mean"]["ate_before"] == pytest.approx(6)


def test_clips_of_one_recording_are_one_unit(moves) -> None:
    clips = [video(f"a/{n}", float(n), recording="a") for n in range(3)]
    alone = evaluate_tracks(moves(1), Made(*clips), against=moves(0), progress=False)
    assert alone.intervals == {}
    both = evaluate_tracks(moves(1), Made(*clips, video("b", 3.0)), against=moves(0), progress=False)
    assert both.intervals["ate"].units == 2


def test_what_is_skipped_is_counted_for_both_models(moves) -> None:
    empty = video("empty", 1.0)
    empty = TrackVideo(
        "empty",
        empty.size,
        empty.frames,
        empty.xy,
        empty.visible,
        empty.valid,
        torch.empty(0, 3),
        torch.empty(0).long(),
    )
    benchmark = Made(video("a", 1.0, frames=9), video("short", 1.0, frames=7), empty)
    table = evaluate_tracks(moves(), benchmark, against=moves(min_frames=8), progress=False)
    assert [row.name for row in table.rows] == ["a"]
    assert table.skipped == {
        "videos of fewer than the 8 frames that the model looks at": 1,
        "videos without a point to follow": 1,
    }
    with pytest.raises(BenchmarkError, match="here: nothing to score: it holds no video"):
        evaluate_tracks(moves(), Made(), progress=False)


def test_frames_and_labels_that_do_not_fit(moves) -> None:
    with pytest.raises(BenchmarkError, match="a: 4 frames, but its labels are of 5"):
        evaluate_tracks(moves(), Made(video("a", 1.0, served=4)), progress=False)
    model = moves()
    model.min_side = 600
    with pytest.raises(BenchmarkError, match="a: 512 x 512 pixels, and moves needs at least 600"):
        evaluate_tracks(model, Made(video("a", 1.0)), progress=False)


def test_a_video_without_a_score_is_told(moves) -> None:
    class Hidden(Made):
        columns = (Column("ate_occluded", "ATE occ", lower_is_better=True),)

    table = evaluate_tracks(moves(), Hidden(video("a", 1.0), video("b", 1.0)), progress=False)
    assert math.isnan(table.mean.scores["ate_occluded"])
    assert "2 of 2 videos have no ATE occ and are not in its mean." in table.remarks()


def test_means_of_two_models_are_over_the_same_videos(moves) -> None:
    class OfSeen(Made):
        def scores(self, video: TrackVideo, tracks: Tracks) -> dict[str, float]:
            found = super().scores(video, tracks)
            # Like whether a point stays on its object, where the model says that it is seen.
            lost = video.name == "b" and not tracks.visible.any()
            return dict.fromkeys(found, math.nan) if lost else found

    table = evaluate_tracks(moves(4), OfSeen(video("a", 2.0), video("b", 4.0)), moves(seen=False), progress=False)
    assert table.rows[1].scores["ate"] == pytest.approx(4, abs=1e-4)
    assert (table.mean.scores["ate"], table.mean.against["ate"], table.mean.still["ate"]) == pytest.approx((0, 4, 4))
    assert "1 of 2 videos have no ATE px of every model and are not in its mean." in table.remarks()


def test_many_videos_are_not_printed(moves, capsys: pytest.CaptureFixture[str]) -> None:
    table = evaluate_tracks(moves(), Made(*(video(f"v{n}", 1.0, frames=2) for n in range(61))), progress=False)
    table.print()
    text = capsys.readouterr().out
    assert "rows of the 61 videos are not shown" in " ".join(text.split())
    assert "v60" not in text


def test_shapes_that_do_not_fit() -> None:
    one = video("a", 1.0)
    with pytest.raises(ValueError, match="must be"):
        TrackVideo("a", one.size, one.frames, one.xy, one.visible[:3], one.valid, one.queries, one.points)
    with pytest.raises(ValueError, match="queries of 2 points"):
        TrackVideo("a", one.size, one.frames, one.xy, one.visible, one.valid, one.queries, torch.tensor([0, 0]))


def test_a_bar_on_the_error_stream_when_slow(moves, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(progress, "_QUIET_SECONDS", -1.0)
    evaluate_tracks(moves(), Made(video("a", 1.0)))  # the captured stream is no terminal
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes every stream for a terminal
    evaluate_tracks(moves(), Made(video("a", 1.0)))
    out, err = capsys.readouterr()
    assert out == ""
    assert "1/1" in err or "0/1" in err


def test_a_video_on_which_a_model_leaves_the_numbers_is_not_left_out_of_an_interval(moves) -> None:
    class Lost(Made):
        def scores(self, video: TrackVideo, tracks: Tracks) -> dict[str, float]:
            found = super().scores(video, tracks)
            return found | {"ate": math.inf} if video.name == "b" and tracks.xy[1, 0, 0] != 10 else found

    videos = [video(name, 2.0) for name in "abcd"]
    table = evaluate_tracks(moves(4), Lost(*videos), against=moves(0), progress=False)
    assert table.mean.scores["ate"] == math.inf
    assert "ate" not in table.intervals
    assert "survival_50" in table.intervals
    assert any("ATE px is infinite on 1 of 4 videos" in line for line in table.remarks())


def test_two_videos_of_one_name_are_refused(moves) -> None:
    with pytest.raises(BenchmarkError, match="here: two of its videos are called a; leave one"):
        evaluate_tracks(moves(), Made(video("a", 1.0), video("b", 1.0), video("a", 2.0)), progress=False)


def test_the_table_so_far_is_handed_out_after_every_video(moves) -> None:
    found: list[list[str]] = []
    videos = Made(video("a", 1.0), video("b", 1.0), video("c", 1.0, served=2))
    with pytest.raises(BenchmarkError, match="c: 2 frames"):
        evaluate_tracks(
            moves(), videos, progress=False, so_far=lambda table: found.append([row.name for row in table.rows])
        )
    assert found == [["a"], ["a", "b"]]
