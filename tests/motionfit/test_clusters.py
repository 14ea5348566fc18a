from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.errors import ConfigError, LabelError
from refine_motion.motionfit.clusters import ClusterSettings, FeatureClusters, fit_clusters


def features(count: int = 120, dimensions: int = 12, kinds: int = 6, seed: int = 0) -> Tensor:
    """Around as many directions as there are kinds, in turn."""
    generator = torch.Generator().manual_seed(seed)
    centres = 4 * torch.randn(kinds, dimensions, generator=generator)
    return centres[torch.arange(count) % kinds] + 0.3 * torch.randn(count, dimensions, generator=generator)


def equal(one: FeatureClusters, two: FeatureClusters) -> bool:
    pairs = [(getattr(one, name), getattr(two, name)) for name in ("centroids", "mean", "projection")]
    return all(a is b is None or torch.equal(a, b) for a, b in pairs)


SETTINGS = [ClusterSettings(6), ClusterSettings(6, components=5), ClusterSettings(6, components=5, whiten=False)]


@pytest.mark.parametrize("chosen", SETTINGS, ids=["plain", "whitened", "pca"])
class TestEveryWay:
    def test_kinds_are_found(self, chosen: ClusterSettings) -> None:
        found = fit_clusters(features(), chosen).assign(features()).ids.view(-1, 6)
        assert (found == found[0]).all()
        assert found[0].unique().numel() == 6

    def test_the_same_features_and_seed_give_the_same(self, chosen: ClusterSettings) -> None:
        noise = torch.randn(200, 12, generator=torch.Generator().manual_seed(1))
        assert equal(fit_clusters(noise, chosen), fit_clusters(noise.clone(), chosen))
        other = ClusterSettings(chosen.count, chosen.components, chosen.whiten, seed=1, starts=1)
        assert not torch.equal(fit_clusters(noise, chosen).centroids, fit_clusters(noise, other).centroids)

    def test_the_nearest_centroid_by_brute_force(self, chosen: ClusterSettings) -> None:
        noise = torch.randn(200, 12, generator=torch.Generator().manual_seed(1))
        clusters = fit_clusters(noise, chosen)
        labels, prepared = clusters.assign(noise), clusters.prepared(noise)
        torch.testing.assert_close(prepared.norm(dim=1), torch.ones(200, dtype=torch.float64))
        for row, label, sure in zip(prepared, labels.ids, labels.confidence, strict=True):
            away = [(row - centroid).square().sum().sqrt().item() for centroid in clusters.centroids]
            first, second = sorted(away)[:2]
            assert away.index(first) == label
            assert sure.item() == pytest.approx(1 - first / second, abs=1e-6)
        assert labels.ids.unique().numel() == 6

    def test_whatever_else_is_asked_for(self, chosen: ClusterSettings) -> None:
        """So that labelling in parts, broken off and gone on with, gives what one go gives."""
        clusters, more = fit_clusters(features(), chosen), features(seed=3)
        whole = clusters.assign(more)
        parts = [clusters.assign(part) for part in more.split([1, 7, 112])]
        assert torch.equal(torch.cat([part.ids for part in parts]), whole.ids)
        assert torch.equal(torch.cat([part.confidence for part in parts]), whole.confidence)


@pytest.mark.slow
def test_any_number_of_threads() -> None:
    """In processes of their own, since a library reads its number of threads when it is loaded."""
    code = (
        "import sys, torch; from refine_motion.motionfit.clusters import *\n"
        "x = torch.randn(3000, 40, generator=torch.Generator().manual_seed(0))\n"
        "c = fit_clusters(x, ClusterSettings(20, components=16, starts=2)); y = c.assign(x)\n"
        "for t in (c.centroids, c.mean, c.projection, y.ids, y.confidence):\n"
        "    sys.stdout.buffer.write(t.numpy().tobytes())"
    )
    found = []
    for threads in ("1", "3"):
        variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **variables}, capture_output=True, check=True
        )
        found.append(done.stdout)
    assert found[0] == found[1]
    assert len(found[0]) > 3000 * 12


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 3), st.data())
def test_no_cluster_is_empty(seed: int, dimensions: int, data: st.DataObject) -> None:
    """Few places that many features share, and up to as many clusters as places."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(-2, 3, (30, dimensions), generator=generator).float()
    different = len(FeatureClusters(torch.zeros(2, 1)).prepared(drawn).unique(dim=0))
    if different < 2:
        return
    count = data.draw(st.integers(2, different))
    clusters = fit_clusters(drawn, ClusterSettings(count, starts=1, seed=seed))
    assert clusters.assign(drawn).ids.unique().tolist() == list(range(count))


# Scaled by a tenth, what is smaller may be no normal number, which is flushed to 0 and has no direction.
_NUMBERS = st.floats(-1e3, 1e3, allow_subnormal=False).filter(lambda value: value == 0 or abs(value) > 1e-306)


class TestConfidence:
    clusters = FeatureClusters(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64))

    def test_by_hand(self) -> None:
        found = self.clusters.assign(torch.tensor([[3.0, 0.0], [2.0, 2.0], [3.0, 4.0], [0.0, 0.0]]))
        # On a centroid; halfway; 3 4 5, at distances of sqrt(0.4) and sqrt(0.8); no direction at all.
        assert found.ids.tolist() == [0, 0, 1, 0]
        assert found.confidence.tolist() == pytest.approx([1, 0, 1 - 0.5**0.5, 0], abs=1e-6)

    @given(st.lists(_NUMBERS, min_size=2, max_size=2), st.floats(0.1, 100))
    @example([0.0, 7.022410536452681e-154], 0.125)
    def test_in_bounds_and_of_the_direction_alone(self, values: list[float], scale: float) -> None:
        one = torch.tensor([values], dtype=torch.float64)
        found, scaled = self.clusters.assign(one), self.clusters.assign(scale * one)
        assert 0 <= found.confidence <= 1
        torch.testing.assert_close(found.confidence, scaled.confidence, rtol=0, atol=1e-6)

    def test_two_centroids_in_one_place(self) -> None:
        same = FeatureClusters(torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64))
        found = same.assign(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        assert (found.ids.tolist(), found.confidence.tolist()) == ([0, 0], [0, 0])


def test_whitening_is_that_of_the_covariance() -> None:
    drawn = features() * torch.tensor([10.0, *[1.0] * 11])
    clusters = fit_clusters(drawn, ClusterSettings(6, components=8))
    assert clusters.mean is not None
    assert clusters.projection is not None
    projected = (drawn.double() - clusters.mean) @ clusters.projection.T
    torch.testing.assert_close(projected.T.cov(), torch.eye(8, dtype=torch.float64), rtol=0, atol=1e-6)
    plain = fit_clusters(drawn, ClusterSettings(6, components=8, whiten=False)).projection
    assert plain is not None
    torch.testing.assert_close(plain @ plain.T, torch.eye(8, dtype=torch.float64), rtol=0, atol=1e-9)


def test_settings_that_are_refused() -> None:
    for wrong, told in ({"count": 1}, "count must be at least 2"), ({"starts": 0}, "starts must be at least 1"):
        with pytest.raises(ConfigError, match=rf"clusters\.{told}, got"):
            ClusterSettings(**wrong)
    with pytest.raises(ConfigError, match=r"clusters\.components must be at least 1, or none, got 0"):
        ClusterSettings(components=0)


def test_features_that_are_refused() -> None:
    one = torch.ones(30, 4) * torch.arange(1.0, 31)[:, None]
    # All of one direction, however long.
    with pytest.raises(ConfigError, match="count is 2, and the 30 features show 1 different ones; set it lower"):
        fit_clusters(one.exp2(), ClusterSettings(2))
    with pytest.raises(ConfigError, match="components is 5, and 30 features of 4 numbers have 4 at most"):
        fit_clusters(one, ClusterSettings(2, components=5))
    with pytest.raises(ConfigError, match="components is 2, and the features vary in 1 directions; set it to 1 or"):
        fit_clusters(one, ClusterSettings(2, components=2))
    with pytest.raises(LabelError, match="all features are alike"):
        fit_clusters(torch.ones(5, 4), ClusterSettings(2, components=1))
    broken = features()
    broken[3, 2], broken[7, 0] = torch.nan, torch.inf
    for act in (lambda: fit_clusters(broken, SETTINGS[1]), lambda: TestConfidence.clusters.assign(broken[:, :2])):
        with pytest.raises(LabelError, match=r"of 120 features are not finite; train the teacher again"):
            act()


def test_clusters_of_a_part_take_in_the_rest() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(4).repeat_interleave(50, dim=0)
    features = centres + 0.01 * torch.randn(200, 4, generator=generator)
    found = fit_clusters(features, ClusterSettings(count=4, sample=40))
    ids = found.assign(features).ids.view(4, 50)
    assert (ids == ids[:, :1]).all()
    assert len(ids[:, 0].unique()) == 4
    # Another part makes other centroids, the same part the same.
    again = fit_clusters(features, ClusterSettings(count=4, sample=40))
    whole = fit_clusters(features, ClusterSettings(count=4))
    assert torch.equal(found.centroids, again.centroids)
    assert not torch.equal(found.centroids, whole.centroids)
    with pytest.raises(ConfigError, match=r"clusters\.sample"):
        ClusterSettings(count=4, sample=3)
