from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from refine_motion.video.shots import ShotDetector


def scene(seed: int, frames: int, speed: int = 1) -> NDArray[np.uint8]:
    """A texture of large patches that pans."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 16, 3), dtype=np.uint8)
    wide = patches.repeat(6, axis=0).repeat(8, axis=1)
    return np.stack([np.roll(wide, -speed * t, axis=1)[:, :64] for t in range(frames)])


def cuts(frames: NDArray[np.uint8]) -> tuple[int, ...]:
    detector = ShotDetector()
    for frame in frames:
        detector.add(frame)
    return detector.cuts()


def test_cuts_between_scenes() -> None:
    assert cuts(np.concatenate([scene(0, 15), scene(1, 4), scene(2, 20)])) == (15, 19)


@pytest.mark.parametrize("speed", [0, 1, 4, 8])
def test_motion_is_no_cut(speed: int) -> None:
    assert cuts(scene(0, 40, speed)) == ()


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("value", [0, 255])
def test_a_flash_or_black_frame_is_no_cut(length: int, value: int) -> None:
    frames = scene(0, 30)
    frames[14 : 14 + length] = value
    assert cuts(frames) == ()


def test_a_change_of_light_is_no_cut() -> None:
    frames = scene(0, 30)
    frames[15:] = np.clip(frames[15:].astype(int) + 12, 0, 255)
    assert cuts(frames) == ()


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_very_short_videos(frames: int) -> None:
    assert cuts(scene(0, frames)[:frames] if frames else np.empty((0, 36, 64, 3), np.uint8)) == ()


def test_a_cut_of_two_frames() -> None:
    assert cuts(np.concatenate([scene(0, 1), scene(1, 1)])) == (1,)
