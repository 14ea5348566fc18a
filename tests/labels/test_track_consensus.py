from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.labels.track_consensus import agree
from refine_motion.labels.track_looks import Ways
from refine_motion.labels.track_rules import PAPER_SIZE

SCALE = 1.5
START = torch.tensor([[100.0, 80.0], [200.0, 120.0]])


def ways(off: tuple[float, float] = (0.0, 0.0), back: float = 0.0, last: int = 7) -> Ways:
    """A look in which two points go right by 2 px a frame, so far off, come back so far down, seen so long."""
    places = START + torch.arange(8.0)[:, None, None] * torch.tensor([2.0, 0.0])
    places[1:] += torch.tensor(off)
    found = places.clone()
    found[0, :, 1] += back
    seen = (torch.arange(8) <= last)[:, None].repeat(1, 2)
    return Ways(places, seen, found, seen.clone(), torch.full((2,), last))


def steps(look: Ways, other: Tensor) -> float:
    return (look.places - other)[1:].norm(dim=-1).max().item()


def test_one_look_is_taken_as_it_is() -> None:
    alone = ways((3.0, 0.0), back=1.0, last=5)
    found = agree([alone], PAPER_SIZE)
    assert found.ways is alone
    assert found.spread.shape == (8, 2)
    assert not found.spread.any()


def test_two_looks_meet_halfway() -> None:
    found = agree([ways((1.0, 0.0), back=2.0), ways((-1.0, 0.0))], PAPER_SIZE)
    torch.testing.assert_close(found.ways.places, ways().places)
    torch.testing.assert_close(found.ways.cycle[0], torch.ones(2))
    torch.testing.assert_close(found.spread[1:], torch.ones(7, 2))
    assert found.ways.seen.all()
    assert found.ways.seen_back.all()


def test_most_looks_outvote_one_however_far_off_it_is() -> None:
    right, wrong = ways(), ways((0.0, 40.0))
    for looks in ([right, right, wrong], [wrong, right, right], [right, wrong, right]):
        found = agree(looks, PAPER_SIZE)
        assert steps(found.ways, right.places) < 1e-3
        torch.testing.assert_close(found.spread[1:], torch.full((7, 2), 40 / math.sqrt(3)), atol=1e-3, rtol=0)
        # Two right there of three are enough.
        assert found.ways.seen_back.all()


def test_a_look_that_never_went_back_from_there_has_no_say_in_where_others_came_back() -> None:
    early, off = ways(last=2), ways(last=6)
    off.back[1:7, :, 1] += 5.0
    found = agree([early, off, ways(last=6)], PAPER_SIZE, [True, True, False])
    torch.testing.assert_close(found.ways.cycle[1:3], torch.full((2, 2), 2.5))
    torch.testing.assert_close(found.ways.cycle[3:7], torch.full((4, 2), 5.0))
    # No way back began so late.
    assert not found.ways.cycle[7].any()
    assert not found.ways.seen_back[7].any()


def test_of_two_looks_both_must_see_it() -> None:
    found = agree([ways(last=3), ways()], PAPER_SIZE)
    assert found.ways.seen[:, 0].tolist() == [True] * 4 + [False] * 4


def test_a_look_that_does_not_place_only_bears_witness() -> None:
    """Two looks place a point half-way between them, wherever the third says that it is."""
    pair = [ways((1.0, 0.0), back=2.0), ways((-1.0, 0.0))]
    for off in (0.0, 0.5, 30.0):
        witness = ways((off, 0.0), back=5.0, last=4)
        found = agree([witness, *pair], PAPER_SIZE, [False, True, True])
        torch.testing.assert_close(found.ways.places, ways().places)
        torch.testing.assert_close(found.ways.cycle[0], torch.ones(2))
        torch.testing.assert_close(found.spread[1:], torch.full((7, 2), math.sqrt((2 + off**2) / 3)))
    # Where the two are too far apart to be believed, it decides; and it has its say on what is seen.
    for off, known in ((0.0, True), (8.0, False)):
        apart = [ways((1.6, 0.0)), ways((-1.6, 0.0)), ways((off, 0.0))]
        found = agree(apart, PAPER_SIZE, [True, True, False])
        torch.testing.assert_close(found.ways.places, ways().places, atol=1e-4, rtol=0)
        assert bool(found.ways.seen_back[1:].all()) is known
        assert bool(found.ways.seen_back[1:].any()) is known
    found = agree([ways(last=3), ways(), ways(last=5)], PAPER_SIZE, [True, True, False])
    assert found.ways.seen[:, 0].tolist() == [True] * 6 + [False] * 2


def test_places_by_hand() -> None:
    """Of -1, 0 and 2 px the median is 0; each look then pulls by its distance over the scale."""
    found = agree([ways((x, 0.0)) for x in (-1.0, 0.0, 2.0)], PAPER_SIZE)
    mode = 0.0
    for _ in range(3):
        weights = [math.exp(-abs(x - mode) / SCALE) for x in (-1.0, 0.0, 2.0)]
        mode = (weights[2] * 2 - weights[0]) / sum(weights)
    expected = ways((mode, 0.0)).places
    torch.testing.assert_close(found.ways.places, expected, atol=1e-4, rtol=1e-6)


def test_the_scale_grows_with_the_frames() -> None:
    large = (2 * PAPER_SIZE[0], 2 * PAPER_SIZE[1])
    small = agree([ways((x, 0.0)) for x in (-1.0, 0.0, 2.0)], PAPER_SIZE)
    twice = agree([ways((x, 0.0)) for x in (-2.0, 0.0, 4.0)], large)
    moved, wanted = [found.ways.places[1, 0, 0].item() - 102 for found in (twice, small)]
    assert moved == pytest.approx(2 * wanted, rel=1e-4)


def test_where_looks_are_apart_the_place_is_not_known() -> None:
    for apart, known in ((2.6, True), (2.9, False)):
        found = agree([ways(), ways((apart, 0.0))], PAPER_SIZE)
        assert bool(found.ways.seen_back[1:].all()) is known
        assert bool(found.ways.seen_back[1:].any()) is known
        # Where a point begins is given.
        assert found.ways.seen_back[0].all()
        # Views that are apart are no reason to say that the ways there and back disagree.
        assert torch.equal(found.ways.seen, found.ways.seen_back)
        assert set(found.ways.ends.tolist()) == ({7} if known else {0})


def test_a_point_is_seen_where_most_looks_see_it() -> None:
    found = agree([ways(last=3), ways(last=5), ways(last=7)], PAPER_SIZE)
    assert found.ways.seen[:, 0].tolist() == [True] * 6 + [False] * 2
    assert found.ways.ends.tolist() == [5, 5]


def test_what_is_not_a_number_has_no_say() -> None:
    good, bad = ways(), ways((math.nan, 0.0))
    found = agree([bad, good, good], PAPER_SIZE)
    torch.testing.assert_close(found.ways.places, good.places)
    assert found.ways.seen_back.all()
    nothing = agree([bad, bad], PAPER_SIZE)
    assert nothing.ways.places[1:].isnan().all()
    assert not nothing.ways.seen_back[1:].any()


offsets = st.tuples(*[st.floats(-30, 30, allow_subnormal=False)] * 2)


@given(st.lists(offsets, min_size=2, max_size=6), st.randoms(use_true_random=False), offsets)
def test_any_order_and_any_shift(looks: list[tuple[float, float]], random: object, shift: tuple[float, float]) -> None:
    found = agree([ways(off) for off in looks], PAPER_SIZE)
    shuffled = looks.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = agree([ways(off) for off in shuffled], PAPER_SIZE)
    moved = agree([ways((x + shift[0], y + shift[1])) for x, y in looks], PAPER_SIZE)
    near = max(math.dist(a, b) for a in looks for b in looks) < SCALE
    for other, off, most in ((again, (0.0, 0.0), 1e-3), (moved, shift, 1e-2)):
        # Half-way between looks that are far apart, rounding decides to which it leans; there, and there alone, no look
        # supports the place and nothing is known.
        known = found.ways.seen_back[1:] & other.ways.seen_back[1:]
        expected = found.ways.places[1:] + torch.tensor(off)
        torch.testing.assert_close(other.ways.places[1:][known], expected[known], atol=most, rtol=0)
        assert bool(known.all()) or not near
    # Within the box of the looks.
    stacked = torch.stack([ways(off).places for off in looks])
    assert (found.ways.places <= stacked.amax(dim=0) + 1e-3).all()
    assert (found.ways.places >= stacked.amin(dim=0) - 1e-3).all()
