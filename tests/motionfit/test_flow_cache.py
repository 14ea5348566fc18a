from __future__ import annotations

import json
import pickle
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from refine_motion.errors import ConfigError, LabelError
from refine_motion.models import load
from refine_motion.models.base import FlowModel, FrameFeatures, check_frames, resize_flow
from refine_motion.models.load import load_flow_model
from refine_motion.motion.grid import resize_frames
from refine_motion.motionfit import flow_cache
from refine_motion.motionfit.flips import flip_flow
from refine_motion.motionfit.flow_cache import FlowCache, FlowSettings, pixels
from refine_motion.motionfit.timeline import Footage
from refine_motion.video.info import VideoInfo

CPU = torch.device("cpu")
SIZE = (12, 16)
SETTINGS = FlowSettings(iters=2, limit=10.0)


class NormalFlow(FlowModel):
    """What the change of brightness tells of motion along its gradient, as a model of flow.

    A mirror changes the sign of its u alone; and no two of its numbers depend on other pixels than their neighbours.
    """

    name, stride, min_side = "normal_flow", 1, 8

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(1.0))
        self.encoded = 0
        # The pair after which it fails.
        self.fails_after = 10**6
        self.matched = 0

    def encode(self, frames: Tensor) -> FrameFeatures:
        check_frames(frames, self.min_side)
        assert frames.dtype == torch.uint8
        assert not torch.is_grad_enabled()
        assert not self.training
        self.encoded += len(frames)
        grey = frames.double().mean(dim=1, keepdim=True)
        return FrameFeatures(grey, grey, (frames.shape[-2], frames.shape[-1]))

    def match(
        self, features_a: FrameFeatures, features_b: FrameFeatures, iters: int, init: Tensor | None = None
    ) -> list[Tensor]:
        self.matched += len(features_a.matching)
        if self.matched > self.fails_after:
            raise KeyboardInterrupt
        assert len(features_a.matching) == len(features_b.matching)
        a, b = features_a.matching, features_b.matching
        around = F.pad(a, (1, 1, 1, 1), mode="replicate")
        dx, dy = around[..., 1:-1, 2:] - around[..., 1:-1, :-2], around[..., 2:, 1:-1] - around[..., :-2, 1:-1]
        flow = self.gain * torch.cat((dx, dy), dim=1) * (a - b) / (dx.square() + dy.square() + 20)
        # Only the last one is right.
        return [flow.float() * (number + 1) / iters for number in range(iters)]

    def match_both(
        self, features_a: FrameFeatures, features_b: FrameFeatures, iters: int, tolerance: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        raise AssertionError

    @torch.no_grad()
    def flow(self, a: Tensor, b: Tensor, iters: int = 12) -> Tensor:
        return self.match(self.encode(a), self.encode(b), iters)[-1]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> NormalFlow:
    """What the cache loads."""
    found = NormalFlow().eval()
    monkeypatch.setattr(load, "load_flow_model", lambda *_: found)
    return found


def write(folder: Path, frames: Tensor, fps: float = 24.0) -> VideoInfo:
    """``(T, 3, H, W)`` as a folder of frames."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(folder / f"{number:03}.png")
    times = tuple(number / fps for number in range(len(frames)))
    height, width = frames.shape[-2:]
    return VideoInfo(folder, folder.name, len(frames), width, height, fps, times, (), (), "images", ())


def smooth(frames: int, size: tuple[int, int] = SIZE, seed: int = 0) -> Tensor:
    """A smooth texture that wanders to the right and down."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size[0] + frames, size[1] + 2 * frames
    coarse = torch.rand(1, 3, height // 4, width // 4, generator=generator) * 255
    texture = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    texture = texture[0].round().clamp(0, 255).to(torch.uint8)
    places = [(2 * (frames - number), frames - number) for number in range(frames)]
    return torch.stack([texture[:, y : y + size[0], x : x + size[1]] for x, y in places])


@pytest.fixture
def videos(tmp_path: Path) -> list[VideoInfo]:
    return [write(tmp_path / "videos" / name, smooth(7, seed=seed)) for seed, name in enumerate("ab")]


@pytest.fixture
def cache(tmp_path: Path, model: NormalFlow) -> FlowCache:
    return FlowCache(tmp_path / "cache", SETTINGS, Footage(SIZE))


def stored(cache: FlowCache) -> dict[Path, int]:
    """When each file of the cache was written."""
    return {path: path.stat().st_mtime_ns for path in cache.root.rglob("*.safetensors")}


def file_of(cache: FlowCache, video: VideoInfo, stride: int) -> Path:
    """The one that a fill makes in an empty cache."""
    other = FlowCache(cache.root.with_name("other"), cache.settings, cache.footage)
    other.fill([video], [stride], CPU, progress=False)
    (path,) = stored(other)
    shutil.rmtree(other.root)
    return cache.root / path.relative_to(other.root)


def forbidden(*_: object) -> FlowModel:
    raise AssertionError("the model is loaded")


def test_the_embedded_model(tmp_path: Path) -> None:
    frames = smooth(6, (64, 64))
    video = write(tmp_path / "v", frames)
    cache = FlowCache(tmp_path / "cache", FlowSettings(iters=2, limit=8.0), Footage((64, 64)))
    cache.fill([video], [1, 2], CPU, progress=False)
    network = load_flow_model(None, "embedded")
    for stride in (1, 2):
        a, b = frames[::stride][:-1], frames[::stride][1:]
        wanted = network.flow(a, b, iters=2).clamp(-8, 8)
        assert wanted.abs().max() > 1
        found = cache.read(video, stride, 0, len(a))
        assert found.dtype == torch.int8
        torch.testing.assert_close(pixels(found, 8.0), wanted.transpose(0, 1), rtol=0, atol=8 / 254 + 1e-3)


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_strides_in_chunks_of_any_length(
    chunk: int, cache: FlowCache, model: NormalFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_cache, "_CHUNK_PIXELS", chunk * SIZE[0] * SIZE[1])
    decoded: list[Path] = []
    stream_frames = flow_cache.stream_frames

    def counted(info: VideoInfo) -> Iterator[Tensor]:
        decoded.append(info.path)
        return stream_frames(info)

    monkeypatch.setattr(flow_cache, "stream_frames", counted)
    frames = smooth(11, (18, 20))
    video = write(tmp_path / "v", frames)
    cache.fill([video], [1, 2, 3, 2], CPU, progress=False)
    assert (decoded, model.encoded, model.matched) == ([video.path], 11, 10 + 5 + 3)
    seen = resize_frames(frames, SIZE)
    for stride, count in ((1, 10), (2, 5), (3, 3)):
        thin = seen[::stride]
        wanted = model.flow(thin[:count], thin[1 : count + 1], 2).clamp(-10, 10).transpose(0, 1)
        assert wanted.abs().max() > 2
        for first in range(count):
            for last in range(first + 1, count + 1):
                found = cache.read(video, stride, first * stride, last - first)
                assert found.shape == (2, last - first, *SIZE)
                torch.testing.assert_close(pixels(found, 10.0), wanted[:, first:last], rtol=0, atol=10 / 254 + 1e-5)


def test_frames_that_no_stride_needs_are_left_out(cache: FlowCache, model: NormalFlow, videos: list[VideoInfo]) -> None:
    cache.fill(videos[:1], [3], CPU, progress=False)
    assert (model.encoded, model.matched) == (3, 2)


@pytest.mark.parametrize("scale", [2.0, 0.75])
def test_frames_of_another_scale(scale: float, cache: FlowCache, model: NormalFlow, tmp_path: Path) -> None:
    """The model sees them resized from those of the video, and its flow is brought back to the footage."""
    frames = smooth(5, (30, 36))
    video = write(tmp_path / "v", frames)
    scaled = FlowCache(cache.root, replace(SETTINGS, scale=scale), Footage(SIZE))
    scaled.fill([video], [2], CPU, progress=False)
    seen = resize_frames(frames, (round(12 * scale), round(16 * scale)))[::2]
    wanted = resize_flow(model.flow(seen[:-1], seen[1:], 2), SIZE).clamp(-10, 10)
    assert wanted.abs().max() > 1
    found = scaled.read(video, 2, 0, 2)
    assert found.shape == (2, 2, *SIZE)
    torch.testing.assert_close(pixels(found, 10.0), wanted.transpose(0, 1), rtol=0, atol=10 / 254 + 1e-5)


def test_by_time(model: NormalFlow, tmp_path: Path) -> None:
    frames = smooth(9)
    video = write(tmp_path / "v", frames, fps=30.0)
    cache = FlowCache(tmp_path / "cache", SETTINGS, Footage(SIZE, fps=15.0))
    cache.fill([video], [1, 2], CPU, progress=False)
    for stride, first, a, b in ((1, 1, 2, 4), (2, 2, 4, 8)):
        wanted = model.flow(frames[a : a + 1], frames[b : b + 1]).clamp(-10, 10)
        found = pixels(cache.read(video, stride, first, 1), 10.0).transpose(0, 1)
        torch.testing.assert_close(found, wanted, rtol=0, atol=10 / 254 + 1e-5)


def test_the_mirrored_video(cache: FlowCache, tmp_path: Path) -> None:
    frames = smooth(5)
    video, mirrored = write(tmp_path / "v", frames), write(tmp_path / "m", frames.flip(-1))
    cache.fill([video, mirrored], [1], CPU, progress=False)
    there, back = (cache.read(one, 1, 0, 4) for one in (video, mirrored))
    assert (there[0].float().abs() > 5).float().mean() > 0.3
    assert (flip_flow(there).int() - back.int()).abs().max() <= 1
    assert (there.flip(-1).int() - back.int()).abs().max() > 50


class TestResume:
    def test_only_what_is_missing(self, cache: FlowCache, model: NormalFlow, videos: list[VideoInfo]) -> None:
        cache.fill(videos, [1, 2], CPU, progress=False)
        before = stored(cache)
        assert len(before) == 4
        lost = file_of(cache, videos[1], 2)
        assert lost in before
        content = lost.read_bytes()
        lost.unlink()
        model.encoded = 0
        cache.fill(videos, [1, 2], CPU, progress=False)
        after = stored(cache)
        assert model.encoded == 4
        assert lost.read_bytes() == content
        assert after.keys() == before.keys()
        assert {path for path in before if after[path] != before[path]} == {lost}

    def test_nothing_is_loaded_when_nothing_is(
        self, cache: FlowCache, videos: list[VideoInfo], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache.fill(videos, [1], CPU, progress=False)
        monkeypatch.setattr(load, "load_flow_model", forbidden)
        cache.fill(videos, [1], CPU, progress=False)
        with pytest.raises(AssertionError, match="loaded"):
            cache.fill(videos, [1, 2], CPU, progress=False)

    def test_after_an_interrupt(
        self, cache: FlowCache, model: NormalFlow, videos: list[VideoInfo], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In the midst of the second video, of which nothing is left; the first is not computed again."""
        monkeypatch.setattr(flow_cache, "_CHUNK_PIXELS", 2 * SIZE[0] * SIZE[1])
        model.fails_after = 13
        with pytest.raises(KeyboardInterrupt):
            cache.fill(videos, [1, 2], CPU, progress=False)
        before = stored(cache)
        assert len(before) == 2
        assert not list(cache.root.rglob(".*"))
        assert cache.read(videos[0], 2, 0, 3).shape[1] == 3
        model.fails_after, model.encoded = 10**6, 0
        cache.fill(videos, [1, 2], CPU, progress=False)
        assert model.encoded == 7
        assert before.items() <= stored(cache).items()
        assert len(stored(cache)) == 4

    def test_what_another_process_made_meanwhile(
        self, cache: FlowCache, model: NormalFlow, videos: list[VideoInfo], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While the first video is at work, the other process makes the second: 7 frames each, none twice."""
        make = FlowCache._make

        def with_another(self: FlowCache, used: FlowModel, video: VideoInfo, *rest: Any) -> None:
            if video == videos[0]:
                FlowCache(cache.root, SETTINGS, cache.footage).fill(videos[1:], [1], CPU, progress=False)
            make(self, used, video, *rest)

        monkeypatch.setattr(FlowCache, "_make", with_another)
        cache.fill(videos, [1], CPU, progress=False)
        assert model.encoded == 14
        assert len(stored(cache)) == 2

    def test_what_a_killed_run_left_is_removed(self, cache: FlowCache, videos: list[VideoInfo]) -> None:
        cache.fill(videos[:1], [1], CPU, progress=False)
        (path,) = stored(cache)
        child = subprocess.Popen([sys.executable, "-c", ""])
        child.wait()
        left = path.with_name(f".{path.name}.{platform.node()}.{child.pid}.partial")
        left.touch()
        cache.fill(videos, [1], CPU, progress=False)
        assert not left.exists()

    def test_a_video_that_is_there_twice(self, cache: FlowCache, model: NormalFlow, videos: list[VideoInfo]) -> None:
        cache.fill([videos[0], videos[0]], [1], CPU, progress=False)
        assert model.encoded == 7


def truncated(path: Path, other: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def of_another(path: Path, other: Path) -> None:
    shutil.copy(other, path)


def of_another_schema(path: Path, other: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"schema": "flow 1"', b'"schema": "flow 0"'))


def no_such_format(path: Path, other: Path) -> None:
    path.write_bytes(b"nothing of the kind")


DAMAGE = [
    (truncated, ""),
    (of_another, "of another video"),
    (of_another_schema, "of another schema"),
    (no_such_format, ""),
]


@pytest.mark.parametrize(("damage", "told"), DAMAGE)
def test_damaged_files(
    damage: Callable[[Path, Path], None], told: str, cache: FlowCache, videos: list[VideoInfo]
) -> None:
    cache.fill(videos, [1], CPU, progress=False)
    wanted = cache.read(videos[0], 1, 0, 6)
    path, other = (file_of(cache, video, 1) for video in videos)
    damage(path, other)
    with pytest.raises(LabelError) as raised:
        cache.read(videos[0], 1, 0, 6)
    line = str(raised.value)
    assert line.startswith(f"{path}: damaged (")
    assert told in line
    assert line.endswith("; delete it and run the command again")
    assert "\n" not in line
    cache.fill(videos, [1], CPU, progress=False)
    assert torch.equal(cache.read(videos[0], 1, 0, 6), wanted)


def test_a_missing_file(cache: FlowCache, videos: list[VideoInfo]) -> None:
    cache.fill(videos, [2], CPU, progress=False)
    with pytest.raises(LabelError, match=r"\.safetensors: the flow of .*a at stride 1 is missing; run the command"):
        cache.read(videos[0], 1, 0, 6)


def test_what_is_not_within_the_video(cache: FlowCache, videos: list[VideoInfo]) -> None:
    video = videos[0]
    cache.fill([video], [2, 7, 8], CPU, progress=False)
    assert len(stored(cache)) == 1
    assert cache.read(video, 2, 4, 1).shape == (2, 1, *SIZE)
    for stride, first, count in (
        (2, 1, 1),
        (2, -2, 1),
        (2, 4, 2),
        (2, 6, 1),
        (2, 0, 0),
        (7, 0, 1),
        (0, 0, 1),
        (-1, 0, 1),
    ):
        with pytest.raises(ValueError, match="are not within its 7 frames, or do not start at a multiple"):
            cache.read(video, stride, first, count)
    with pytest.raises(ValueError, match="strides must be at least 1"):
        cache.fill([video], [1, 0], CPU)


def test_a_copy_reads_without_the_model(
    cache: FlowCache, videos: list[VideoInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.fill(videos, [1], CPU, progress=False)
    monkeypatch.setattr(load, "load_flow_model", forbidden)
    content = pickle.dumps(cache)
    assert len(content) < 2000
    assert torch.equal(pickle.loads(content).read(videos[1], 1, 2, 3), cache.read(videos[1], 1, 2, 3))


class TestKey:
    def test_what_changes_the_flow_changes_it(self, tmp_path: Path, model: NormalFlow) -> None:
        def key(settings: FlowSettings = SETTINGS, **footage: Any) -> str:
            return FlowCache(tmp_path, settings, Footage(**{"size": SIZE, **footage})).key

        first = key()
        assert first == key()
        # The model is the same, under whatever name it was found.
        assert first == key(FlowSettings(weights="elsewhere.safetensors", iters=2, limit=10))
        others = {
            key(FlowSettings(iters=3, limit=10.0)),
            key(FlowSettings(iters=2, limit=11.0)),
            key(FlowSettings(iters=2, limit=10.0, scale=2.0)),
            key(size=(16, 12)),
            key(fps=5.0),
        }
        with torch.no_grad():
            model.gain += 1
        others.add(key())
        assert len(others - {first}) == 6

    def test_settings_are_written_beside(self, cache: FlowCache, videos: list[VideoInfo]) -> None:
        cache.fill(videos[:1], [1], CPU, progress=False)
        written = json.loads((cache.root / cache.key / "settings.json").read_text())
        assert written["flow"] == {"network": None, "weights": "embedded", "iters": 2, "limit": 10.0, "scale": 1.0}
        assert written["footage"] == {"size": list(SIZE), "fps": None}

    def test_frames_that_are_too_small(self, tmp_path: Path, model: NormalFlow) -> None:
        told = (
            r"footage\.size times flow\.scale is 7x16, and 'normal_flow' takes frames of at least 8 pixels on each side"
        )
        with pytest.raises(ConfigError, match=told):
            _ = FlowCache(tmp_path, SETTINGS, Footage((7, 16))).key
        # Enlarged, they are large enough.
        assert FlowCache(tmp_path, replace(SETTINGS, scale=2.0), Footage((7, 16))).key


@given(
    st.lists(st.floats(-1000, 1000, width=32, allow_subnormal=False), min_size=1, max_size=20),
    st.floats(0.5, 100, allow_subnormal=False),
)
def test_pixels_are_within_half_a_step(values: list[float], limit: float) -> None:
    flow = torch.tensor(values)
    kept = flow_cache._stored(flow, limit)
    assert kept.dtype == torch.int8
    assert kept.min() >= -127
    found = pixels(kept, limit)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, flow.clamp(-limit, limit), rtol=0, atol=limit / 254 * (1 + 1e-4))
    # A mirror and what is stored go together.
    assert torch.equal(flow_cache._stored(-flow, limit), -kept)


def test_settings_that_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"flow\.iters must be at least 1, got 0"):
        FlowSettings(iters=0)
    for limit in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match=r"flow\.limit must be more than 0 pixels and finite, got"):
            FlowSettings(limit=limit)
    for scale in (0.0, -1.0, 8.1, float("nan")):
        with pytest.raises(ConfigError, match=r"flow\.scale must be more than 0 and at most 8, got"):
            FlowSettings(scale=scale)
