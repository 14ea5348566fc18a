from __future__ import annotations

import zlib
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.labels.codec import (
    BACKWARD,
    COLOUR,
    CYCLE,
    GRADIENT,
    SPREAD,
    FlowLabel,
    LogQuantiser,
    decode,
    encode,
)
from refine_motion.types import Evidence


def make_label(size: tuple[int, int], share: float, speed: float, seed: int = 0) -> FlowLabel:
    generator = torch.Generator().manual_seed(seed)
    index = (torch.rand(size[0] * size[1], generator=generator) < share).nonzero().flatten()
    flow = (torch.rand(len(index), 2, generator=generator) * 2 - 1) * speed
    rest = [10 ** (torch.rand(len(index), generator=generator) * 4 - 2.5) for _ in range(5)]
    boundary = (torch.rand(len(index), generator=generator) < 0.3).float()
    return FlowLabel(size, index, flow, Evidence(rest[0], flow.norm(dim=1), *rest[1:], boundary))


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    share=st.floats(0, 1, allow_subnormal=False),
    speed=st.floats(0, 4000, allow_subnormal=False),
    seed=st.integers(0, 9),
)
def test_round_trip_within_the_stated_rounding(height: int, width: int, share: float, speed: float, seed: int) -> None:
    label = make_label((height, width), share, speed, seed)
    found = decode(*encode(label))
    assert found.size == label.size
    assert torch.equal(found.index, label.index)
    half_step = 2.0 ** -min(6, 14 - max(0.0, torch.tensor(max(speed, 1e-9)).log2().floor().item())) / 2
    assert ((found.flow - label.flow).abs() <= half_step + 1e-6 * speed).all()
    torch.testing.assert_close(found.evidence.speed, found.flow.norm(dim=1))


def test_flow_up_to_512_px_is_kept_to_a_64th() -> None:
    label = make_label((40, 50), 1.0, 511.9)
    assert (decode(*encode(label)).flow - label.flow).abs().max() <= 1 / 128


def test_large_flow_is_neither_dropped_nor_wrapped() -> None:
    label = make_label((4, 4), 1.0, 1.0)
    label.flow[3] = torch.tensor([-3000.25, 2999.75])
    torch.testing.assert_close(decode(*encode(label)).flow[3], label.flow[3], atol=0.1, rtol=0)


def test_evidence_is_kept_within_the_stated_share() -> None:
    label = make_label((60, 60), 0.7, 5.0)
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


@pytest.mark.parametrize("boundary", [0.0, 1.0])
def test_no_kind_of_evidence_spills_into_another(boundary: float) -> None:
    names = ("cycle_error", "backward_speed", "colour_error", "gradient", "spread")
    for largest in names:
        fields = dict.fromkeys(names, torch.zeros(1)) | {largest: torch.full((1,), 1e9)}
        evidence = Evidence(speed=torch.zeros(1), boundary=torch.full((1,), boundary), **fields)
        found = decode(*encode(FlowLabel((1, 1), torch.zeros(1).long(), torch.zeros(1, 2), evidence))).evidence
        assert [name for name in names if getattr(found, name) > 0] == [largest]
        assert found.boundary.tolist() == [boundary]
        assert found.speed.tolist() == [0]


def test_motion_and_views_come_back_exactly() -> None:
    label = make_label((30, 40), 0.4, 5.0)
    found = decode(*encode(label))
    assert torch.equal(found.dominant, label.dominant)
    assert found.views == "1x"
    motion = torch.tensor([[0.1, 1e-9, -3.0], [2 / 3, 1e7, 0.0]])
    found = decode(*encode(replace(label, motion=motion, views="2x, 2x flip")))
    assert torch.equal(found.dominant, motion)
    assert found.views == "2x, 2x flip"


def test_motion_against_the_dominant_one() -> None:
    # Nine tenths of a frame of 20x30 turn about its corner, the last two rows move otherwise.
    index = torch.arange(600)
    x, y = (index % 30).float(), (index // 30).float()
    flow = torch.stack((-0.02 * y, 0.02 * x), dim=1)
    flow[540:] = torch.tensor([9.0, 0.0])
    label = FlowLabel((20, 30), index, flow, Evidence(*[torch.zeros(600)] * 7))
    assert torch.equal(label.xy, torch.stack((x, y), dim=1))
    torch.testing.assert_close(label.dominant, torch.tensor([[0, -0.02, 0], [0.02, 0, 0]]), atol=1e-4, rtol=0)
    assert label.relative[:540].abs().max() < 1e-2
    torch.testing.assert_close(
        label.relative[540:], torch.stack((9 + 0.02 * y, -0.02 * x), dim=1)[540:], atol=1e-2, rtol=0
    )
    # Of a part, the dominant motion is still that of the whole.
    part = label.keep(index >= 540)
    assert torch.equal(part.dominant, label.dominant)
    assert torch.equal(part.relative, label.relative[540:])


def test_positions_are_unpacked_when_they_are_asked_for() -> None:
    tensors, header = encode(make_label((30, 40), 0.4, 5.0))
    whole = decode(tensors, header)
    tensors["position"] = torch.zeros(3, dtype=torch.uint8)
    assert torch.equal(decode(tensors, header).evidence.cycle_error, whole.evidence.cycle_error)
    with pytest.raises(zlib.error):
        _ = decode(tensors, header).index
    other, _ = encode(make_label((30, 40), 0.5, 5.0))
    tensors["position"] = other["position"]
    with pytest.raises(ValueError, match="differ in number"):
        _ = decode(tensors, header).index


def test_rounding_never_crosses_the_papers_colour_threshold() -> None:
    below, above = COLOUR.decode(COLOUR.encode(torch.tensor([1.27499, 1.27501])))
    assert below < 1.275 < above
    errors = torch.linspace(0, 20, 2001)
    assert torch.equal(COLOUR.decode(COLOUR.encode(errors)) < 1.275, errors < 1.275)


def test_quantiser_ends() -> None:
    # Four octaves in fifteen steps.
    q = LogQuantiser(1.0, 15.0, 4)
    assert q.encode(torch.tensor([0.0, 0.05, 0.2, 15.0, 1e9, torch.inf])).tolist() == [0, 0, 1, 15, 15, 15]
    torch.testing.assert_close(q.decode(torch.tensor([0, 1, 15])), torch.tensor([0.0, 2 ** (4 / 15) - 1, 15.0]))
    levels = torch.arange(16)
    assert torch.equal(q.encode(q.decode(levels)).long(), levels)


def test_dense_form() -> None:
    label = make_label((6, 7), 0.5, 3.0)
    flow, valid = label.dense()
    assert valid.sum() == len(label.index)
    torch.testing.assert_close(flow.flatten(1)[:, label.index].T, label.flow)
    assert (flow[:, ~valid[0]] == 0).all()
