"""A clip of joints, and tables of predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from refine_motion.benchmarks.keypoints.benchmark import KeypointBenchmark, KeypointClip

JOINTS = ("neck", "belly", "left hip")


class Made(KeypointBenchmark):
    """Clips whose frames nobody looks at."""

    title, joints = "Made", JOINTS

    def __init__(self, *made: KeypointClip):
        super().__init__("here")
        self.made = made

    def clips(self) -> Iterator[KeypointClip]:
        return iter(self.made)


def walk(name: str = "walk/one", frames: int = 4) -> KeypointClip:
    """Joints at (10, 10), (70, 90) and (40, 50), a box with a diagonal of 100, that move by 6 px a frame in x."""
    first = torch.tensor([[10.0, 10.0], [70.0, 90.0], [40.0, 50.0]], dtype=torch.float64)
    step = torch.tensor([6.0, 0.0], dtype=torch.float64)
    xy = first + step * torch.arange(frames)[:, None, None]
    return KeypointClip(name, [Path(f"{number}.png") for number in range(frames)], xy)


@pytest.fixture
def made() -> type[Made]:
    return Made


@pytest.fixture
def clip() -> Callable[..., KeypointClip]:
    return walk


@pytest.fixture
def table() -> Callable[..., Path]:
    """Writes places ``(T, J, 2)`` as ``refine-motion track`` would."""

    def write(file: Path, xy: Tensor) -> Path:
        lines = ["point,frame,x,y,visible,confidence"]
        lines += [
            f"{JOINTS[joint]},{frame},{x},{y},1,0.5"
            for frame, places in enumerate(xy.tolist())
            for joint, (x, y) in enumerate(places)
        ]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n")
        return file

    return write
