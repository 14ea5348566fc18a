from __future__ import annotations

import doctest

import torch

from refine_motion.benchmarks import pictures
from refine_motion.benchmarks.pictures import resized, scaled


def test_examples() -> None:
    assert doctest.testmod(pictures, extraglobs={"torch": torch}).failed == 0


def test_places_and_pictures_are_scaled_alike() -> None:
    """A spot of light stays under its place."""
    picture = torch.zeros(3, 20, 40, dtype=torch.uint8)
    picture[:, 8:10, 12:14] = 200
    larger = resized(picture, (60, 80)).float()[0]
    rows, columns = torch.meshgrid(torch.arange(60), torch.arange(80), indexing="ij")
    centre = torch.stack(((larger * columns).sum(), (larger * rows).sum())) / larger.sum()
    torch.testing.assert_close(centre, scaled(torch.tensor([12.5, 8.5]), (20, 40), (60, 80)), atol=0.05, rtol=0)


def test_there_and_back() -> None:
    places = 30 * torch.rand(5, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(scaled(scaled(places, (30, 40), (256, 256)), (256, 256), (30, 40)), places)
