"""A track model whose answers are known, and small pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from refine_motion.models.track_base import Following, TrackModel, check_queries, numbered
from refine_motion.types import Tracks


class Moves(TrackModel):
    """Says that every point moves by a constant velocity and is seen, and remembers what it was shown and asked."""

    name, stride, min_side = "moves", 1, 1

    def __init__(self, x: float = 0.0, y: float = 0.0, seen: bool = True, min_frames: int = 1):
        super().__init__()
        self.velocity, self.seen, self.min_frames = torch.tensor([x, y]), seen, min_frames
        self.shown: list[list[int]] = []
        self.sizes: list[tuple[int, ...]] = []
        self.asked: list[Tensor] = []

    def begin(self, queries: Tensor, confidence: bool = True) -> Following:
        raise AssertionError("it is asked to follow")

    def follow(self, frames: Iterable[Tensor], queries: Tensor, confidence: bool = True) -> Tracks:
        pictures = [frame for _, frame in numbered(frames)]
        assert all(picture.dtype == torch.uint8 for picture in pictures)
        check_queries(queries, (pictures[0].shape[1], pictures[0].shape[2]))
        self.shown.append([int(picture[0, 0, 0]) for picture in pictures])
        self.sizes.append(tuple(pictures[0].shape))
        self.asked.append(queries)
        elapsed = torch.arange(len(pictures))[:, None] - queries[:, 0]
        xy = queries[:, 1:] + elapsed[..., None] * self.velocity
        known = elapsed >= 0
        return Tracks(torch.where(known[..., None], xy, torch.nan), known & self.seen)


@pytest.fixture
def moves() -> type[Moves]:
    return Moves


@pytest.fixture
def picture() -> Callable[..., None]:
    """Writes a picture of one grey value; a PNG keeps it."""

    def write(path: Path, grey: int = 0, size: tuple[int, int] = (24, 16)) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((size[1], size[0], 3), grey, np.uint8)).save(path)

    return write
