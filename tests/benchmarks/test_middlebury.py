from __future__ import annotations

from pathlib import Path

import pytest

from refine_motion.benchmarks.flow_pair import read_sample
from refine_motion.benchmarks.middlebury import find_middlebury
from refine_motion.benchmarks.scores import score_pair, tabulate
from refine_motion.errors import BenchmarkError


@pytest.fixture
def root(tmp_path: Path, picture, truth) -> Path:
    for name in ("Venus", "Beanbags", "Grove2"):
        for number in (9, 10, 11, 12):
            picture(tmp_path / f"other-data/{name}/frame{number:02d}.png", grey=number)
    truth(tmp_path / "other-gt-flow/Venus/flow10.flo", 3.0, first=4)
    truth(tmp_path / "other-gt-flow/Grove2/flow10.flo", 1.0)
    return tmp_path


def test_sequences_without_truth_are_passed_over(root: Path):
    assert [pair.sequence for pair in find_middlebury(root)] == ["Grove2", "Venus"]


def test_frames_ten_and_eleven_and_unknown_flow(root: Path, constant):
    samples = [read_sample(pair) for pair in find_middlebury(root)]
    assert [(int(s["image_a"][0, 0, 0]), int(s["image_b"][0, 0, 0])) for s in samples] == [(10, 11)] * 2
    table = tabulate([score_pair(sample, constant(0.0), None, 32) for sample in samples], 32)
    assert [(row.epe, row.pixels) for row in table.rows] == [(1, 16 * 24), (3, 12 * 24)]


def test_an_incomplete_sequence_is_named(root: Path):
    (root / "other-data/Venus/frame11.png").unlink()
    with pytest.raises(BenchmarkError, match=r"Venus/frame11\.png: missing"):
        find_middlebury(root)
