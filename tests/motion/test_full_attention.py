from __future__ import annotations

import torch

from refine_motion.motion.full_attention import FullAttention


def test_cell_by_cell() -> None:
    generator = torch.Generator().manual_seed(0)
    target, references = torch.randn(1, 4, 2, 3, generator=generator), torch.randn(1, 2, 4, 2, 3, generator=generator)
    labels = torch.rand(1, 2, 5, 2, 3, generator=generator)
    found = FullAttention(temperature=0.3).attend(target, references, labels)
    for y, x in ((0, 0), (1, 2), (0, 1)):
        shares = ((references[0] * target[0, None, :, y, x, None, None]).sum(dim=1) / 2 / 0.3).flatten().softmax(dim=0)
        expected = (labels[0] * shares.view(2, 1, 2, 3)).sum(dim=(0, 2, 3))
        torch.testing.assert_close(found[0, :, y, x], expected)


def test_softmax_and_copy_stay_float32_under_autocast() -> None:
    features = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weights = FullAttention().weights(features, features[:, None])
        copied = FullAttention().copy(weights, torch.rand(1, 1, 2, 3, 3))
    assert weights.dtype == copied.dtype == torch.float32
