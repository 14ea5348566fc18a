from __future__ import annotations

from pathlib import Path

import pytest
import torch

from refine_motion.benchmarks.tracks.evaluation import evaluate_tracks
from refine_motion.benchmarks.tracks.table_csv import TracksCsv
from refine_motion.errors import BenchmarkError

HEAD = "video,point,frame,x,y,visible\n"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 6 frames of 128 x 64, each of its own grey."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("videos")
    (folder / "walk").mkdir()
    for number in range(6):
        Image.new("RGB", (128, 64), (number, number, number)).save(folder / f"walk/{number}.png")
    return folder


def benchmark(videos: Path, tmp_path: Path, text: str) -> TracksCsv:
    table = tmp_path / "points.csv"
    table.write_text(text)
    return TracksCsv(str(videos), str(table))


def test_rows_become_tracks(videos: Path, tmp_path: Path, moves) -> None:
    text = (
        HEAD + "walk,knee,5,44,20,1\nwalk,knee,1,20,20,0\nwalk,knee,2,24,20,1\nwalk,toe,0,60,30,1\nwalk,toe,4,64,30,0\n"
    )
    (video,) = benchmark(videos, tmp_path, text).videos()
    assert (video.name, video.size, video.xy.shape) == ("walk", (64, 128), (6, 2, 2))
    # The first visible row, whatever the order of the rows; what comes before it or in it is not scored.
    assert video.queries.tolist() == [[2, 24, 20], [0, 60, 30]]
    assert torch.nonzero(video.valid).tolist() == [[4, 1], [5, 0]]
    assert [int(frame[0, 0, 0]) for frame in video.frames()] == list(range(6))
    table = evaluate_tracks(moves(1), benchmark(videos, tmp_path, text), progress=False)
    # The knee has moved 20 px in three frames, the toe, hidden, 4 px in four; at 256 px the knee is 34 off.
    assert table.rows[0].scores["ate"] == pytest.approx(17 / 2)
    assert table.rows[0].scores["d_avg"] == pytest.approx(0.5)


def test_without_the_column_every_row_is_seen(videos: Path, tmp_path: Path) -> None:
    (video,) = benchmark(videos, tmp_path, "point,video,x,y,frame\na,walk,1,2,3\na,walk,1,2,4\n").videos()
    assert video.queries.tolist() == [[3, 1, 2]]
    assert torch.nonzero(video.valid).tolist() == [[4, 0]]


def test_a_point_that_cannot_be_scored_does_not_survive(videos: Path, tmp_path: Path, moves) -> None:
    text = HEAD + "walk,lone,0,9,9,1\nwalk,lost,0,20,20,1\nwalk,lost,1,90,20,1\n"
    table = evaluate_tracks(moves(), benchmark(videos, tmp_path, text), progress=False)
    assert (table.rows[0].queries, table.rows[0].scores["survival_50"]) == (1, pytest.approx(1 / 6))
    assert table.skipped == {"points without a row behind the one in which they are given": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,frame,x,y\n", "no column point; needed are video, point, frame, x, y"),
        (HEAD, "holds no point"),
        (HEAD + "walk,a,0,1,1,1\nwalk,a,1.5,1,1,1\n", "line 3: video and point must be named, frame be 0 or more"),
        (HEAD + "walk,a,0,nan,1,1\n", "line 2: "),
        (HEAD + "walk,a,0,1,1,yes\n", "line 2: "),
        (HEAD + "walk,a,0,1\n", "line 2: "),
        (
            HEAD + "walk,a,0,1,1,1\nwalk,a,1,1,1,1,1\n",
            "line 3 has more cells than columns; write decimals with a point",
        ),
        ("video,point,frame,x,y\nwalk,a,0,1,5,2,5\n", "line 2 has more cells than columns"),
        (HEAD + ",a,0,1,1,1\n", "line 2: "),
        (HEAD + "walk,a,6,1,1,1\n", "line 2: walk has frames 0 to 5"),
        (HEAD + "walk,a,0,1,1,1\nwalk,a,0,2,1,1\n", "line 3: point 'a' is in frame 0 twice"),
        (HEAD + "walk,a,0,128,1,1\n", "line 2: x 128, y 1 lies outside walk, which has 128 x 64"),
        (HEAD + "run.mp4,a,0,1,1,1\n", "line 2: video 'run.mp4': .*no such file"),
    ],
)
def test_what_cannot_be_read(videos: Path, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BenchmarkError, match=rf"points\.csv: {message}") as error:
        list(benchmark(videos, tmp_path, text).videos())
    assert "\n" not in str(error.value)


def test_what_is_not_given(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"--data\.table"):
        list(TracksCsv(str(videos)).videos())
    with pytest.raises(BenchmarkError, match=r"absent\.csv: cannot be read"):
        list(TracksCsv(str(videos), str(tmp_path / "absent.csv")).videos())


def test_points_that_are_never_seen(videos: Path, tmp_path: Path, moves) -> None:
    hidden = benchmark(videos, tmp_path, HEAD + "walk,a,0,1,1,0\n")
    with pytest.raises(BenchmarkError, match="nothing to score: 1 videos without a point to follow"):
        evaluate_tracks(moves(), hidden, progress=False)
