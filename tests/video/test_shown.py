from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch

from refine_motion.video.index import build_index
from refine_motion.video.shown import shown_frames
from refine_motion.video.stream import stream_frames


def test_the_frames_and_nothing_else_where_no_terminal_is(
    clip_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = build_index(clip_folder / "videos", progress=False).videos[0]
    expected = list(stream_frames(info))
    found = list(shown_frames(info, "looking"))
    assert len(found) == 9
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    # Nor when its frames are not asked for to the end.
    started = shown_frames(info, "looking")
    next(started)
    del started
    gc.collect()
    assert capsys.readouterr() == ("", "")
