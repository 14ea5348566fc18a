from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from refine_motion.benchmarks.tracks.davis_masks import DavisMasks, inside_points, on_object
from refine_motion.benchmarks.tracks.evaluation import evaluate_tracks
from refine_motion.errors import BenchmarkError
from refine_motion.types import Tracks

WIDTH, HEIGHT, FRAMES = 120, 60, 4


def write_mask(path: Path, ids: np.ndarray, mode: str = "P") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids.astype(np.uint8), mode="L")
    if mode == "P":
        image = image.convert("P")
        image.putdata(ids.astype(np.uint8).flatten().tolist())
        image.putpalette([value for n in range(256) for value in (n, 255 - n, n // 2)])
    image.save(path)


def ids(frame: int) -> np.ndarray:
    """Object 1, 30 x 30 px, moves 10 px a frame to the right; object 2, 20 x 20, stays; a void strip at the bottom."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:35, 5 + 10 * frame : 35 + 10 * frame] = 1
    mask[36:56, 90:110] = 2
    mask[58:] = 255
    return mask


@pytest.fixture
def root(tmp_path: Path, picture) -> Path:
    for number in range(FRAMES):
        picture(tmp_path / f"JPEGImages/480p/car/{number:05d}.jpg", number, (WIDTH, HEIGHT))
        write_mask(tmp_path / f"Annotations/480p/car/{number:05d}.png", ids(number))
    (tmp_path / "ImageSets/2017").mkdir(parents=True)
    (tmp_path / "ImageSets/2017/val.txt").write_text("car\n")
    return tmp_path


def test_points_are_inside_their_object(root: Path) -> None:
    (video,) = DavisMasks(str(root)).videos()
    assert video.size == (HEIGHT, WIDTH)
    x, y = video.queries[:, 1:].long().T
    objects = video.masks[0, y, x]
    for number, (left, top, side) in {1: (5, 5, 30), 2: (90, 36, 20)}.items():
        places = video.queries[objects == number, 1:]
        low, high = torch.tensor([left, top]) + 4, torch.tensor([left, top]) + side - 1 - 4
        assert ((places >= low) & (places <= high)).all()
        assert 30 <= len(places) <= 80
    assert (objects > 0).all()
    assert set(video.masks.unique().tolist()) == {0, 1, 2, 255}


def test_who_stays_on_the_object(root: Path, moves) -> None:
    table = evaluate_tracks(moves(10), DavisMasks(str(root)), against=moves(0, seen=False), progress=False)
    (video,) = DavisMasks(str(root)).videos()
    x, y = video.queries[:, 1:].long().T
    moving = (video.masks[0, y, x] == 1).float().mean().item()
    # Points that move with object 1 stay on it; those of object 2, 12 px wide, are 10, 20 and 30 px off. The 12 columns
    # of it from 94 to 105 leave it by one frame except those within 10 px of its right edge at 109.
    stays = ((x[video.masks[0, y, x] == 2] + 10) <= 109).float().mean().item()
    expected = moving + (1 - moving) * stays / 3
    assert table.rows[0].scores["on_object"] == pytest.approx(expected)
    assert table.rows[0].scores["seen"] == 1
    # Who says that nothing is seen has no score, and the table says so.
    assert table.rows[0].against["seen"] == 0
    assert np.isnan(table.rows[0].against["on_object"])
    assert table.rows[0].still["on_object"] < 1


def test_score() -> None:
    masks = torch.zeros(2, 4, 5, dtype=torch.uint8)
    masks[1, 2, 3:] = 1
    xy = torch.tensor([[3.4, 2.4], [2.4, 2.0], [3.0, 2.0], [9.0, 2.0], [torch.nan, 2.0], [3.0, 2.0]]).expand(2, -1, -1)
    visible = torch.tensor([True, True, True, True, True, False]).expand(2, -1)
    objects = torch.tensor([1, 1, 2, 1, 1, 1])
    counted = torch.tensor([[False], [True]]).expand(-1, 6)
    found = on_object(Tracks(xy, visible), masks, objects, counted)
    # Of five that are said to be seen, one is on its object: others beside it, on another, outside, nowhere.
    assert found == {"on_object": pytest.approx(1 / 5), "seen": pytest.approx(5 / 6)}


def test_nobody_says_what_is_on_void() -> None:
    masks = torch.zeros(2, 4, 5, dtype=torch.uint8)
    masks[1, 2, 3:], masks[1, 3] = 1, 255
    xy = torch.tensor([[3.0, 2.0], [3.0, 3.0], [1.0, 1.0], [1.0, 3.0]]).expand(2, -1, -1)
    visible = torch.tensor([True, True, True, False]).expand(2, -1)
    counted = torch.tensor([[False], [True]]).expand(-1, 4)
    found = on_object(Tracks(xy, visible), masks, torch.ones(4), counted)
    # Two points are on void, of which one is said to be seen; of the others one is on its object.
    assert found == {"on_object": 1 / 2, "seen": 1.0}


@pytest.mark.parametrize(
    ("size", "expected"), [((20, 20), 12), ((5, 40), 1), ((1, 1), 1), ((0, 0), 0)], ids=["wide", "thin", "one", "none"]
)
def test_margin(size: tuple[int, int], expected: int) -> None:
    mask = torch.zeros(60, 60, dtype=torch.bool)
    mask[: size[0], : size[1]] = True
    points = inside_points(mask)
    assert (len(points) > 0) == (expected > 0)
    if size == (20, 20):
        # The edge of the frame is an edge of the object.
        assert points.min() >= 4
    if expected:
        assert mask[points[:, 1].long(), points[:, 0].long()].all()
        assert len(points[:, 1].unique()) <= expected


def test_frames_without_masks_do_not_count(root: Path, moves) -> None:
    for number in (2, 3):
        (root / f"Annotations/480p/car/{number:05d}.png").unlink()
    (video,) = DavisMasks(str(root)).videos()
    assert video.valid[:, 0].tolist() == [True, True, False, False]


def test_which_sequences(root: Path, picture) -> None:
    picture(root / "JPEGImages/480p/dog/00000.jpg", 0, (WIDTH, HEIGHT))
    write_mask(root / "Annotations/480p/dog/00000.png", ids(0))
    assert [video.name for video in DavisMasks(str(root)).videos()] == ["car"]
    assert [video.name for video in DavisMasks(str(root), split="all").videos()] == ["car", "dog"]
    with pytest.raises(BenchmarkError, match=r"ImageSets/2016/val\.txt: cannot be read; .*set data\.split to all"):
        list(DavisMasks(str(root), year=2016).videos())
    (root / "ImageSets/2017/val.txt").write_text("car\ncat\n")
    with pytest.raises(BenchmarkError, match=r"480p/cat: has no frames"):
        list(DavisMasks(str(root)).videos())


def test_what_is_missing(root: Path) -> None:
    with pytest.raises(BenchmarkError, match="has no JPEGImages/480p and Annotations/480p"):
        list(DavisMasks(str(root / "ImageSets")).videos())
    write_mask(root / "Annotations/480p/car/00001.png", np.zeros((3, 3)))
    with pytest.raises(BenchmarkError, match=r"00001\.png: 3 x 3 pixels where 120 x 60 are expected"):
        list(DavisMasks(str(root)).videos())
    (root / "Annotations/480p/car/00000.png").unlink()
    with pytest.raises(BenchmarkError, match="no mask of the first frame of car"):
        list(DavisMasks(str(root)).videos())


def test_standing_still_on_real_videos(real_data: Path, tmp_path: Path) -> None:
    for name in ("bear", "blackswan"):
        for kind, folder in (("JPEGImages", "frames"), ("Annotations", "masks")):
            there = tmp_path / kind / "480p"
            there.mkdir(parents=True, exist_ok=True)
            (there / name).symlink_to(real_data / "davis" / name / folder)
    from refine_motion.benchmarks.tracks.follow import stand_still

    benchmark = DavisMasks(str(tmp_path), split="all")
    for video in benchmark.videos():
        assert 30 <= len(video.queries) <= 80
        scores = benchmark.scores(video, stand_still(video))
        # A slow animal that the camera follows leaves many of its places, but not all.
        assert 0.3 < scores["on_object"] < 0.98
        assert scores["seen"] == 1
