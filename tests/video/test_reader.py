from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from refine_motion.errors import VideoError
from refine_motion.video.index import VideoInfo, build_index
from refine_motion.video.reader import read_frames

MakeVideo = Callable[..., Path]
Decode = Callable[..., tuple[int, dict[int, NDArray[np.uint8]]]]

CODINGS = {
    "plain.mp4": {"g": "10"},
    "no_b.mkv": {"g": "7", "bf": "0"},
    "open.mp4": {"x264-params": "keyint=10:min-keyint=10:scenecut=0:open-gop=1:bframes=3:b-adapt=0"},
    "refresh.mp4": {"x264-params": "keyint=12:intra-refresh=1:bframes=0:scenecut=0"},
    "transport.ts": {"g": "10"},
}


def probe(path: Path) -> VideoInfo:
    return build_index(path, None, progress=False).videos[0]


@pytest.mark.parametrize("name", CODINGS)
@pytest.mark.parametrize("reader", ["probed", "pyav"])
def test_every_frame_equals_plain_decoding(
    make_video: MakeVideo, decode_plainly: Decode, tmp_path: Path, name: str, reader: str
) -> None:
    path = make_video(tmp_path / name, (20, 17), options=CODINGS[name])
    info = probe(path)
    if reader == "pyav":
        info = replace(info, reader="pyav")
    count, plain = decode_plainly(path)
    assert count == info.frames == 37
    for frame in range(info.frames):
        assert np.array_equal(read_frames(info, [frame])[0].permute(1, 2, 0).numpy(), plain[frame]), frame
    window = [36, 3, 4, 5, 20, 20, 0]
    assert np.array_equal(read_frames(info, window).permute(0, 2, 3, 1).numpy(), np.stack([plain[i] for i in window]))


def test_layout_of_the_tensor(make_video: MakeVideo, tmp_path: Path) -> None:
    info = probe(make_video(tmp_path / "a.mp4", size=(70, 46)))
    frames = read_frames(info, range(4))
    assert (frames.shape, frames.dtype) == ((4, 3, 46, 70), torch.uint8)
    assert frames.is_contiguous()
    assert read_frames(info, []).shape == (0, 3, 46, 70)


def test_seek_to_frames_unknown_by_time_falls_back_to_the_start(
    make_video: MakeVideo, decode_plainly: Decode, tmp_path: Path
) -> None:
    path = make_video(tmp_path / "a.mp4", (30,), options={"g": "10"})
    wrong_times = tuple(time + 0.001 for time in probe(path).timestamps)
    info = replace(probe(path), reader="pyav", timestamps=wrong_times)
    assert np.array_equal(read_frames(info, [25])[0].permute(1, 2, 0).numpy(), decode_plainly(path, {25})[1][25])


def test_frame_folder(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (11, 20, 30, 3), dtype=np.uint8)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"f{i}.png")
    frames = read_frames(probe(tmp_path), [10, 2])
    assert np.array_equal(frames.permute(0, 2, 3, 1).numpy(), pictures[[10, 2]])


@pytest.mark.parametrize("reader", ["decord", "pyav"])
def test_a_file_that_is_gone_or_shorter(make_video: MakeVideo, tmp_path: Path, reader: str) -> None:
    path = make_video(tmp_path / "a.mp4", (20,))
    info = replace(probe(path), reader=reader)
    with pytest.raises(VideoError, match=r"a\.mp4: there is no frame 20: it has frames 0 to 19"):
        read_frames(info, [20])
    make_video(path, (10,))
    with pytest.raises(VideoError, match=r"a\.mp4: frame 15 cannot be read .*changed"):
        read_frames(info, [15])
    path.unlink()
    with pytest.raises(VideoError, match=r"a\.mp4: frames 1 to 2 cannot be read") as caught:
        read_frames(info, [1, 2])
    assert "\n" not in str(caught.value)


class Frames(Dataset[Tensor]):
    def __init__(self, infos: list[VideoInfo]) -> None:
        self.infos = infos

    def __len__(self) -> int:
        return 8

    def __getitem__(self, item: int) -> Tensor:
        return read_frames(self.infos[item % len(self.infos)], [item, item + 10])


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_in_data_loader_workers(make_video: MakeVideo, tmp_path: Path, start: str) -> None:
    info = probe(make_video(tmp_path / "a.mp4", (20,)))
    data = Frames([info, replace(info, reader="pyav")])
    here = torch.stack([data[i] for i in range(len(data))])  # also decodes before the fork
    loader = DataLoader(data, batch_size=4, num_workers=2, multiprocessing_context=start, timeout=100)
    assert torch.equal(torch.cat(list(loader)), here)
