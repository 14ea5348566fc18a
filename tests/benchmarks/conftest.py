"""Small files of the kinds that benchmarks are made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from refine_motion.benchmarks.flow_files import write_flo, write_kitti_png

WIDTH, HEIGHT = 24, 16
Picture = Callable[..., None]
Truth = Callable[..., None]


class Constant:
    """A model that says the same flow everywhere, and remembers what it was shown."""

    def __init__(self, x: float):
        self.x = x
        self.shapes: list[tuple[int, ...]] = []
        self.iters: list[int] = []

    def flow(self, a: torch.Tensor, b: torch.Tensor, iters: int = 12) -> torch.Tensor:
        self.shapes.append(tuple(a.shape))
        self.iters.append(iters)
        flow = torch.zeros(1, 2, *a.shape[-2:])
        flow[:, 0] = self.x
        return flow


@pytest.fixture
def constant() -> type[Constant]:
    return Constant


@pytest.fixture
def picture() -> Picture:
    """Writes a grey frame, or a map that is 255 in its first ``marked`` rows."""

    def write(path: Path, grey: int = 0, marked: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((size[1], size[0]), grey, np.uint8)
        pixels[:marked] = 255
        Image.fromarray(pixels).save(path)

    return write


@pytest.fixture
def truth() -> Truth:
    """Writes a flow along x, known from row ``first`` on."""

    def write(path: Path, x: float = 0.0, first: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        flow = torch.zeros(2, size[1], size[0])
        flow[0] = x
        valid = torch.ones(size[1], size[0], dtype=torch.bool)
        valid[:first] = False
        (write_flo if path.suffix == ".flo" else write_kitti_png)(path, flow, valid)

    return write
