from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.motion import on_demand
from refine_motion.motion.correlation import CorrelationPyramid, all_pairs, pyramid_bytes
from refine_motion.motion.on_demand import OnDemandCorrelation


@pytest.mark.parametrize("radius", [3, 4])
@pytest.mark.parametrize(("file", "levels_with_reference"), [("raft_corr_lookup", 3), ("raft_corr_lookup_16x24", 4)])
def test_lookup_equals_official(reference: Path, file: str, levels_with_reference: int, radius: int) -> None:
    z = np.load(reference / f"{file}.npz")
    a, b, coords = (torch.from_numpy(z[name]) for name in ("fmap1", "fmap2", "coords"))
    found = OnDemandCorrelation(a, b, 4, radius).lookup(coords)
    channels = levels_with_reference * (2 * radius + 1) ** 2
    assert found.isfinite().all()
    assert (found[:, :channels] - torch.from_numpy(z[f"lookup_r{radius}"])[:, :channels]).abs().max() < 1e-5


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31), st.integers(8, 13), st.integers(8, 13), st.integers(1, 2), st.sampled_from([2.0, 40.0, 1e9])
)
def test_equals_all_pairs_wherever_it_looks(seed: int, height: int, width: int, batch: int, far: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, batch, 5, height, width, generator=generator, dtype=torch.float64)
    coords = torch.randn(batch, 2, height, width, generator=generator, dtype=torch.float64) * far
    expected = CorrelationPyramid(all_pairs(a, b), (height, width), 4, 2).lookup(coords)
    found = OnDemandCorrelation(a, b, 4, 2, torch.float64).lookup(coords)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_gradients_of_features_and_coordinates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_demand, "_CHUNK", 100)  # several chunks
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 2, 2, 3, 4, generator=generator, dtype=torch.float64)
    coords = torch.rand(2, 2, 3, 4, generator=generator, dtype=torch.float64) * 3 + 0.1

    def lookup(a: Tensor, b: Tensor, coords: Tensor) -> Tensor:
        return OnDemandCorrelation(a, b, levels=2, radius=1, dtype=torch.float64).lookup(coords)

    assert torch.autograd.gradcheck(lookup, (a.requires_grad_(), b.requires_grad_(), coords.requires_grad_()))


def test_products_in_half_precision_are_near_and_read_in_float32() -> None:
    a, b = torch.randn(2, 1, 32, 8, 8)
    coords = torch.rand(1, 2, 8, 8) * 8
    exact = OnDemandCorrelation(a, b, 2, 2).lookup(coords)
    rough = OnDemandCorrelation(a, b, 2, 2, torch.bfloat16).lookup(coords)
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < 0.1
    assert all_pairs(a, b, torch.bfloat16).dtype == torch.float32


def test_bytes_of_a_pyramid_are_those_of_its_levels() -> None:
    features = torch.rand(2, 3, 16, 24)
    pyramid = CorrelationPyramid(all_pairs(features, features), (16, 24))
    assert pyramid_bytes(2, 16 * 24) == sum(level.numel() * 4 for level in pyramid.levels)
