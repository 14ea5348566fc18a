from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from refine_motion.refine.clip_photometric import Look
from tests.refine.clips import batch


@pytest.mark.parametrize(
    "look",
    [
        Look(colours=(1.3, 0.7, 0.6, 0.1)),
        Look(grey=True),
        Look(blur=1.2),
        Look(jpeg=20.0),
        Look(colours=(0.8, 1.4, 1.3, -0.1), grey=True, blur=0.5, jpeg=40.0),
    ],
)
def test_what_stays_the_same_through_a_clip_still_does(look: Look) -> None:
    frames = batch(1, frames=4)[0][0].float()
    # The upper half stands still, the lower half gets darker: the mean colour of the frames changes.
    frames[:, :, :24] = frames[0, :, :24]
    frames[:, :, 24:] *= torch.tensor([1.0, 0.5, 0.2, 0.0]).view(4, 1, 1, 1)
    out = look.apply(frames)
    # The compression of colours reaches a few pixels up.
    assert (out[:, :, :12] - out[:1, :, :12]).abs().max() < 1e-3
    assert (out[:, :, :12] - frames[:, :, :12]).abs().mean() > 3
    assert out.min() >= 0
    assert out.max() <= 255


def test_noise_is_new_in_each_frame_and_has_one_strength() -> None:
    frames = torch.full((6, 3, 40, 40), 128.0)
    noise = Look(noise=5.0, noise_seed=3).apply(frames) - frames
    assert noise.std(dim=(1, 2, 3)).tolist() == pytest.approx([5.0] * 6, rel=0.05)
    assert abs(torch.corrcoef(noise.flatten(1))[0, 1:]).max() < 0.05
    assert not torch.equal(noise, Look(noise=5.0, noise_seed=4).apply(frames) - frames)
    extremes = Look(noise=50.0).apply(frames.clone().fill_(255)), Look(noise=50.0).apply(frames * 0)
    assert [(x.min() < 255, x.max() <= 255, x.min() >= 0, x.max() > 0) for x in extremes] == [(True,) * 4] * 2


def test_a_pattern_stays_and_has_stripes() -> None:
    frames = torch.full((6, 3, 80, 80), 128.0)
    along = set()
    for seed in range(12):
        pattern = Look(pattern=4.0, noise_seed=seed).apply(frames) - frames
        assert torch.equal(pattern, pattern[:1, :1].expand_as(pattern))
        # Of a row or column, the mean is its stripe, and what is left that of single pixels.
        stripes = {axis: pattern[0, 0].mean(dim=axis) for axis in (0, 1)}
        axis = max(stripes, key=lambda axis: stripes[axis].std().item())
        along.add(axis)
        assert stripes[axis].std().item() == pytest.approx(4.0, rel=0.3)
        rest = pattern[0, 0] - stripes[axis].unsqueeze(axis)
        assert rest.std().item() == pytest.approx(2.0, rel=0.1)
        assert rest.mean(dim=1 - axis).std() < 0.5
    assert along == {0, 1}
    dark = Look(pattern=50.0).apply(frames * 0)
    assert dark.min() == 0 < dark.max()
    # Neither is the other's.
    both = Look(noise=5.0, pattern=5.0).apply(frames) - frames
    alone = Look(noise=5.0).apply(frames) + Look(pattern=5.0).apply(frames) - 2 * frames
    torch.testing.assert_close(both, alone, atol=1e-4, rtol=0)


def test_looks_by_hand() -> None:
    image = torch.tensor([100.0, 50.0, 20.0]).view(1, 3, 1, 1).expand(2, 3, 24, 24)
    torch.testing.assert_close(Look(colours=(1.2, 1.0, 1.0, 0.0)).apply(image), image * 1.2)
    third = Look(colours=(1.0, 1.0, 1.0, 1 / 3)).apply(image)
    torch.testing.assert_close(third, image[:, [2, 0, 1]], atol=1e-3, rtol=0)
    luma = 0.299 * 100 + 0.587 * 50 + 0.114 * 20
    torch.testing.assert_close(Look(grey=True).apply(image), torch.full_like(image, luma))
    torch.testing.assert_close(Look(colours=(1.0, 1.0, 0.0, 0.0)).apply(image), torch.full_like(image, luma))
    impulse = torch.zeros(1, 3, 25, 25)
    impulse[..., 12, 12] = 255
    spread = Look(blur=1.5).apply(impulse)[0, 0] / 255
    assert spread.sum().item() == pytest.approx(1, abs=1e-5)
    assert ((torch.arange(25) - 12) ** 2 * spread.sum(dim=0)).sum().item() == pytest.approx(1.5**2, rel=0.03)


def test_lower_quality_loses_more() -> None:
    frames = F.interpolate(batch(1)[0][0].float(), scale_factor=2.0, mode="bilinear")
    errors = [(Look(jpeg=quality).apply(frames) - frames).abs().mean() for quality in (10.0, 40.0, 95.0)]
    assert errors[0] > 1.2 * errors[1] > 1.2 * 1.2 * errors[2] > 0


# What is drawn.
