from __future__ import annotations

from pathlib import Path

import pytest
import torch

from refine_motion.benchmarks.pairs import find_pairs, read_pair
from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.benchmarks.synthetic.domains import DOMAINS
from refine_motion.benchmarks.synthetic.truth import TRUTH, read_truth
from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.errors import ConfigError, RefineMotionError
from refine_motion.motion.grid import warp
from refine_motion.video.index import build_index
from refine_motion.video.reader import read_frames
from refine_motion.video.sources import find_videos

SIZE = (96, 128)


def test_video_and_truth_belong_together(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "clips", seed=3, frames=9, size=SIZE, pairs=2)
    assert video == tmp_path / "clips" / "videos" / "source_0003.mp4"
    (info,) = build_index([video], cache_dir=tmp_path / "index", progress=False).videos
    assert (info.frames, info.height, info.width) == (9, *SIZE)
    assert info.fps == pytest.approx(24)
    decoded = read_frames(info, range(9))
    scene = random_scene(3, SIZE, frames=9)

    pairs = find_pairs(tmp_path / "clips" / "truth")
    assert {pair.sequence for pair in pairs} == {"source_0003"}
    assert len(pairs) == 2
    truth = read_truth(tmp_path / "clips" / "truth" / "source_0003" / TRUTH)
    assert len(truth.starts) == 2
    for row, pair in enumerate(pairs):
        start = int(pair.image_a.stem.removeprefix("frame_"))
        assert int(pair.image_b.stem.removeprefix("frame_")) == start + 1
        assert truth.starts[row] == start
        image_a, image_b, flow, valid = read_pair(pair)
        expected, visible = scene.flow(start, start + 1)
        assert valid.all()
        assert torch.equal(flow, expected)
        assert torch.equal(truth.visible[row], visible)
        assert torch.equal(image_a, decoded[start])
        assert torch.equal(image_b, decoded[start + 1])
        assert (image_a.float() - scene.render(start)).abs().mean() < 8
        error = (warp(image_b[None].float(), flow[None])[0] - image_a).abs().mean(0)
        still = (image_b.float() - image_a).abs().mean(0)
        assert error[visible].mean() < 0.8 * still[visible].mean()
    assert torch.equal(truth.masks[4], scene.masks(4))
    assert torch.equal(truth.tracks.xy, scene.tracks(truth.queries, range(9)).xy)
    assert truth.motion_class == scene.motion_class


def test_several_seeds_and_domains_share_a_folder(tmp_path: Path) -> None:
    for name, seed in (("source", 1), ("source", 2), ("fog", 2)):
        write_clip(tmp_path, seed, frames=3, size=(32, 48), pairs=2, name=name)
    names = ["fog_0002", "source_0001", "source_0002"]
    assert [pair.sequence for pair in find_pairs(tmp_path / "truth")] == [name for name in names for _ in range(2)]
    assert [path.name for path in find_videos(tmp_path / "videos")] == [f"{name}.mp4" for name in names]


@pytest.mark.parametrize("name", DOMAINS)
def test_every_domain_becomes_a_video(tmp_path: Path, name: str) -> None:
    video = write_clip(tmp_path, 4, frames=3, size=(48, 64), pairs=1, name=name)
    assert video.name == f"{name}_0004.mp4"
    (pair,) = find_pairs(tmp_path / "truth")
    image_a, _, flow, _ = read_pair(pair)
    scene = random_scene(4, (48, 64), frames=3, name=name)
    start = int(read_truth(pair.flow.parent / TRUTH).starts)
    assert torch.equal(flow, scene.flow(start, start + 1)[0])
    # Compression loses more of noise and sharp dots than of anything else.
    assert (image_a.float() - scene.render(start)).abs().mean() < 12


def test_clean_leaves_out_what_is_between_scene_and_picture(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "a", 4, frames=3, size=(48, 64), pairs=1, name="night", clean=True)
    noisy = write_clip(tmp_path / "b", 4, frames=3, size=(48, 64), pairs=1, name="night")
    assert video.name == noisy.name
    images = [read_pair(find_pairs(tmp_path / folder / "truth")[0])[0].float() for folder in "ab"]
    clean = random_scene(4, (48, 64), frames=3, name="night").clean()
    assert (images[0] - clean.render(1)).abs().mean() < 12
    assert images[1].mean() < 0.6 * images[0].mean()


def test_without_pairs_the_video_stands_alone(tmp_path: Path) -> None:
    video = write_clip(tmp_path, 0, frames=3, size=(32, 48), pairs=0)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [video]


def test_same_seed_same_file(tmp_path: Path) -> None:
    one, two, other = (write_clip(tmp_path / str(n), seed, 3, (32, 48), pairs=1) for n, seed in enumerate((1, 1, 2)))
    assert one.read_bytes() == two.read_bytes() != other.read_bytes()
    files = [sorted(path.parent.parent.glob("truth/*/*")) for path in (one, two)]
    assert [path.name for path in files[0]] == ["flow_0000.flo", "frame_0000.png", "frame_0001.png", TRUTH]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"size": (33, 48)}, "size"),
        ({"pairs": 3}, "pairs"),
        ({"pairs": -1}, "pairs"),
        ({"name": "mars"}, "known domains"),
        ({"fps": 0.0}, "fps"),
    ],
)
def test_impossible_requests(tmp_path: Path, wrong: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word) as error:
        write_clip(**{"folder": tmp_path, "seed": 0, "frames": 3, "size": (32, 48), "pairs": 1, **wrong})
    assert isinstance(error.value, RefineMotionError)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*.mp4"))
    assert not list(tmp_path.rglob("*.flo"))
