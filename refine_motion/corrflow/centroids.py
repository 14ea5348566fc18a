"""Centroids of colour as a plain file, and fitted to videos."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.progress import track
from torch import Generator, Tensor

from refine_motion.corrflow.quantise import PUBLISHED_CENTROIDS, chroma, fit_centroids
from refine_motion.errors import ConfigError
from refine_motion.files import replacing
from refine_motion.video.info import VideoInfo
from refine_motion.video.reader import read_frames

PUBLISHED = "published"
_HEADER = ["a", "b"]
# Enough for colours, which change little within a shot.
_FRAMES = 64


def read_centroids(source: str) -> Tensor:
    """Centroids in (a, b) of CIE Lab.

    Args:
        source: ``published``, or a CSV file with a column ``a`` and a column ``b``.

    Returns:
        ``(K, 2)`` float32.

    Raises:
        ConfigError: the file is missing or damaged, or has fewer than two different centroids.
    """
    if source == PUBLISHED:
        return torch.tensor(PUBLISHED_CENTROIDS)
    advice = "make it with `refine-motion centroids`, or take `published`"
    try:
        header, *rows = csv.reader(io.StringIO(Path(source).read_text(encoding="utf-8")))
        found = torch.tensor([[float(value) for value in row] for row in rows])
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read ({error.strerror}); {advice}") from error
    except (ValueError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{source}: no table of centroids ({error}); {advice}") from error
    if header != _HEADER or found.ndim != 2 or found.shape[1] != 2 or not found.isfinite().all():
        raise ConfigError(f"{source}: no table of centroids: columns a and b of finite numbers are wanted; {advice}")
    if len(found.unique(dim=0)) != len(found) or len(found) < 2:
        raise ConfigError(f"{source}: {len(found)} centroids, and at least two different ones are needed; {advice}")
    return found


def write_centroids(path: Path, centroids: Tensor) -> None:
    """Write centroids as :func:`read_centroids` reads them, with every digit that float32 has.

    Args:
        path: the file, replaced in one step.
        centroids: ``(K, 2)``.
    """
    rows = [",".join(_HEADER), *(f"{a:.9g},{b:.9g}" for a, b in centroids.tolist())]
    with replacing(path) as partial:
        partial.write_text("\n".join(rows) + "\n", encoding="utf-8")


def video_centroids(videos: Sequence[VideoInfo], count: int, pixels: int, seed: int) -> tuple[Tensor, Tensor]:
    """Centroids of the colours of some videos.

    Args:
        videos: at least one.
        count: K, number of centroids.
        pixels: how many are drawn, equally many from each of up to 64 frames that are drawn from the videos.
        seed: of the draws and of the fit.

    Returns:
        ``(K, 2)`` centroids, and ``(K,)`` the share of the pixels that is nearest to each.

    Raises:
        ConfigError: there are fewer different colours than centroids.
        VideoError: a frame cannot be read.
    """
    generator = Generator().manual_seed(seed)
    ends = torch.tensor([video.frames for video in videos]).cumsum(0)
    total = int(ends[-1])
    looks = min(_FRAMES, total)
    # One frame of each of so many equal parts.
    places = (
        (torch.arange(looks) + torch.rand(looks, generator=generator, dtype=torch.float64)) * total / looks
    ).long()
    drawn = []
    for place in track(places.tolist(), "reading colours", transient=True, disable=looks < 2):
        video = int(torch.searchsorted(ends, torch.tensor(place), right=True))
        before = int(ends[video - 1]) if video else 0
        ab = chroma(read_frames(videos[video], [place - before]))[0].flatten(1).T
        wanted = -(-pixels // looks)
        drawn.append(ab[torch.randint(len(ab), (wanted,), generator=generator)])
    sample = torch.cat(drawn)[:pixels]
    centroids = fit_centroids(sample, count, seed)
    nearest = torch.cdist(sample, centroids).argmin(dim=1)
    return centroids, torch.bincount(nearest, minlength=count) / len(sample)
