from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from refine_motion.video.probe import ContentError, ProbeWorker, UnreadableError

MakeVideo = Callable[..., Path]


@pytest.fixture(scope="module")
def worker() -> Iterator[ProbeWorker]:
    with ProbeWorker(time_limit_s=60) as worker:
        yield worker


def test_facts_of_a_plain_video(worker: ProbeWorker, make_video: MakeVideo, tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", (15, 10), options={"g": "10", "bf": "0", "sc_threshold": "0"})
    info = worker.probe(path, "key")
    assert (info.path, info.key) == (path, "key")
    assert (info.frames, info.width, info.height, info.fps) == (25, 64, 48, 25.0)
    assert info.timestamps == pytest.approx([i / 25 for i in range(25)])
    assert info.keyframes == (0, 10, 20)
    assert info.shots == ((0, 15), (15, 25))
    assert (info.reader, info.faults) == ("decord", ())


def test_variable_frame_rate(worker: ProbeWorker, make_video: MakeVideo, tmp_path: Path) -> None:
    pts = [0, 1, 5, 6, 20, 21]
    info = worker.probe(make_video(tmp_path / "a.mkv", (6,), pts=pts), "key")
    assert info.timestamps == pytest.approx([p / 25 for p in pts], abs=1e-3)
    assert info.reader == "decord"


def test_open_gop_goes_to_pyav(worker: ProbeWorker, make_video: MakeVideo, tmp_path: Path) -> None:
    options = {"x264-params": "keyint=10:min-keyint=10:scenecut=0:open-gop=1:bframes=3:b-adapt=0"}
    info = worker.probe(make_video(tmp_path / "a.mp4", (40,), options=options), "key")
    assert info.reader == "pyav"
    assert any("open GOP" in fault for fault in info.faults)


def test_intra_refresh_goes_to_pyav(worker: ProbeWorker, make_video: MakeVideo, tmp_path: Path) -> None:
    options = {"x264-params": "keyint=12:intra-refresh=1:bframes=0:scenecut=0"}
    info = worker.probe(make_video(tmp_path / "a.mp4", (40,), options=options), "key")
    assert (info.reader, info.keyframes) == ("pyav", (0,))


def test_what_cannot_be_read_is_refused_with_a_line(worker: ProbeWorker, tmp_path: Path) -> None:
    text, empty = tmp_path / "text.mp4", tmp_path / "empty.mp4"
    text.write_text("no video")
    empty.touch()
    with pytest.raises(ContentError, match="no video, damaged, or cut short"):
        worker.probe(text, "key")
    with pytest.raises(UnreadableError, match="empty"):
        worker.probe(empty, "key")


def test_sound_without_pictures_is_refused(worker: ProbeWorker, tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(UnreadableError, match="no video stream"):
        worker.probe(path, "key")


def test_a_hang_costs_one_file(make_video: MakeVideo, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)  # opening it waits for a writer that never comes
    good = make_video(tmp_path / "good.mp4")
    with ProbeWorker(time_limit_s=2) as worker:
        started = time.monotonic()
        with pytest.raises(ContentError, match="hangs: no progress for 2 s, the time limit") as caught:
            worker.probe(pipe, "key")
        assert caught.value.time_limit_s == 2
        assert time.monotonic() - started < 30
        assert worker.probe(good, "key").frames == 20


def test_a_crash_costs_one_file(make_video: MakeVideo, tmp_path: Path) -> None:
    good = make_video(tmp_path / "good.mp4")
    with ProbeWorker(time_limit_s=60) as worker:
        worker.probe(good, "key")
        assert worker._child is not None
        worker._child._process.kill()
        with pytest.raises(UnreadableError, match="crashes: exit status -9") as caught:
            worker.probe(good, "key")
        assert not isinstance(caught.value, ContentError)
        assert worker.probe(good, "key").frames == 20


def test_decord_failing_leaves_the_video_to_pyav(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = ProbeWorker._ask

    def fail_to_compare(self: ProbeWorker, request: dict[str, Any]) -> Any:
        if request["do"] == "compare":
            raise UnreadableError("the decoder hangs: no progress for 60 s")
        return ask(self, request)

    monkeypatch.setattr(ProbeWorker, "_ask", fail_to_compare)
    with ProbeWorker(time_limit_s=60) as worker:
        info = worker.probe(make_video(tmp_path / "a.mp4"), "key")
    assert (info.reader, info.faults) == ("pyav", ("decord fails: the decoder hangs: no progress for 60 s",))


def test_frame_folder(worker: ProbeWorker, tmp_path: Path) -> None:
    for i in range(12):
        Image.new("L", (30, 20), 10 * i).save(tmp_path / f"{i}.png")
    info = worker.probe(tmp_path, "key")
    assert (info.frames, info.width, info.height, info.reader, info.fps) == (12, 30, 20, "images", 24.0)
    assert info.timestamps[11] == pytest.approx(11 / 24)
    Image.new("RGB", (30, 22)).save(tmp_path / "5.png")
    with pytest.raises(UnreadableError, match=r"5\.png is 30x22, the images before it 30x20"):
        worker.probe(tmp_path, "key")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(tmp_path / "5.png")
    (tmp_path / "5.png").write_bytes((tmp_path / "5.png").read_bytes()[:900])
    with pytest.raises(UnreadableError, match=r"5\.png is not a readable image"):
        worker.probe(tmp_path, "key")
