from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from refine_motion.benchmarks.flow_files import write_flo
from refine_motion.benchmarks.source_domain import FlowFolder, ProceduralPairs
from refine_motion.errors import BenchmarkError, ConfigError


def test_folder_with_truth(clip_folder: Path, tmp_path: Path) -> None:
    folder = FlowFolder(str(clip_folder / "truth"))
    assert len(folder) == 2
    example = folder.example(1)
    assert example["image_a"].shape == example["image_b"].shape == (3, 72, 96)
    assert example["image_a"].dtype == torch.uint8
    assert example["flow"].shape == (2, 72, 96)
    assert example["valid"].shape == (1, 72, 96)
    with pytest.raises(BenchmarkError, match="absent"):
        FlowFolder(str(tmp_path / "absent"))


def write_pairs(folder: Path, count: int) -> None:
    flow = torch.zeros(2, 4, 5)
    flow[:, 1, 2] = 1e10
    for number in range(1, count + 1):
        write_flo(folder / f"{number:02}_flow.flo", flow)
        for frame in ("img1", "img2"):
            Image.new("RGB", (5, 4)).save(folder / f"{number:02}_{frame}.png")


def test_unknown_flow_is_a_number(tmp_path: Path) -> None:
    write_pairs(tmp_path, 2)
    example = FlowFolder(str(tmp_path)).example(0)
    assert not example["valid"][0, 1, 2]
    assert example["valid"].sum() == 19
    assert example["flow"].abs().max() == 0


def test_one_pair_is_not_enough(tmp_path: Path) -> None:
    write_pairs(tmp_path, 1)
    with pytest.raises(ConfigError, match="at least two"):
        FlowFolder(str(tmp_path))
    with pytest.raises(ConfigError, match="count"):
        ProceduralPairs(count=1)


def test_several_true_vectors_a_pixel_become_their_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pairs(tmp_path, 2)
    frame, valid = torch.zeros(3, 4, 5, dtype=torch.uint8), torch.ones(4, 5, dtype=torch.bool)
    # As of Spring, whose truth has twice the size of its frames.
    spring = frame, frame, torch.arange(4.0).view(4, 1, 1, 1).expand(4, 2, 4, 5), valid
    monkeypatch.setattr("refine_motion.benchmarks.source_domain.read_pair", lambda pair: spring)
    example = FlowFolder(str(tmp_path)).example(0)
    assert torch.equal(example["flow"], torch.full((2, 4, 5), 1.5))


def test_procedural_pairs_are_the_same_every_time() -> None:
    pairs = ProceduralPairs(count=5, size=(64, 80), seed=3)
    assert len(pairs) == 5
    one, two = pairs.example(2), ProceduralPairs(count=5, size=(64, 80), seed=3).example(2)
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert not torch.equal(one["image_a"], pairs.example(3)["image_a"])
