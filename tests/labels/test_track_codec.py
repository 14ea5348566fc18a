from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.labels.codec import BACKWARD, COLOUR, CYCLE, GRADIENT, SPREAD
from refine_motion.labels.track_codec import TENSORS, TrackLabel, decode, encode, mean_step
from refine_motion.types import Evidence
from tests.labels.made_tracks import made_tracks, straight


def random_tracks(count: int, speed: float, seed: int = 0, frames: int = 8) -> TrackLabel:
    """Places on a frame of 72x96 and walks of at most so many pixels a frame in x and y."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(1, count, 2, generator=generator) * torch.tensor([95.0, 71.0])
    steps = (torch.rand(frames - 1, count, 2, generator=generator) * 2 - 1) * speed
    places = torch.cat((start, start + steps.cumsum(dim=0)))
    seen, seen_back = torch.rand(2, frames, count, generator=generator) < 0.7
    rest = [10 ** (torch.rand(count, generator=generator) * 4 - 2.5) for _ in range(5)]
    cycle, backward, colour, gradient, spread = rest
    evidence = Evidence(cycle, mean_step(places), backward, colour, gradient, spread, torch.zeros(count))
    return TrackLabel((72, 96), places, seen, seen_back, evidence)


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(0, 20),
    frames=st.integers(2, 9),
    speed=st.floats(0, 4000, allow_subnormal=False),
    seed=st.integers(0, 9),
)
def test_round_trip_within_the_stated_rounding(count: int, frames: int, speed: float, seed: int) -> None:
    label = random_tracks(count, speed, seed, frames)
    found = decode(*encode(label))
    assert found.size == label.size
    assert torch.equal(found.xy, label.xy)
    ways = (label.places - label.places[0]).abs()
    largest = (ways * label.known[..., None]).max().item() if count else 0.0
    # A 64th; from 512 px on a 32nd, from 1024 px on a 16th, and so on.
    step = 2.0**-6
    while largest >= 32767 * step:
        step *= 2
    assert step == 2.0**-6 or largest > 500
    held = (ways <= 32767 * step) | label.known[..., None]
    assert ((found.places - label.places).abs() <= step / 2 + 1e-6 * (largest + 100))[held].all()
    assert torch.equal(found.seen, label.seen)
    assert torch.equal(found.seen_back, label.seen_back)
    assert torch.equal(found.known, label.known)
    torch.testing.assert_close(found.evidence.speed, mean_step(found.places, found.known))
    assert torch.equal(found.dominant, label.dominant)


def test_a_wild_hidden_place_leaves_the_others_as_fine() -> None:
    label = random_tracks(20, 3.0)
    label.seen[5, 7] = False
    label.places[5, 7] = torch.tensor([1e5, -1e5])
    found = decode(*encode(label))
    assert (found.places - label.places).abs()[label.known].max() <= 1 / 128 + 1e-5
    assert found.places.abs().max() < 700


def test_places_stay_between_pixels() -> None:
    # Sub-pixel labels, to a 64th; the first place exactly.
    label = random_tracks(200, 3.0)
    found = decode(*encode(label))
    assert torch.equal(found.places[0], label.places[0])
    assert (found.places - label.places).abs().max() <= 1 / 128 + 1e-5
    assert (found.places[1:] % 1).std() > 0.2


def test_no_track_at_all() -> None:
    label = made_tracks(torch.zeros(8, 0, 2))
    found = decode(*encode(label))
    assert found.places.shape == (8, 0, 2)
    assert found.seen.shape == found.known.shape == (8, 0)
    assert found.evidence.cycle_error.shape == found.evidence.speed.shape == (0,)
    assert found.dominant.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_one_track_by_hand() -> None:
    places = torch.tensor([[[10.25, 20.1]], [[11.75, 20.1]], [[10.25, 24.1]]])
    seen = torch.tensor([[True], [True], [False]])
    label = made_tracks(places, seen, torch.ones_like(seen), size=(30, 40), cycle_error=torch.tensor([2.0]))
    tensors, header = encode(label)
    assert tuple(tensors) == TENSORS
    assert tensors["steps"].tolist() == [[[96, 0]], [[0, 256]]]
    assert tensors["seen"].tolist() == [0b111011]
    assert (header["height"], header["width"], header["kept"], header["step_bits"]) == ("30", "40", "1", "6")
    found = decode(tensors, header)
    torch.testing.assert_close(found.places, places)
    # Not seen in the last frame, the point goes on as it went.
    torch.testing.assert_close(found.flow, torch.tensor([[3.0, 0.0]]))
    assert found.seen.tolist() == found.known.tolist() == seen.tolist()
    assert found.seen_back.all()
    assert found.evidence.cycle_error.item() == pytest.approx(2, abs=0.05)
    assert found.evidence.speed.item() == pytest.approx(1.5)


def test_a_large_displacement_is_neither_dropped_nor_wrapped_and_makes_the_others_coarser() -> None:
    label = made_tracks(straight(torch.tensor([[-430.25, 0.0], [0.3, 0.1]])))
    found = decode(*encode(label))
    assert (found.places - label.places).abs().max() <= 1 / 16
    assert found.flow[0, 0].item() == pytest.approx(-3011.75, abs=1 / 16)
    assert (found.places[:, 1] - label.places[:, 1]).abs().max() > 1 / 128


def test_evidence_is_kept_within_the_stated_share() -> None:
    label = random_tracks(2000, 5.0)
    found = decode(*encode(label)).evidence
    for name, quantiser, tolerance in (
        ("cycle_error", CYCLE, 0.02),
        ("backward_speed", BACKWARD, 0.11),
        ("colour_error", COLOUR, 0.1),
        ("gradient", GRADIENT, 0.38),
        ("spread", SPREAD, 0.35),
    ):
        true, read = getattr(label.evidence, name), getattr(found, name)
        inside = true <= quantiser.high
        assert inside.sum() > 500
        assert ((read - true).abs() <= tolerance * (true + quantiser.knee))[inside].all()
    assert not found.boundary.any()


@settings(max_examples=20, deadline=None)
@given(frames=st.integers(2, 9), count=st.integers(0, 12), seed=st.integers(0, 99))
def test_what_is_seen_takes_a_bit(frames: int, count: int, seed: int) -> None:
    label = random_tracks(count, 1.0, seed, frames)
    tensors, header = encode(label)
    assert len(tensors["seen"]) == -(-2 * frames * count // 8)
    tensors["seen"] = torch.cat((tensors["seen"], torch.zeros(1, dtype=torch.uint8)))
    with pytest.raises(ValueError, match="visibility"):
        decode(tensors, header)


@pytest.mark.parametrize("tensor", ["xy", "cycle", "evidence"])
def test_parts_of_another_label_are_refused(tensor: str) -> None:
    tensors, header = encode(random_tracks(5, 1.0))
    tensors[tensor] = encode(random_tracks(6, 1.0))[0][tensor]
    with pytest.raises(ValueError, match="differ in number"):
        decode(tensors, header)


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_places_that_are_not_finite_are_refused(wrong: float) -> None:
    label = random_tracks(5, 1.0)
    label.places[3, 2, 1] = wrong
    with pytest.raises(ValueError, match="finite"):
        encode(label)


def test_motion_and_views_come_back_exactly() -> None:
    motion = torch.tensor([[0.1, 1e-9, -3.0], [2 / 3, 1e7, 0.0]])
    found = decode(*encode(replace(random_tracks(5, 1.0), motion=motion, views="1x + linked")))
    assert torch.equal(found.dominant, motion)
    assert found.views == "1x + linked"


def test_motion_against_the_dominant_one_is_that_of_the_whole_label() -> None:
    # Nine tenths go to the right by 2 px a frame, the last ten down.
    steps = torch.tensor([[2.0, 0.0]]).repeat(100, 1)
    steps[90:] = torch.tensor([0.0, 3.0])
    start = torch.rand(100, 2, generator=torch.Generator().manual_seed(0)) * 60
    label = made_tracks(straight(steps, start=start))
    torch.testing.assert_close(label.dominant, torch.tensor([[0.0, 0, 14], [0, 0, 0]]), atol=1e-3, rtol=0)
    assert label.relative[:90].norm(dim=1).max() < 0.1
    torch.testing.assert_close(label.relative[90:], torch.tensor([[-14.0, 21.0]]).repeat(10, 1), atol=0.1, rtol=0)
    for chosen in (torch.arange(100) >= 90, torch.arange(90, 100)):
        part = label.keep(chosen)
        assert torch.equal(part.places, label.places[:, 90:])
        assert torch.equal(part.relative, label.relative[90:])
        assert len(part.evidence.speed) == part.seen.shape[1] == part.seen_back.shape[1] == 10


def test_mean_step_by_hand() -> None:
    places = torch.tensor([[[0.0, 0.0], [1.0, 1.0]], [[3.0, 4.0], [1.0, 1.0]], [[3.0, 5.0], [1.0, 1.0]]])
    assert mean_step(places).tolist() == [3, 0]
    hidden = torch.tensor([[True, True], [False, False], [True, False]])
    # Straight from the first place to the last, in two steps; and nothing after the first.
    assert mean_step(places, hidden).tolist() == [pytest.approx(34**0.5 / 2), 0]
