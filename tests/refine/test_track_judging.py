from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from refine_motion.refine.judge import CYCLE, LABELS, LOOK, MOVING
from refine_motion.refine.track_judging import TrackJudge
from refine_motion.refine.track_speed_test import TrackSpeedTest, shifted

CPU = torch.device("cpu")
FRAMES, SIZE = 4, (64, 80)
STEP = torch.tensor([2.0, 1.0])


@dataclass
class _Found:
    coords: list[Tensor]


@dataclass
class _Config:
    frames: int = FRAMES


class Knowing(nn.Module):
    """Leads points by the true step, wrong by ``bias`` a frame in x; on the way back by ``twist`` more."""

    config, min_side = _Config(), 8

    def __init__(self, bias: float = 0.5, twist: float = 0.0, step: Tensor = STEP):
        super().__init__()
        self.bias, self.twist, self.step = nn.Parameter(torch.tensor(bias)), twist, step

    def encode(self, frames: Tensor) -> Tensor:
        return torch.arange(len(frames)).float().view(-1, 1, 1, 1)

    def predict(self, maps: Tensor, xy: Tensor, iters: int) -> _Found:
        backward = bool(maps[0, 0, 0, 0, 0] > maps[0, -1, 0, 0, 0])
        step = -(self.step + torch.stack((self.bias.detach(), torch.tensor(0.0)))) if backward else self.step.clone()
        step = step + torch.tensor([self.twist, 0.0]) if backward else step + torch.tensor([self.bias.item(), 0.0])
        return _Found([xy[:, None] + torch.arange(FRAMES).view(1, -1, 1, 1) * step])


class Lingering(nn.Module):
    """Leaves points where they are, through windows of 8 frames."""

    config, min_side = _Config(8), 8

    def __init__(self) -> None:
        super().__init__()
        self.parameter = nn.Parameter(torch.zeros(1))

    def encode(self, frames: Tensor) -> Tensor:
        return torch.zeros(len(frames), 1, 1, 1)

    def predict(self, maps: Tensor, xy: Tensor, iters: int) -> _Found:
        return _Found([xy[:, None].expand(-1, 8, -1, -1)])


def sample(window: int, moving: float = 1.0) -> dict[str, Any]:
    """Points that move by the true step over a texture that does; half of them against a dominant motion."""
    generator = torch.Generator().manual_seed(window)
    coarse = torch.rand(1, 3, 24, 30, generator=generator)
    wide = nn.functional.interpolate(coarse, (96, 120), mode="bicubic").clamp(0, 1)[0] * 255
    frames = torch.stack([wide[:, 10 - t : 10 - t + SIZE[0], 20 - 2 * t : 20 - 2 * t + SIZE[1]] for t in range(FRAMES)])
    x, y = torch.meshgrid(torch.arange(10.0, 60, 10), torch.arange(10.0, 50, 10), indexing="xy")
    start = torch.stack((x.flatten(), y.flatten()), dim=1)
    places = start + torch.arange(FRAMES).view(-1, 1, 1) * STEP
    relative = torch.zeros(len(start), 2)
    relative[::2] = 20.0 * moving
    known = torch.ones(FRAMES, len(start), dtype=torch.bool)
    motion = {"flow": places[-1] - places[0], "relative": relative}
    return {"frames": frames.byte(), "places": places, "known": known, **motion, "unit": window}


def judge(original: Knowing, **options: float) -> TrackJudge:
    return TrackJudge([sample(n, **options) for n in range(3)], original, 1, CPU)  # type: ignore[arg-type]


def test_errors_by_hand() -> None:
    found = judge(Knowing(0.5, twist=0.25))
    errors = found.errors(Knowing(1.0))
    # One, two and three steps off, in the three frames after the first.
    assert found.mean(found.original, LABELS) == pytest.approx(0.5 * 2, abs=1e-5)
    assert found.mean(errors, LABELS) == pytest.approx(2, abs=1e-5)
    # The way back goes wrong from where it began: by three, two and one step in frames 0, 1 and 2.
    assert found.mean(found.original, CYCLE) == pytest.approx(0.25 * (2 + 1 + 0) / 3, abs=1e-5)
    assert found.mean(errors, CYCLE) == pytest.approx(0, abs=1e-5)
    assert found.mean(found.errors(Knowing(0.0)), LOOK) < 0.05 < found.mean(errors, LOOK)
    assert found.weights[MOVING].sum() == found.weights[LABELS].sum() / 2
    # In frames that are so small, 2.8 px against the dominant motion are much.
    assert judge(Knowing(0.5), moving=0.1).weights[MOVING].sum() == found.weights[MOVING].sum()
    assert judge(Knowing(0.5), moving=0.03).weights[MOVING].sum() == 0


def test_the_better_model_gains() -> None:
    found = judge(Knowing(0.5))
    better, worse = found.gain(found.errors(Knowing(0.1))), found.gain(found.errors(Knowing(1.5)))
    assert better is not None
    assert worse is not None
    assert worse.value < 0 < better.low
    assert found.moving_share(1.0) == 1
    assert found.moving_share(3.0) == 0


def test_what_is_no_number_is_far_off() -> None:
    found = judge(Knowing(0.5))
    broken = Knowing(float("nan"))
    assert found.mean(found.errors(broken), LABELS) == 20
    assert found.mean(found.errors(broken), LOOK) == 1


def test_nothing_moves_by_itself() -> None:
    found = judge(Knowing(0.5), moving=False)
    assert found.gain(found.errors(Knowing(0.1)), {MOVING: 1.0}) is None


@pytest.mark.parametrize(("speed", "angle"), [(1.0, 0.3), (4.0, 2.5), (12.0, -1.2)])
def test_a_shifted_frame_moves_as_its_points(speed: float, angle: float) -> None:
    frame = torch.randint(0, 256, (3, 120, 140), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    frames, places = shifted(frame, speed, angle, 4)
    height, width = frames.shape[-2:]
    assert places.shape[1] > 10
    assert (places >= 0).all()
    assert (places <= torch.tensor([width - 1, height - 1])).all()
    whole = places.floor().long()
    colours = torch.stack([f[:, p[:, 1], p[:, 0]] for f, p in zip(frames, whole, strict=True)])
    # The same pixel of the frame in every picture.
    assert torch.equal(colours, colours[:1].expand_as(colours))
    step = (places[-1] - places[0]).norm(dim=-1) / 3
    assert (step - speed).abs().max() < 0.5


def test_a_model_that_lost_its_speed_is_found_out() -> None:
    frame = torch.zeros(3, 200, 200, dtype=torch.uint8)
    test = TrackSpeedTest([frame], Knowing(0.0, step=torch.zeros(2)), 1, CPU)  # type: ignore[arg-type]
    assert set(test.original) == {1.0, 4.0, 12.0}
    same = test.gains(copy.deepcopy(Knowing(0.0, step=torch.zeros(2))))  # type: ignore[arg-type]
    assert all(gain.value == pytest.approx(0, abs=1e-6) for gain in same.values())
    worse = test.gains(Knowing(-6.0, step=torch.zeros(2)))  # type: ignore[arg-type]
    assert worse[1.0].value < -1
    small = TrackSpeedTest([frame[:, :16, :16]], Knowing(0.0), 1, CPU)  # type: ignore[arg-type]
    assert set(small.original) == {1.0}


@pytest.mark.parametrize("size", [(120, 160), (128, 160), (144, 160), (168, 320), (192, 164)])
def test_frames_too_small_for_a_speed_leave_it_out_and_judge_by_the_others(size: tuple[int, int]) -> None:
    # Shifted by 7 steps of 12 px, large enough a window may hold no point throughout.
    frames = [torch.zeros(3, *size, dtype=torch.uint8)] * 3
    test = TrackSpeedTest(frames, Lingering(), 1, CPU)  # type: ignore[arg-type]
    assert {1.0, 4.0} <= set(test.original)
    assert all(places.shape[1] >= 8 for clips in test.clips.values() for _, places in clips)
    gains = test.gains(Lingering())  # type: ignore[arg-type]
    assert all(gain.value == 0 for gain in gains.values())
