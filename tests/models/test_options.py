from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.models.base import FlowModel
from refine_motion.models.options import MatchOptions
from refine_motion.models.registry import build_model


@pytest.fixture(scope="module", params=["raft_small", "raft_large"])
def model(request: pytest.FixtureRequest) -> FlowModel:
    torch.manual_seed(0)
    return build_model(request.param).eval()


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    a, b = torch.randint(0, 256, (2, 2, 3, 64, 72), dtype=torch.uint8, generator=generator)
    return a, b


def gradients(
    model: FlowModel, pair: tuple[Tensor, Tensor], options: MatchOptions
) -> tuple[list[Tensor], list[Tensor]]:
    model.options = options
    flows = model.flow_sequence(*pair, iters=3)
    wanted = [p for p in model.parameters() if p.requires_grad]
    return [f.detach() for f in flows], list(torch.autograd.grad(sum(f.abs().mean() for f in flows), wanted))


@pytest.mark.parametrize(
    "options",
    [
        MatchOptions(correlation="on_demand"),
        MatchOptions(checkpointing=True),
        MatchOptions("on_demand", checkpointing=True),
    ],
)
def test_memory_options_change_neither_flow_nor_gradients(
    model: FlowModel, pair: tuple[Tensor, Tensor], options: MatchOptions
) -> None:
    flows, expected = gradients(model, pair, MatchOptions(correlation="all_pairs"))
    other_flows, found = gradients(model, pair, options)
    for one, two in zip(flows, other_flows, strict=True):
        torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-3)
    for one, two in zip(expected, found, strict=True):
        assert (one - two).norm() <= 1e-3 * one.norm() + 1e-6


def test_both_directions_on_demand_equal_all_pairs(model: FlowModel, pair: tuple[Tensor, Tensor]) -> None:
    with torch.no_grad():
        a, b = (model.encode(frames) for frames in pair)
        model.options = MatchOptions(correlation="all_pairs")
        expected = model.match_both(a, b, 3)
        model.options = MatchOptions(correlation="on_demand")
        found = model.match_both(a, b, 3)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_auto_goes_by_size(pair: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model("raft_small").eval()

    def refuse(*args: object) -> None:
        raise AssertionError("on demand")

    monkeypatch.setattr("refine_motion.models.raft.OnDemandCorrelation", refuse)
    # Two samples of 8 x 9 cells: 2 x 72^2 x 4 bytes and a third of it for the coarser levels, 53.8 KiB.
    model.options = MatchOptions(memory_limit=54 / 2**20)
    model.flow(*pair, iters=1)
    model.options = MatchOptions(memory_limit=53 / 2**20)
    with pytest.raises(AssertionError, match="on demand"):
        model.flow(*pair, iters=1)


@pytest.mark.parametrize("correlation", ["all_pairs", "on_demand"])
def test_correlation_in_the_autocast_type_is_near_the_float32_one(
    pair: tuple[Tensor, Tensor], correlation: str
) -> None:
    torch.manual_seed(0)
    model = build_model("raft_small").eval()
    flows = {}
    for dtype in ("float32", "autocast"):
        model.options = MatchOptions(correlation=correlation, correlation_dtype=dtype)
        with torch.autocast("cpu", torch.bfloat16):
            flows[dtype] = model.flow(*pair, iters=2)
        assert flows[dtype].dtype == torch.float32
    difference = (flows["float32"] - flows["autocast"]).abs().mean()
    assert 0 < difference < 0.1 * flows["float32"].abs().mean()


def test_a_sample_stops_by_itself(pair: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    model = build_model("raft_small").eval()
    # The second sample is two equal frames without texture: it comes to rest at another time than the first.
    a = torch.stack((pair[0][0], torch.full_like(pair[0][0], 127)))
    b = torch.stack((pair[1][0], torch.full_like(pair[0][0], 127)))
    with torch.no_grad():
        features_a, features_b = model.encode(a), model.encode(b)
        steps = [model.match_both(features_a, features_b, i)[0] for i in range(1, 7)]
        moved = [(y - x).norm(dim=1).mean(dim=(1, 2)) for x, y in pairwise(steps)]
        tolerance = float(sorted(torch.cat(moved).tolist())[len(moved)])
        together = model.match_both(features_a, features_b, 6, tolerance)[0]
        alone = torch.cat([model.match_both(features_a[[i]], features_b[[i]], 6, tolerance)[0] for i in range(2)])
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
        assert torch.equal(model.match_both(features_a, features_b, 6, 1e9)[0], steps[0])
        assert torch.equal(model.match_both(features_a, features_b, 6, 0.0)[0], steps[-1])
        assert not torch.equal(together, steps[-1])


@pytest.mark.parametrize("wrong", [{"correlation": "some"}, {"correlation_dtype": "float16"}, {"memory_limit": 0.0}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"matching.{next(iter(wrong))}"):
        MatchOptions(**wrong)  # type: ignore[arg-type]
