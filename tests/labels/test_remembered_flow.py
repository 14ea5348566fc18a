from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from refine_motion.labels.remembered_flow import RememberedFlow
from refine_motion.labels.track_looks import TrackerLook
from refine_motion.labels.views import View
from refine_motion.models.base import FlowModel, FrameFeatures
from refine_motion.models.linked_flow import LinkedFlow
from refine_motion.models.load import load_flow_model


def counting(model: FlowModel) -> list[str]:
    """What is asked of a model from now on."""
    asked: list[str] = []
    encode, match_both = model.encode, model.match_both

    def encode_too(frames: Tensor) -> FrameFeatures:
        asked.append("encode")
        return encode(frames)

    def match_too(*args: object) -> tuple[Tensor, Tensor]:
        asked.append("match")
        return match_both(*args)  # type: ignore[arg-type]

    model.encode, model.match_both = encode_too, match_too  # type: ignore[assignment, method-assign]
    return asked


def test_ways_are_those_of_the_model_itself_at_a_fraction_of_the_work(untrained: Path) -> None:
    frames = torch.randint(0, 256, (4, 3, 64, 72), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    xy = torch.tensor([[20.0, 30.0], [50.0, 12.0]])
    model = LinkedFlow(load_flow_model("raft_small", untrained), iters=2)
    queries = torch.cat((torch.zeros(2, 1), xy), dim=1)
    wanted = model.track(frames, queries)
    asked = counting(model.flow)
    look = TrackerLook(model, frames, View())
    for _ in range(2):
        ways = look.ways(xy, follow_hidden=True)
        assert torch.allclose(ways.places, wanted.xy, atol=1e-4)
    # Distances of 1 and 2 frames among 4, both directions at once.
    assert asked.count("encode") == 4
    assert asked.count("match") == 5


def test_both_directions_of_a_pair(untrained: Path) -> None:
    flow = load_flow_model("raft_small", untrained)
    model = RememberedFlow(flow)
    frames = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    a, b = (model.encode(frame[None]) for frame in frames)
    there, back = model.match_both(a, b, 2)
    again_back, again_there = model.match_both(b, a, 2)
    assert torch.equal(there, again_there)
    assert torch.equal(back, again_back)
    assert torch.equal(model.flow(frames[:1], frames[1:], 2), flow.flow(frames[:1], frames[1:], 2))
