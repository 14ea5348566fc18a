"""Clips with points to augment, and settings that do nothing or everything."""

from __future__ import annotations

import torch

from refine_motion.motion.grid import pixel_grid
from refine_motion.refine.clip_augment import AugmentedClip, ClipAugmentation, ClipAugmenter

NOTHING = ClipAugmentation(
    reverse_probability=0,
    hflip_probability=0,
    vflip_probability=0,
    affine_probability=0,
    jitter_probability=0,
    grey_probability=0,
    blur_probability=0,
    noise_probability=0,
    pattern_probability=0,
    jpeg_probability=0,
    occluder_probability=0,
)
EVERYTHING = ClipAugmentation(
    crop=(40, 48),
    affine_probability=1,
    jitter_probability=1,
    grey_probability=0.5,
    blur_probability=1,
    noise_probability=1,
    pattern_probability=1,
    jpeg_probability=1,
    occluder_probability=1,
)

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def batch(count: int = 1, frames: int = 4, height: int = 44, width: int = 52, points: int = 30) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, frames, 3, height, width), generator=generator, dtype=torch.uint8)
    sides = torch.tensor([width - 1.0, height - 1.0])
    xy = torch.rand(count, frames, points, 2, generator=generator) * sides
    known = torch.rand(2, count, frames, points, generator=generator) < 0.8
    return images, xy, known[0], known[1]


def everywhere(images: torch.Tensor) -> Batch:
    """The clips with a point on each pixel of each frame, all valid and visible."""
    count, frames, _, height, width = images.shape
    xy = pixel_grid(height, width).flatten(1).T.expand(count, frames, -1, -1)
    known = torch.ones(xy.shape[:-1], dtype=torch.bool)
    return images, xy, known, known


def augment(settings: ClipAugmentation, clips: Batch, *seeds: int) -> AugmentedClip:
    return ClipAugmenter(settings)(*clips, list(seeds))


def same(a: AugmentedClip, b: AugmentedClip) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# The whole.


def centres(frames: torch.Tensor) -> torch.Tensor:
    """Centre of mass ``(T, 3, 2)`` of each channel."""
    mass = frames / frames.sum(dim=(-2, -1), keepdim=True)
    return torch.stack([(mass * axis).sum(dim=(-2, -1)) for axis in pixel_grid(*frames.shape[-2:])], dim=-1)
