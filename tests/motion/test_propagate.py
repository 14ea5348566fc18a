from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from refine_motion.motion.propagate import propagate


class Shifting:
    """Maps move by a column and points by a pixel each frame."""

    about, min_side, min_frames = "shifting", 1, 1

    def carry_maps(self, maps: Tensor, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        next(frames)
        for _ in frames:
            maps = maps.roll(1, dims=2)
            yield maps

    def carry_points(self, points: Tensor, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        next(frames)
        for _ in frames:
            points = points + 1
            yield points


def test_labels_of_every_frame_the_first_as_given() -> None:
    maps = torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(0)).softmax(dim=0)
    found = list(propagate(Shifting(), maps, torch.zeros(4, 3, 4, 6)))
    assert found[0] is maps
    assert [torch.equal(each, maps.roll(time, dims=2)) for time, each in enumerate(found)] == [True] * 4
    points = torch.tensor([[1.0, 2], [3, 4]])
    assert torch.equal(torch.stack(list(propagate(Shifting(), points, torch.zeros(4, 3, 4, 6))))[3], points + 3)


def test_frames_are_read_once_and_no_further_than_the_labels() -> None:
    read = []

    def video() -> Iterator[Tensor]:
        for number in range(5):
            read.append(number)
            yield torch.zeros(3, 4, 6)

    carried = propagate(Shifting(), torch.ones(1, 4, 6), video())
    assert read == []
    for number in range(5):
        next(carried)
        assert read == list(range(number + 1))
    assert list(carried) == []


def test_short_videos() -> None:
    assert list(propagate(Shifting(), torch.ones(1, 4, 6), [])) == []
    assert len(list(propagate(Shifting(), torch.ones(1, 4, 6), torch.zeros(1, 3, 4, 6)))) == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.ones(4, 6), r"labels must be float maps \(L, H, W\) or points \(N, 2\), got \(4, 6\)"),
        (torch.ones(1, 4, 6, dtype=torch.int64), "got .*int64"),
        (torch.ones(1, 6, 4), r"label maps are \(1, 6, 4\), but the frames \(3, 4, 6\)"),
    ],
)
def test_labels_that_cannot_be(labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(propagate(Shifting(), labels, torch.zeros(2, 3, 4, 6)))


def test_frames_of_several_sizes() -> None:
    video = [torch.zeros(3, 4, 6), torch.zeros(3, 4, 7)]
    with pytest.raises(ValueError, match=r"frame 1 is \(3, 4, 7\)"):
        list(propagate(Shifting(), torch.ones(1, 4, 6), video))
    with pytest.raises(ValueError, match=r"frame 0 is \(4, 6\)"):
        list(propagate(Shifting(), torch.ones(1, 4, 6), torch.zeros(2, 4, 6)))
