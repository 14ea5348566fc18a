from __future__ import annotations

import functools
import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from refine_motion.benchmarks.synthetic.truth import ClipTruth, clip_truth, random_queries, read_truth, write_truth
from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.errors import BenchmarkError
from tests.benchmarks.synthetic.made import SIZE


@functools.cache
def truth(name: str = "sports", frames: int = 6) -> ClipTruth:
    return clip_truth(random_scene(2, SIZE, frames=frames, name=name), frames, [1, 4], seed=2, points=10)


def test_says_what_the_scene_does() -> None:
    scene = random_scene(2, SIZE, frames=6, name="sports")
    found = truth()
    assert found.starts.tolist() == [1, 4]
    for row, start in enumerate((1, 4)):
        assert torch.equal(found.visible[row], scene.flow(start, start + 1)[1])
    assert found.queries.shape == (10, 3)
    assert found.tracks.xy.shape == (6, 10, 2)
    assert found.tracks.visible.shape == (6, 10)
    for number, (start, x, y) in enumerate(found.queries.tolist()):
        assert found.tracks.xy[int(start), number].tolist() == pytest.approx([x, y], abs=1e-4)
        assert found.tracks.visible[int(start), number]
    for t in range(6):
        assert torch.equal(found.masks[t], scene.masks(t))
        assert torch.equal(found.key_points[t], scene.points(t)[0])
        assert torch.equal(found.key_points_visible[t], scene.points(t)[1])
    assert found.key_point_names == tuple(point.name for point in scene.key_points)
    assert found.motion_class == scene.motion_class


def test_half_of_the_queries_look_for_objects() -> None:
    scene = random_scene(2, SIZE, frames=6, name="fog")
    queries = random_queries(scene, 6, 200, seed=1)
    assert torch.equal(queries, random_queries(scene, 6, 200, seed=1))
    assert not torch.equal(queries, random_queries(scene, 6, 200, seed=2))
    assert set(queries[:, 0].tolist()) == set(range(6))
    assert (queries[:, 1:] >= 0).all()
    assert (queries[:, 1:] <= torch.tensor([SIZE[1] - 1, SIZE[0] - 1])).all()
    assert (queries[:, 1:] != queries[:, 1:].round()).any(1).all(), "points are not at pixel centres"
    masks = [scene.masks(t) for t in range(6)]
    hit = torch.stack([masks[int(t)][round(y), round(x)] > 0 for t, x, y in queries.tolist()])
    # Objects cover a quarter of these frames, and each of one half has eight tries.
    assert hit[::2].float().mean() < 0.35
    assert hit[1::2].float().mean() > 0.8


@pytest.mark.parametrize("name", ["sports", "particles"])
def test_file_gives_back_what_was_written(tmp_path: Path, name: str) -> None:
    made = truth(name)
    write_truth(tmp_path / "truth.safetensors", made)
    found = read_truth(tmp_path / "truth.safetensors")
    for field in fields(ClipTruth):
        one, two = getattr(made, field.name), getattr(found, field.name)
        if field.name == "tracks":
            assert torch.equal(one.xy, two.xy)
            assert torch.equal(one.visible, two.visible)
        elif isinstance(one, torch.Tensor):
            assert torch.equal(one, two)
            assert one.dtype == two.dtype
        else:
            assert one == two
    assert [path.name for path in tmp_path.iterdir()] == ["truth.safetensors"]


def damaged(path: Path, how: str) -> None:
    write_truth(path, truth())
    whole = path.read_bytes()
    if how == "cut short":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("not a tensor in sight")
    elif how == "another file":
        save_file({"weight": torch.zeros(3)}, path)
    elif how == "a tensor missing":
        save_file({"starts": torch.zeros(1)}, path, {"truth": json.dumps({})})
    elif how == "spoilt names":
        save_file({"starts": torch.zeros(1)}, path, {"truth": "{"})
    else:
        path.unlink()


@pytest.mark.parametrize(
    "how", ["cut short", "empty", "text", "another file", "a tensor missing", "spoilt names", "not there"]
)
def test_damaged_file_is_named_in_one_line(tmp_path: Path, how: str) -> None:
    path = tmp_path / "truth.safetensors"
    damaged(path, how)
    with pytest.raises(BenchmarkError) as error:
        read_truth(path)
    line = str(error.value)
    assert str(path) in line
    assert "write the clip again" in line
    assert "\n" not in line
