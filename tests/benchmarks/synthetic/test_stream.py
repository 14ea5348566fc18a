from __future__ import annotations

import pytest
import torch

from refine_motion.benchmarks.synthetic.stream import FlowPairs


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
    assert torch.hypot(*item["flow"]).max() <= 8


def test_depends_on_seed_and_index_alone() -> None:
    first, again, other = (FlowPairs(100, (24, 32), seed=seed) for seed in (1, 1, 2))
    again[3]
    assert all(torch.equal(first[7][name], again[7][name]) for name in first[7])
    assert not torch.equal(first[7]["image_a"], first[8]["image_a"])
    assert not torch.equal(first[7]["image_a"], other[7]["image_a"])


@pytest.mark.parametrize("index", [-1, 5])
def test_ends(index: int) -> None:
    with pytest.raises(IndexError, match="outside"):
        FlowPairs(5, (24, 32))[index]
