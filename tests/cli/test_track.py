from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from refine_motion.cli.main import main
from refine_motion.models.registry import build_model
from refine_motion.models.weights import save_weights
from refine_motion.video.index import build_index


@pytest.fixture
def video(clip_folder: Path) -> Path:
    return next((clip_folder / "videos").iterdir())


@pytest.fixture(scope="module")
def pips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save_weights(build_model("pips_small"), tmp_path_factory.mktemp("weights") / "pips.safetensors")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_grid_by_linked_flow(
    video: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "t.csv"
    assert main(["track", str(video), "--weights", str(untrained), "--count", "12", "--out", str(out)]) == 0
    found = rows(out)
    assert len(found) == 12 * 9
    assert {row["point"] for row in found} == {str(n) for n in range(12)}
    told = capsys.readouterr().out
    assert "12 points through 9 frames" in told
    overlay = build_index(tmp_path / "t.mp4", cache_dir=tmp_path / "index", progress=False).videos[0]
    assert (overlay.frames, overlay.width, overlay.height) == (9, 96, 72)


def test_points_of_a_file_by_pips(video: Path, pips: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("point,frame,x,y\na,0,10,20\nb,3,50.5,30\n")
    out = tmp_path / "t.npz"
    points = ["--points", str(tmp_path / "p.csv"), "--no-overlay"]
    assert main(["track", str(video), *points, "--weights", str(pips), "--out", str(out)]) == 0
    with np.load(out) as content:
        assert content["xy"].shape == (9, 2, 2)
        assert content["xy"][0, 0].tolist() == [10, 20]
        assert content["xy"][3, 1].tolist() == [50.5, 30]
        assert np.isnan(content["xy"][:3, 1]).all()
        assert content["names"].tolist() == ["a", "b"]
    assert not (tmp_path / "t.mp4").exists()


def test_colour_by_error(video: Path, untrained: Path, tmp_path: Path) -> None:
    out = ["--points", "corners", "--count", "3", "--colour", "error", "--out", str(tmp_path / "t.csv")]
    assert main(["track", str(video), "--weights", str(untrained), *out]) == 0
    assert (tmp_path / "t.mp4").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,x,y\n0,96,20\n", "p.csv: point 0 at frame 0, x 96, y 20 lies outside the frames, which are 96 x 72"),
        ("frame,x,y\n9,5,20\n", "p.csv: a point is in frame 9, but"),
        ("frame,x,y,z\n0,5,20,1\n", "p.csv: unknown columns z"),
    ],
)
def test_points_that_cannot_be(
    video: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "p.csv").write_text(text)
    out = tmp_path / "t.csv"
    args = ["--points", str(tmp_path / "p.csv"), "--weights", str(untrained), "--out", str(out)]
    assert main(["track", str(video), *args]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not out.exists()


def test_a_video_shorter_than_the_window(
    clip_folder: Path, pips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from refine_motion.benchmarks.synthetic.clip import write_clip

    short = write_clip(tmp_path / "short", seed=1, frames=5, size=(72, 96), pairs=0)
    assert main(["track", str(short), "--weights", str(pips), "--out", str(tmp_path / "t.csv")]) == 2
    assert "5 frames are too few for 'pips_small', which looks at 8 at a time" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--out", "t.txt"], "t.txt: tracks are written as .csv"),
        (["--frame", "9"], "--frame 9"),
        (["--count", "0"], "--count 0"),
        (["--points", "everywhere"], "everywhere: cannot be read"),
    ],
)
def test_wrong_calls(
    video: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], message: str
) -> None:
    out = [] if "--out" in args else ["--out", str(tmp_path / "t.csv")]
    assert main(["track", str(video), "--weights", str(untrained), *args, *out]) == 2
    assert message in capsys.readouterr().err


def test_what_is_read_is_not_written_over(
    video: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "bear.mp4"
    own.write_bytes(video.read_bytes())
    (tmp_path / "p.csv").write_text("frame,x,y\n0,5,5\n")
    weights = ["--weights", str(untrained), "--points", str(tmp_path / "p.csv")]
    for out in ("bear.csv", "p.csv"):
        assert main(["track", str(own), *weights, "--out", str(tmp_path / out)]) == 2
        assert "written over" in capsys.readouterr().err
    assert own.read_bytes() == video.read_bytes()
    assert main(["track", str(own), *weights, "--out", str(tmp_path / "bear.csv"), "--no-overlay"]) == 0


def test_several_videos(clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from refine_motion.benchmarks.synthetic.clip import write_clip

    for seed in (1, 2):
        write_clip(tmp_path / "two", seed=seed, frames=3, size=(72, 96), pairs=0)
    out = ["--out", str(tmp_path / "t.csv")]
    assert main(["track", str(tmp_path / "two" / "videos"), "--weights", str(untrained), *out]) == 2
    assert "2 videos; one at a time" in capsys.readouterr().err
