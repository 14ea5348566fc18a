from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from refine_motion.refine.made_motion import make_pair, speeds_for
from refine_motion.refine.speed_test import MADE, SpeedTest

CPU = torch.device("cpu")
SIZE = (160, 200)
FRAMES = [
    torch.randint(0, 256, (3, *SIZE), generator=torch.Generator().manual_seed(n), dtype=torch.uint8) for n in (0, 1)
]


class Remembering(nn.Module):
    """Knows the made pairs of ``FRAMES`` by sight and says their flow, wrong by so many pixels at each speed.

    ``behind`` and ``object`` are added to that on what is behind and on the disc.
    """

    def __init__(self, wrong: dict[float, float], behind: float = 0.0, disc: float = 0.0):
        super().__init__()
        self.known = []
        for speed, error in wrong.items():
            for number in range(MADE):
                pair = make_pair(FRAMES[number % len(FRAMES)], speed, number)
                flow = pair.flow.clone()
                flow[:, 0] += error + torch.where(pair.object, disc, behind)
                self.known.append((pair.image_a, flow))

    def flow(self, a: Tensor, b: Tensor, iters: int = 12) -> Tensor:
        return next(flow for image, flow in self.known if torch.equal(image, a))


def gains(original: Remembering, other: Remembering) -> dict[float, float]:
    test = SpeedTest(FRAMES, original, 1, CPU)  # type: ignore[arg-type]
    found = test.gains(other)  # type: ignore[arg-type]
    assert all(gain.low == gain.value == gain.high for gain in found.values())
    return {speed: gain.value for speed, gain in found.items()}


def test_each_speed_by_hand() -> None:
    speeds = speeds_for(SIZE)
    assert speeds == [4.0, 16.0, 40.0]
    original, other = Remembering(dict.fromkeys(speeds, 0.5)), Remembering({4.0: 0.5, 16.0: 0.25, 40.0: 8.0})
    found = gains(original, other)
    # Floors of 0.25 px and a hundredth of the speed.
    expected = {4.0: 0.0, 16.0: math.log((0.5 + 0.41) / (0.25 + 0.41)), 40.0: math.log((0.5 + 0.65) / (8 + 0.65))}
    assert found == pytest.approx(expected, abs=1e-5)


def test_hundredths_of_a_pixel_are_nothing() -> None:
    speeds = speeds_for(SIZE)
    found = gains(Remembering(dict.fromkeys(speeds, 0.02)), Remembering(dict.fromkeys(speeds, 0.03)))
    assert all(abs(gain) < math.log(1.05) for gain in found.values())


def test_the_object_counts_as_much_as_what_is_behind_it() -> None:
    speeds = speeds_for(SIZE)
    right = Remembering(dict.fromkeys(speeds, 0.0))
    behind, disc = (Remembering(dict.fromkeys(speeds, 0.0), **{part: 2.0}) for part in ("behind", "disc"))
    assert gains(right, behind) == pytest.approx(gains(right, disc), abs=1e-5)
    assert max(gains(right, disc).values()) < -0.5


def test_a_flow_that_is_not_a_number_is_lost_and_not_left_out() -> None:
    speeds = speeds_for(SIZE)
    broken = Remembering(dict.fromkeys(speeds, 0.1))
    broken.known[0][1][..., 60:100, 60:140] = torch.nan
    found = gains(Remembering(dict.fromkeys(speeds, 0.1)), broken)
    assert found[4.0] == -math.inf
    assert found[16.0] == found[40.0] == 0


def test_of_a_large_frame_the_middle_is_used() -> None:
    frame = torch.zeros(3, 500, 1000, dtype=torch.uint8)
    frame[:, 10:490, 180:820] = 255
    small = torch.full((3, 40, 48), 255, dtype=torch.uint8)
    seen = []

    class Seeing(nn.Module):
        def flow(self, a: Tensor, b: Tensor, iters: int = 12) -> Tensor:
            seen.append(b)
            return torch.zeros(1, 2, *a.shape[-2:])

    SpeedTest([frame, small], Seeing(), 1, CPU)  # type: ignore[arg-type]
    assert {tuple(image.shape[-2:]) for image in seen} == {(480, 640), (40, 48)}
    assert all((image == 255).all() for image in seen)


def test_without_frames_there_is_nothing_to_lose() -> None:
    assert SpeedTest([], Remembering({}), 1, CPU).gains(Remembering({})) == {}  # type: ignore[arg-type]
