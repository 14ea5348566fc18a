from __future__ import annotations

import json
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from refine_motion.errors import LabelError
from refine_motion.motion.grid import resize_frames
from refine_motion.motionfit.flow_cache import FlowCache, FlowSettings
from refine_motion.motionfit.readers import ClipReader, FlowReader, RgbReader
from refine_motion.motionfit.timeline import Footage
from refine_motion.video.info import VideoInfo

FRAMES = torch.randint(0, 256, (9, 3, 60, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
SIZE = (58, 60)


def write(folder: Path, frames: Tensor, fps: float = 24.0) -> VideoInfo:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(folder / f"{number:03}.png")
    times = tuple(number / fps for number in range(len(frames)))
    height, width = frames.shape[-2:]
    return VideoInfo(folder, folder.name, len(frames), width, height, fps, times, (), (), "images", ())


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    return write(tmp_path_factory.mktemp("videos") / "v", FRAMES)


@pytest.fixture(scope="module")
def flow(video: VideoInfo, tmp_path_factory: pytest.TempPathFactory) -> FlowReader:
    """With the flow of the video at strides 1 and 2."""
    reader = FlowReader(FlowCache(tmp_path_factory.mktemp("cache"), FlowSettings(iters=1), Footage(SIZE)))
    reader.prepare([video], [1, 2], torch.device("cpu"))
    return reader


def test_frames(video: VideoInfo) -> None:
    reader = RgbReader(Footage(SIZE))
    reader.prepare([video], [1, 2], torch.device("cpu"))
    clip = reader.read(video, 1, 2, 3)
    assert (clip.dtype, clip.shape) == (torch.uint8, (3, 3, *SIZE))
    assert clip.is_contiguous()
    assert torch.equal(clip, resize_frames(FRAMES[[1, 3, 5]], SIZE).transpose(0, 1))
    assert torch.equal(RgbReader(Footage((60, 64))).read(video, 0, 8, 2)[:, 1], FRAMES[8])


def test_frames_by_time(video: VideoInfo) -> None:
    """Of 24 frames a second every third."""
    clip = RgbReader(Footage((60, 64), fps=8.0)).read(video, 0, 2, 2)
    assert torch.equal(clip, FRAMES[[0, 6]].transpose(0, 1))


def test_flow_is_between_the_frames_of_the_clip(video: VideoInfo, flow: FlowReader) -> None:
    clip = flow.read(video, 2, 2, 4)
    assert (clip.dtype, clip.shape) == (torch.int8, (2, 3, *SIZE))
    assert torch.equal(clip, flow.cache.read(video, 2, 2, 3))
    assert clip.float().abs().max() > 0


@pytest.mark.parametrize("kind", ["rgb", "flow"])
def test_clips_are_counted_in_frames(kind: str, video: VideoInfo, flow: FlowReader) -> None:
    """So that both kinds read the same clips, and refuse the same."""
    reader: ClipReader = flow if kind == "flow" else RgbReader(Footage(SIZE))
    between = int(kind == "flow")
    for start, stride, length in ((0, 1, 9), (0, 2, 5), (4, 2, 3), (7, 1, 2)):
        assert reader.read(video, start, stride, length).shape == (reader.channels, length - between, *SIZE)
    for start, stride, length in ((0, 1, 10), (0, 2, 6), (6, 2, 3), (8, 1, 2), (-1, 1, 3), (0, 1, 0), (0, 0, 2)):
        with pytest.raises(ValueError, match=r"v: .* are not within its 9$"):
            reader.read(video, start, stride, length)


def test_clips_that_have_no_flow(video: VideoInfo, flow: FlowReader) -> None:
    for start, stride, length in ((1, 2, 3), (0, 1, 1)):
        with pytest.raises(ValueError, match="or do not start at a multiple of the stride"):
            flow.read(video, start, stride, length)
    with pytest.raises(LabelError, match="stride 4 is missing"):
        flow.read(video, 0, 4, 2)


def test_where_clips_may_start(video: VideoInfo, flow: FlowReader) -> None:
    """Frames are read from any, flow from every second where it is of every second."""
    rgb = RgbReader(Footage(SIZE))
    assert [rgb.step(stride) for stride in (1, 2, 4)] == [1, 1, 1]
    assert [flow.step(stride) for stride in (1, 2, 4)] == [1, 2, 4]
    for reader, stride in ((rgb, 2), (flow, 1), (flow, 2)):
        for start in range(0, 9 - stride, reader.step(stride)):
            assert reader.read(video, start, stride, 2).shape[0] == reader.channels


@pytest.mark.parametrize("kind", ["rgb", "flow"])
@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_in_a_worker(kind: str, context: str, video: VideoInfo, flow: FlowReader) -> None:
    reader: ClipReader = flow if kind == "flow" else RgbReader(Footage(SIZE))
    loader = DataLoader(
        [2, 5, 9],  # type: ignore[arg-type]
        batch_size=None,
        collate_fn=partial(reader.read, video, 0, 1),
        num_workers=1,
        multiprocessing_context=context,
    )
    for length, clip in zip((2, 5, 9), loader, strict=True):
        assert torch.equal(clip, reader.read(video, 0, 1, length))


def test_settings(flow: FlowReader) -> None:
    rgb = RgbReader(Footage(SIZE, fps=8.0)).settings()
    assert json.loads(json.dumps(rgb)) == {"kind": "rgb", "size": [58, 60], "fps": 8.0}
    found = flow.settings()
    assert json.loads(json.dumps(found)) == {"kind": "flow", "size": [58, 60], "fps": None, "flow": flow.cache.key}


def test_no_flow_model_is_imported_for_reading(video: VideoInfo, flow: FlowReader, tmp_path: Path) -> None:
    """In a process of its own, which is given the readers as a worker is."""
    code = (
        "import pickle, sys\n"
        "for reader, video in pickle.load(sys.stdin.buffer): print(reader.read(video, 0, 1, 3).shape[0])\n"
        "assert not {'refine_motion.models.load', 'refine_motion.models.raft'} & sys.modules.keys()"
    )
    given = pickle.dumps([(flow, video), (RgbReader(Footage(SIZE)), video)])
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, check=True)
    assert done.stdout.split() == [b"2", b"3"]
