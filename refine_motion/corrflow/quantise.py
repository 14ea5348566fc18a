"""Colours as classes: the nearest of a few centroids of chroma (Lai and Xie, BMVC 2019, arXiv 1905.00875)."""

from __future__ import annotations

from torch import Tensor

from refine_motion.corrflow.lab import rgb_to_lab
from refine_motion.errors import ConfigError
from refine_motion.kmeans import kmeans

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
    """Centroids of one's own colours: k-means, see :func:`refine_motion.kmeans.kmeans`.

    The same pixels give the same centroids.

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
    different = len(ab.unique(dim=0))
    if different < count:
        raise ConfigError(
            f"the pixels show {different} different colours, and {count} centroids need as many; give videos in "
            "colour, or use the published centroids"
        )
    return kmeans(ab, count, seed, iterations=iterations).float()
