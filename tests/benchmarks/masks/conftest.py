"""A small DAVIS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from refine_motion.video.palette import write_mask

HEIGHT, WIDTH, FRAMES = 40, 60, 5


def ids(frame: int) -> Tensor:
    """Object 1, 10 x 10 px, moves 4 px a frame to the right; object 2, 12 x 20, stays; a void strip at the bottom."""
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8)
    mask[5:15, 5 + 4 * frame : 15 + 4 * frame] = 1
    mask[20:32, 30:50] = 2
    mask[36:] = 255
    return mask


@pytest.fixture
def truth() -> Callable[[int], Tensor]:
    """The true mask of a frame, without void."""

    def mask(frame: int) -> Tensor:
        return torch.where(ids(frame) == 255, 0, ids(frame))

    return mask


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """Sequences ``car``, named by both lists, and ``dog``, by that of 2017 alone; frames are of one grey value."""
    root = tmp_path / "DAVIS"
    for name in ("car", "dog"):
        frames = root / "JPEGImages/480p" / name
        frames.mkdir(parents=True)
        for number in range(FRAMES):
            Image.fromarray(np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8)).save(frames / f"{number:05d}.jpg")
            write_mask(root / "Annotations/480p" / name / f"{number:05d}.png", ids(number))
    for year, names in {"2017": "car\ndog\n", "2016": "car\n"}.items():
        (root / "ImageSets" / year).mkdir(parents=True)
        (root / "ImageSets" / year / "val.txt").write_text(names)
    return root


@pytest.fixture
def predictions(tmp_path: Path, davis: Path) -> Path:
    """Perfect masks of both sequences, of the scored frames alone."""
    for name in ("car", "dog"):
        for number in range(1, FRAMES - 1):
            mask = torch.where(ids(number) == 255, 0, ids(number))
            write_mask(tmp_path / "predictions" / name / f"{number:05d}.png", mask)
    return tmp_path / "predictions"
