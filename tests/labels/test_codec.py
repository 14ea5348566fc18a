from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.labels.codec import (
    BACKWARD,
    COLOUR,
    CYCLE,
    EVIDENCE_TENSORS,
    GRADIENT,
    FlowLabel,
    LogQuantiser,
    decode,
    decode_evidence,
    encode,
)
from refine_motion.types import Evidence


def make_label(size: tuple[int, int], share: float, speed: float, seed: int = 0) -> FlowLabel:
    generator = torch.Generator().manual_seed(seed)
    index = (torch.rand(size[0] * size[1], generator=generator) < share).nonzero().flatten()
    flow = (torch.rand(len(index), 2, generator=generator) * 2 - 1) * speed
    rest = [10 ** (torch.rand(len(index), generator=generator) * 4 - 2.5) for _ in range(4)]
    return FlowLabel(size, index, flow, Evidence(rest[0], flow.norm(dim=1), rest[1], rest[2], rest[3]))


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
        ("backward_speed", BACKWARD, 0.081),
        ("colour_error", COLOUR, 0.06),
        ("gradient", GRADIENT, 0.18),
    ):
        true, read = getattr(label.evidence, name), getattr(found, name)
        inside = true <= quantiser.high
        assert inside.sum() > 500
        assert ((read - true).abs() <= tolerance * (true + quantiser.knee))[inside].all()


def test_evidence_alone_is_that_of_the_whole_label() -> None:
    tensors, header = encode(make_label((30, 40), 0.4, 5.0))
    size, evidence = decode_evidence({name: tensors[name] for name in EVIDENCE_TENSORS}, header)
    assert size == (30, 40)
    for name, values in vars(decode(tensors, header).evidence).items():
        assert torch.equal(getattr(evidence, name), values)


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
