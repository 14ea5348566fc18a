from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.corrflow.quantise import (
    PUBLISHED_CENTROIDS,
    chroma,
    fit_centroids,
    nearest_centroid,
    quantise,
)
from refine_motion.errors import ConfigError

PUBLISHED = torch.tensor(PUBLISHED_CENTROIDS)
VALUES = st.floats(-100, 100, allow_subnormal=False, width=32)


def clusters(count: int = 200, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pixels around 16 centres on a grid, and the centres."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.cartesian_prod(torch.arange(-60.0, 61, 40), torch.arange(-60.0, 61, 40))
    return (centres[:, None] + torch.randn(16, count, 2, generator=generator)).flatten(0, 1), centres


class TestIds:
    @settings(max_examples=50, deadline=None)
    @given(a=VALUES, b=VALUES)
    def test_no_centroid_is_nearer(self, a: float, b: float) -> None:
        pixel = torch.tensor([a, b], dtype=torch.float64)
        chosen = nearest_centroid(pixel.float().view(2, 1, 1), PUBLISHED).item()
        distance = (PUBLISHED.double() - pixel).norm(dim=1)
        assert distance[chosen] <= distance.min() + 1e-3

    def test_shapes(self) -> None:
        frames = torch.zeros(2, 3, 3, 8, 10, dtype=torch.uint8)
        assert chroma(frames).shape == (2, 3, 2, 8, 10)
        ids = quantise(frames, PUBLISHED)
        assert ids.shape == (2, 3, 8, 10)
        assert ids.dtype == torch.int64
        # Black has no colour, and the last of the centroids is the one next to none.
        assert (ids == 15).all()

    def test_lightness_does_not_count(self) -> None:
        ids = quantise(torch.arange(256).expand(3, 1, 256).to(torch.uint8), PUBLISHED)
        assert (ids == 15).all()


class TestFit:
    def test_clusters_are_found(self) -> None:
        pixels, centres = clusters()
        found = fit_centroids(pixels)
        nearest = torch.cdist(centres, found).min(dim=1)
        assert nearest.indices.unique().numel() == 16
        assert nearest.values.max() < 0.3

    def test_the_same_pixels_give_the_same_centroids(self) -> None:
        pixels = torch.randn(3000, 2, generator=torch.Generator().manual_seed(0)) * 30
        assert torch.equal(fit_centroids(pixels), fit_centroids(pixels.clone()))
        assert not torch.equal(fit_centroids(pixels), fit_centroids(pixels, seed=1))

    def test_nothing_moves_any_more(self) -> None:
        pixels = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * 30
        found = fit_centroids(pixels, count=5)
        ids = nearest_centroid(pixels.T[..., None], found).flatten()
        means = torch.stack([pixels[ids == label].mean(dim=0) for label in range(5)])
        torch.testing.assert_close(found, means, rtol=0, atol=1e-3)

    def test_as_many_colours_as_centroids(self) -> None:
        colours = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0))
        found = fit_centroids(colours.repeat(10, 1))
        assert {tuple(row) for row in found.tolist()} == {tuple(row) for row in colours.tolist()}

    def test_too_few_colours(self) -> None:
        with pytest.raises(ConfigError, match="1 different colours, and 16 centroids"):
            fit_centroids(torch.zeros(1000, 2))


def test_reference(reference: Path) -> None:
    z = np.load(reference / "corrflow_quantise.npz")
    torch.testing.assert_close(PUBLISHED, torch.from_numpy(z["centroids_ab"]), rtol=1e-6, atol=0)
    ids = quantise(torch.from_numpy(z["image_rgb"]).permute(2, 0, 1), PUBLISHED).numpy()
    assert np.array_equal(ids, z["ids"])
