from __future__ import annotations

import pytest
import torch

from refine_motion.benchmarks.synthetic.domains import DOMAINS, domain
from refine_motion.benchmarks.synthetic.stream import FlowPairs
from refine_motion.errors import ConfigError
from refine_motion.motion.grid import in_bounds


def test_shapes_and_types() -> None:
    pairs = FlowPairs(length=5, size=(40, 56), seed=3)
    assert len(pairs) == 5
    item = pairs[4]
    assert {name: (tuple(value.shape), value.dtype) for name, value in item.items()} == {
        "image_a": ((3, 40, 56), torch.uint8),
        "image_b": ((3, 40, 56), torch.uint8),
        "flow": ((2, 40, 56), torch.float32),
        "valid": ((1, 40, 56), torch.bool),
    }


@pytest.mark.parametrize("name", DOMAINS)
def test_every_domain_within_the_speed_asked_for(name: str) -> None:
    for max_speed in (None, 3.0):
        pairs = FlowPairs(3, (40, 56), max_speed, seed=3, domain=name)
        bound = domain(name).max_speed if max_speed is None else max_speed
        for item in (pairs[0], pairs[2]):
            assert 0.02 * bound < torch.hypot(*item["flow"]).max() <= bound
            inside = in_bounds(item["flow"][None])
            assert (item["valid"] & ~inside).float().mean() < 0.01
            assert not torch.equal(item["image_a"], item["image_b"])


def test_depends_on_seed_index_and_domain_alone() -> None:
    first, again, other = (FlowPairs(100, (24, 32), seed=seed) for seed in (1, 1, 2))
    again[3]
    assert all(torch.equal(first[7][name], again[7][name]) for name in first[7])
    assert not torch.equal(first[7]["image_a"], first[8]["image_a"])
    assert not torch.equal(first[7]["image_a"], other[7]["image_a"])
    fog = FlowPairs(100, (24, 32), seed=1, domain="fog")
    assert torch.equal(fog[7]["image_b"], FlowPairs(100, (24, 32), seed=1, domain="fog")[7]["image_b"])
    assert not torch.equal(first[7]["image_a"], fog[7]["image_a"])


@pytest.mark.parametrize("index", [-1, 5])
def test_ends(index: int) -> None:
    with pytest.raises(IndexError, match="outside"):
        FlowPairs(5, (24, 32))[index]


def test_unknown_domain_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'mars'; known domains: source"):
        FlowPairs(5, (24, 32), domain="mars")[0]
