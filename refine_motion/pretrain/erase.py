"""RAFT's imitation of occlusion: rectangles of the second image that show nothing."""

from __future__ import annotations

import torch
from torch import Tensor

PROBABILITY = 0.5
MOST = 2
# Sides of a rectangle relative to those of the image; RAFT takes 50 to 100 px of 368 x 496.
SMALLEST, LARGEST = 0.125, 0.25
# The generator that takes a sample's own seed already decides on its colours.
_OTHER = 0x5EED


def erase(images: Tensor, seeds: list[int]) -> Tensor:
    """Replace one or two rectangles by the image's mean colour, in half of the samples.

    Args:
        images: ``(B, 3, H, W)``, any range.
        seeds: one per sample; all that is random in a sample follows from it.

    Returns:
        ``(B, 3, H, W)``, a copy.
    """
    images = images.clone()
    height, width = images.shape[-2:]
    for image, seed in zip(images, seeds, strict=True):
        generator = torch.Generator().manual_seed(seed ^ _OTHER)
        u = torch.rand(2 + 4 * MOST, generator=generator, dtype=torch.float64).tolist()
        if u[0] >= PROBABILITY:
            continue
        colour = image.float().mean(dim=(1, 2), keepdim=True).to(image.dtype)
        for number in range(1 + int(u[1] * MOST)):
            y, x, tall, wide = u[2 + 4 * number : 6 + 4 * number]
            h = round(height * (SMALLEST + tall * (LARGEST - SMALLEST)))
            w = round(width * (SMALLEST + wide * (LARGEST - SMALLEST)))
            top, left = int(y * (height - h + 1)), int(x * (width - w + 1))
            image[:, top : top + h, left : left + w] = colour
    return images
