from __future__ import annotations

import io

import pytest
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from refine_motion.viz.animate import Animation, encode_webp


def grey(level: int, size: tuple[int, int] = (20, 30)) -> Tensor:
    return torch.full((3, *size), level, dtype=torch.uint8)


def test_frames_come_back_in_order_and_loop() -> None:
    levels = [0, 60, 120, 180, 240]
    image = Image.open(io.BytesIO(encode_webp([grey(level) for level in levels], fps=10)))
    assert (image.size, image.n_frames, image.info["loop"]) == ((30, 20), 5, 0)
    found = [frame.convert("RGB").getpixel((15, 10))[0] for frame in ImageSequence.Iterator(image)]
    assert found == pytest.approx(levels, abs=4)


def test_whole_milliseconds_add_up_to_the_true_length() -> None:
    image = Image.open(io.BytesIO(encode_webp([grey(20 * i) for i in range(12)], fps=24)))
    durations = []
    for index in range(image.n_frames):
        image.seek(index)
        image.load()
        durations.append(image.info["duration"])
    assert sum(durations) == 500
    assert set(durations) == {41, 42}


def test_page_shows_the_first_frame_to_who_wants_no_motion() -> None:
    html = Animation([grey(10), grey(200)], 5, "caption", "a <ball>").html()
    assert html.count("<img") == 2
    assert 'alt="First frame: a &lt;ball&gt;"' in html


@pytest.mark.parametrize(
    ("frames", "fps", "complaint"),
    [
        ([], 10, "frames of one size"),
        ([grey(1), grey(1, (8, 8))], 10, "frames of one size"),
        ([grey(1)], 0, "positive rate, not 0"),
        ([grey(1).float()], 10, r"\(3, H, W\) uint8"),
    ],
)
def test_refuses_what_does_not_move(frames: list[Tensor], fps: float, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        encode_webp(frames, fps)
