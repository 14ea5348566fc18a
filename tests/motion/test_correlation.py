from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from refine_motion.motion.correlation import CorrelationPyramid, all_pairs


def load(path: Path) -> dict[str, torch.Tensor]:
    z = np.load(path)
    return {k: torch.from_numpy(z[k]) for k in z.files if z[k].ndim}


@pytest.mark.parametrize("radius", [3, 4])
@pytest.mark.parametrize(("file", "levels_with_reference"), [("raft_corr_lookup", 3), ("raft_corr_lookup_16x24", 4)])
def test_lookup_equals_official(reference: Path, file: str, levels_with_reference: int, radius: int) -> None:
    z = load(reference / f"{file}.npz")
    size = tuple(z["fmap1"].shape[-2:])
    pyramid = CorrelationPyramid(all_pairs(z["fmap1"], z["fmap2"]), size, 4, radius)
    found = pyramid.lookup(z["coords"])
    # The official sampler divides by zero on the 1x2 level of the smaller file; ours must be finite there.
    assert found.isfinite().all()
    channels = levels_with_reference * (2 * radius + 1) ** 2
    expected = z[f"lookup_r{radius}"][:, :channels]
    assert (found[:, :channels] - expected).abs().max() < 1e-5


def test_pyramid_equals_official(reference: Path) -> None:
    z = load(reference / "raft_corr_lookup.npz")
    pyramid = CorrelationPyramid(all_pairs(z["fmap1"], z["fmap2"]), (12, 16))
    for i, level in enumerate(pyramid.levels):
        assert (level[::16] - z[f"pyramid{i}"]).abs().max() < 1e-5


def test_reverse_direction_is_the_transpose() -> None:
    a, b = torch.rand(2, 1, 8, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(all_pairs(a, b).transpose(1, 2), all_pairs(b, a))


def test_gradients() -> None:
    a, b = torch.rand(2, 1, 3, 4, 4, dtype=torch.float64)
    coords = torch.rand(1, 2, 4, 4, dtype=torch.float64) * 3 + 0.2

    def lookup(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return CorrelationPyramid(all_pairs(x, y), (4, 4), levels=2, radius=1).lookup(coords)

    assert torch.autograd.gradcheck(lookup, (a.requires_grad_(), b.requires_grad_()))
