from __future__ import annotations

from pathlib import Path

import pytest
import torch

from refine_motion.cli.main import main
from refine_motion.corrflow.centroids import PUBLISHED, read_centroids, video_centroids, write_centroids
from refine_motion.corrflow.quantise import PUBLISHED_CENTROIDS, chroma
from refine_motion.errors import ConfigError
from refine_motion.video.index import build_index
from refine_motion.video.writer import write_video

COLOURS = ((200, 40, 40), (40, 160, 60), (50, 60, 220), (128, 128, 128))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of two colours each, side by side; the second video has three times the frames."""
    folder = tmp_path_factory.mktemp("colours")
    for number, frames in ((0, 4), (1, 12)):
        left, right = (torch.tensor(colour, dtype=torch.uint8) for colour in COLOURS[2 * number : 2 * number + 2])
        frame = torch.cat((left.view(3, 1, 1).expand(3, 64, 32), right.view(3, 1, 1).expand(3, 64, 32)), dim=2)
        write_video(folder / f"{number}.mp4", frame.expand(frames, 3, 64, 64), fps=12)
    return folder


def test_published() -> None:
    assert torch.equal(read_centroids(PUBLISHED), torch.tensor(PUBLISHED_CENTROIDS))


def test_there_and_back(tmp_path: Path) -> None:
    centroids = torch.randn(7, 2, generator=torch.Generator().manual_seed(0)) * 50
    write_centroids(tmp_path / "centroids.csv", centroids)
    assert torch.equal(read_centroids(str(tmp_path / "centroids.csv")), centroids)


def test_colours_of_videos_in_proportion_to_their_frames(videos: Path) -> None:
    centroids, shares = video_centroids(build_index(videos, progress=False).videos, 4, 4000, seed=0)
    expected = torch.stack([chroma(torch.tensor(c, dtype=torch.uint8).view(3, 1, 1)).flatten() for c in COLOURS])
    nearest = torch.cdist(expected, centroids).min(dim=1)
    # The encoder of the videos does not keep colours exactly.
    assert nearest.values.max() < 6
    assert nearest.indices.unique().numel() == 4
    assert shares[nearest.indices].tolist() == pytest.approx([1 / 8, 1 / 8, 3 / 8, 3 / 8], abs=0.03)
    again, _ = video_centroids(build_index(videos, progress=False).videos, 4, 4000, seed=0)
    assert torch.equal(again, centroids)


def test_the_command(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine" / "centroids.csv"
    assert main(["centroids", str(videos), "--count", "3", "--pixels", "600", "--out", str(out)]) == 0
    assert read_centroids(str(out)).shape == (3, 2)
    told = capsys.readouterr().out
    assert "share of the pixels" in told
    assert f"--model.centroids {out}" in told.replace("\n", "")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--out", "x.npy"], "written as .csv"),
        (["--count", "1"], "--count must be at least 2"),
        (["--count", "9000", "--pixels", "10"], "--pixels no fewer"),
    ],
)
def test_wrong_calls(videos: Path, args: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["centroids", str(videos), *args]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read"),
        ("", "no table of centroids"),
        ("a,b\n1,two\n", "no table of centroids"),
        ("b,a\n1,2\n3,4\n", "columns a and b"),
        ("a,b\n1,2,3\n4,5,6\n", "columns a and b"),
        ("a,b\n1,2\n3\n", "no table of centroids"),
        ("a,b\n1,2\nnan,4\n", "finite numbers"),
        ("a,b\n1,2\n1,2\n", "at least two different"),
        ("a,b\n1,2\n", "at least two different"),
        ("a,b\n", "columns a and b"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str | None, told: str) -> None:
    file = tmp_path / "centroids.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=told) as caught:
        read_centroids(str(file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "centroids.csv"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no table of centroids"):
        read_centroids(str(file))
