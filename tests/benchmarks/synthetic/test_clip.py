from __future__ import annotations

from pathlib import Path

import pytest
import torch

from refine_motion.benchmarks.pairs import find_pairs, read_pair
from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.benchmarks.synthetic.scene import random_scene
from refine_motion.errors import ConfigError
from refine_motion.motion.grid import warp
from refine_motion.video.decoding import read_pyav
from refine_motion.video.sources import find_videos


def test_video_and_truth_belong_together(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "clips", seed=3, frames=9, size=(96, 128), pairs=2)
    assert video == tmp_path / "clips" / "videos" / "scene_0003.mp4"
    decoded = read_pyav(video, range(9), timestamps=(), keyframes=())
    scene = random_scene(3, (96, 128), frames=9, noise=2.0, drift=0.05)

    pairs = find_pairs(tmp_path / "clips" / "truth")
    assert {pair.sequence for pair in pairs} == {"scene_0003"}
    assert len(pairs) == 2
    for pair in pairs:
        start = int(pair.image_a.stem.removeprefix("frame_"))
        assert int(pair.image_b.stem.removeprefix("frame_")) == start + 1
        image_a, image_b, flow, valid = read_pair(pair)
        expected, visible = scene.flow(start, start + 1)
        assert valid.all()
        assert torch.equal(flow, expected)
        assert torch.equal(image_a, torch.from_numpy(decoded[start]).permute(2, 0, 1))
        assert (image_a.float() - scene.render(start)).abs().mean() < 8
        error = (warp(image_b[None].float(), flow[None])[0] - image_a).abs().mean(0)
        still = (image_b.float() - image_a).abs().mean(0)
        assert error[visible].mean() < 0.8 * still[visible].mean()


def test_several_seeds_share_a_folder(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_clip(tmp_path, seed, frames=3, size=(32, 48), pairs=2)
    assert [pair.sequence for pair in find_pairs(tmp_path / "truth")] == ["scene_0001"] * 2 + ["scene_0002"] * 2
    assert [path.name for path in find_videos(tmp_path / "videos")] == ["scene_0001.mp4", "scene_0002.mp4"]


@pytest.mark.parametrize(("size", "pairs"), [((33, 48), 1), ((32, 48), 0), ((32, 48), 3)])
def test_impossible_requests(tmp_path: Path, size: tuple[int, int], pairs: int) -> None:
    with pytest.raises(ConfigError, match=r"size|pairs"):
        write_clip(tmp_path, 0, frames=3, size=size, pairs=pairs)
    assert not list(tmp_path.iterdir())
