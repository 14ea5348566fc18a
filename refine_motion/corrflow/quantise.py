"""Colours as classes: the nearest of a few centroids of chroma (Lai and Xie, BMVC 2019, arXiv 1905.00875)."""

from __future__ import annotations

import torch
from torch import Tensor

from refine_motion.corrflow.lab import rgb_to_lab
from refine_motion.errors import ConfigError

# (a, b) of the 16 centroids that were published with the code: k-means of pixels of Kinetics.
PUBLISHED_CENTROIDS: tuple[tuple[float, float], ...] = (
    (10.2274857, -25.5043678),
    (9.17186165, -5.48024511),
    (38.0797539, -55.1769676),
    (13.772419, 29.9322014),
    (-22.905138, 4.34982061),
    (0.369491816, -7.30068874),
    (-5.35446739, -13.4740639),
    (-9.10216141, 43.3926888),
    (2.85426378, -18.0428829),
    (-1.22265816, 21.684948),
    (-7.96790981, -0.256643295),
    (33.9553642, 15.0786915),
    (22.3517704, -38.7799911),
    (5.72835445, 8.6479435),
    (54.2951202, -73.8893585),
    (0.193377614, 0.03221035),
)


def chroma(frames: Tensor) -> Tensor:
    """What colour frames have, without their lightness.

    Args:
        frames: ``(..., 3, H, W)`` RGB, uint8 or float in 0..255.

    Returns:
        ``(..., 2, H, W)`` float32: a and b of CIE Lab.
    """
    return rgb_to_lab(frames)[..., 1:, :, :]


def nearest_centroid(ab: Tensor, centroids: Tensor) -> Tensor:
    """The class of each pixel.

    Args:
        ab: ``(..., 2, H, W)``, see :func:`chroma`.
        centroids: ``(K, 2)`` in (a, b).

    Returns:
        ``(..., H, W)`` int64 in ``0..K - 1``; of several nearest the first.
    """
    centroids = centroids.to(ab)
    # |x - c|^2 = |x|^2 - 2 (x . c - |c|^2 / 2), of which the first part is the same for all centroids.
    nearness = ab.movedim(-3, -1) @ centroids.T - centroids.square().sum(dim=1) / 2
    return nearness.argmax(dim=-1)


def quantise(frames: Tensor, centroids: Tensor) -> Tensor:
    """The colour class of each pixel of some frames: hard targets, at full resolution.

    Args:
        frames: ``(..., 3, H, W)`` RGB, uint8 or float in 0..255.
        centroids: ``(K, 2)`` in (a, b) of CIE Lab.

    Returns:
        ``(..., H, W)`` int64 in ``0..K - 1``.
    """
    return nearest_centroid(chroma(frames), centroids)


def fit_centroids(ab: Tensor, count: int = 16, seed: int = 0, iterations: int = 100) -> Tensor:
    """Centroids of one's own colours: k-means (Lloyd) from a k-means++ start (Arthur and Vassilvitskii, SODA 2007).

    Computed on the CPU in double precision, so that the same pixels give the same centroids.

    Args:
        ab: ``(N, 2)`` pixels.
        count: K, number of centroids.
        seed: of the start.
        iterations: most rounds; it ends before where nothing changes.

    Returns:
        ``(K, 2)`` float32 on the CPU.

    Raises:
        ConfigError: there are fewer different colours than centroids.
    """
    pixels = ab.detach().cpu().double()
    different = len(pixels.unique(dim=0))
    if different < count:
        raise ConfigError(
            f"the pixels show {different} different colours, and {count} centroids need as many; give videos in "
            "colour, or use the published centroids"
        )
    centroids = _spread_out(pixels, count, torch.Generator().manual_seed(seed))
    for _ in range(iterations):
        # Not by matrix products, whose rounding depends on the number of threads.
        apart = torch.cdist(pixels, centroids, compute_mode="donot_use_mm_for_euclid_dist")
        distance, nearest = apart.min(dim=1)
        members = torch.bincount(nearest, minlength=count)
        sums = torch.stack([torch.bincount(nearest, weights=values, minlength=count) for values in pixels.T], dim=1)
        moved = sums / members[:, None].clamp(min=1)
        empty = (members == 0).nonzero().flatten()
        if len(empty):
            # A centroid that lost all of its pixels takes one of those that are worst off.
            moved[empty] = pixels[distance.argsort(descending=True, stable=True)[: len(empty)]]
        if torch.equal(moved, centroids):
            break
        centroids = moved
    return centroids.float()


def _spread_out(pixels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Some of the pixels, each drawn in proportion to its squared distance from those drawn before."""
    chosen = pixels[torch.randint(len(pixels), (1,), generator=generator)]
    distance = (pixels - chosen).square().sum(dim=1)
    while len(chosen) < count:
        # By the cumulative sum: torch.multinomial takes no more than 2^24 candidates.
        reached = distance.cumsum(0)
        mark = torch.rand(1, generator=generator, dtype=torch.float64) * reached[-1]
        drawn = pixels[torch.searchsorted(reached, mark, right=True).clamp(max=len(pixels) - 1)]
        chosen = torch.cat((chosen, drawn))
        distance = torch.minimum(distance, (pixels - drawn).square().sum(dim=1))
    return chosen
