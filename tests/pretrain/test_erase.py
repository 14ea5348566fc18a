from __future__ import annotations

import torch
from torch import Tensor

from refine_motion.pretrain.erase import erase

SEEDS = list(range(1000, 1200))


def images() -> Tensor:
    return torch.rand(len(SEEDS), 3, 64, 80, generator=torch.Generator().manual_seed(0)) * 255


def test_rectangles_of_the_mean_colour_in_half_of_the_samples() -> None:
    before = images()
    after = erase(before, SEEDS)
    assert torch.equal(before, images())
    changed = (after != before).any(dim=1)
    share = changed.flatten(1).any(dim=1).float().mean()
    assert 0.4 < share < 0.6
    areas = []
    for old, new, where in zip(before, after, changed, strict=True):
        if where.any():
            assert torch.allclose(new[:, where], old.mean(dim=(1, 2))[:, None].expand(3, int(where.sum())))
            areas.append(int(where.sum()))
    # One rectangle is at least 8x10, two are at most 2 x 16x20.
    assert min(areas) >= 80
    assert max(areas) <= 640
    assert any(area > 320 for area in areas)


def test_a_sample_does_not_depend_on_its_batch() -> None:
    whole = erase(images(), SEEDS)
    alone = torch.cat([erase(image[None], [seed]) for image, seed in zip(images()[:20], SEEDS, strict=False)])
    assert torch.equal(alone, whole[:20])
    assert not torch.equal(erase(images(), SEEDS[::-1]), whole)
