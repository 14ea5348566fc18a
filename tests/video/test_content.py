from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from refine_motion.errors import VideoError
from refine_motion.video.content import content_key


def test_key_follows_the_content_not_the_path_or_time(tmp_path: Path) -> None:
    a, b = tmp_path / "a.mp4", tmp_path / "b.avi"
    a.write_bytes(bytes(range(256)) * 2000)
    shutil.copyfile(a, b)
    os.utime(b, (1, 1))
    assert content_key(a) == content_key(str(b))
    assert len(content_key(a)) == 32


@pytest.mark.parametrize("position", [0, 256_000, 511_999])
def test_key_changes_with_head_middle_and_tail(tmp_path: Path, position: int) -> None:
    path = tmp_path / "a.mp4"
    data = bytearray(512_000)
    path.write_bytes(data)
    before = content_key(path)
    data[position] = 1
    path.write_bytes(data)
    assert content_key(path) != before


def test_key_of_a_frame_folder(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    (first / "0.png").write_bytes(b"zero")
    (first / "1.png").write_bytes(b"one")
    shutil.copytree(first, second)
    (second / "notes.txt").write_text("not a frame")
    assert content_key(first) == content_key(second)
    (second / "1.png").write_bytes(b"two")
    assert content_key(first) != content_key(second)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="gone"):
        content_key(tmp_path / "gone.mp4")
