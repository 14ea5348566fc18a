from __future__ import annotations

from pathlib import Path

import pytest

from refine_motion.benchmarks.flying_chairs import find_flying_chairs
from refine_motion.errors import BenchmarkError


@pytest.fixture
def root(tmp_path: Path, picture, truth) -> Path:
    """Pairs 1 to 4 of a split of 5: training, validation, training, validation, training."""
    data = tmp_path / "FlyingChairs_release/data"
    for number in range(1, 5):
        picture(data / f"{number:05d}_img1.ppm", grey=number)
        picture(data / f"{number:05d}_img2.ppm", grey=number + 100)
        truth(data / f"{number:05d}_flow.flo", float(number))
    (data.parent / "chairs_split.txt").write_text("1\n2\n1\n2\n1\n")
    return tmp_path


def numbers(root: Path, **options: object) -> list[str]:
    return [pair.name for pair in find_flying_chairs(root, **options)]


def test_validation_pairs(root: Path):
    assert numbers(root) == ["FlyingChairs/00002", "FlyingChairs/00004"]
    pair = find_flying_chairs(root / "FlyingChairs_release")[1]
    assert [p.name for p in (pair.image_a, pair.image_b, pair.flow)] == [
        "00004_img1.ppm",
        "00004_img2.ppm",
        "00004_flow.flo",
    ]
    assert pair.read_flow()[0][0].unique().tolist() == [4.0]


def test_a_gap_in_the_numbers_does_not_shift_the_split(root: Path):
    # Counting the files that are there, the validation pairs would now be 3 and nothing.
    for path in (root / "FlyingChairs_release/data").glob("00001_*"):
        path.unlink()
    assert numbers(root) == ["FlyingChairs/00002", "FlyingChairs/00004"]


def test_missing_files_are_named(root: Path):
    with pytest.raises(BenchmarkError, match=r"00005_flow\.flo: missing, but chairs_split\.txt"):
        numbers(root, split="training")
    (root / "FlyingChairs_release/data/00004_img2.ppm").unlink()
    with pytest.raises(BenchmarkError, match=r"00004_img2\.ppm: missing"):
        numbers(root)


def test_split_file(root: Path, tmp_path: Path):
    other = tmp_path / "split.txt"
    other.write_text("2\n1\n")
    assert numbers(root, split_file=other) == ["FlyingChairs/00001"]
    other.write_text("2\n0\n")
    with pytest.raises(BenchmarkError, match=r"split\.txt: every line must be 1 .* or 2"):
        numbers(root, split_file=other)
    (root / "FlyingChairs_release/chairs_split.txt").unlink()
    with pytest.raises(BenchmarkError, match=r"chairs_split\.txt: missing"):
        numbers(root)


def test_another_layout_gives_nothing(tmp_path: Path):
    assert numbers(tmp_path) == []
