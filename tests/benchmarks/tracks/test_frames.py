from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from refine_motion.benchmarks.tracks.frames import existing_frames
from refine_motion.errors import BenchmarkError


def test_frames_that_are_there(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.jpg" for number in range(3)]
    for path in paths:
        path.touch()
    assert existing_frames(iter(paths), "labelled") == paths


def test_the_first_that_is_missing_ends_it(tmp_path: Path) -> None:
    (tmp_path / "0.jpg").touch()
    made = []

    def places() -> Iterator[Path]:
        for number in range(10**12):
            made.append(number)
            yield tmp_path / f"{number}.jpg"

    with pytest.raises(BenchmarkError, match=r"1\.jpg: missing, but labels name it; add it"):
        existing_frames(places(), "labels name it; add it")
    assert made == [0, 1]


def test_a_name_that_is_too_long_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"x\.jpg: missing"):
        existing_frames([tmp_path / f"{'x' * 300}.jpg"], "labels name it")
