from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from refine_motion.refine.clip_augment import AugmentedClip, ClipAugmentation
from refine_motion.refine.clip_photometric import Look
from tests.refine.clips import EVERYTHING, NOTHING, augment, batch, same


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_nothing_changes_when_nothing_is_asked_for(dtype: torch.dtype) -> None:
    images, *labels = batch(2)
    out = augment(NOTHING, (images.to(dtype), *labels), 1, 2)
    assert out.frames.dtype == out.xy.dtype == torch.float32
    assert same(out, AugmentedClip(images.float(), *labels))


def test_a_clip_depends_on_its_seed_alone() -> None:
    clips = batch(3)
    together = augment(EVERYTHING, clips, 11, 12, 13)
    turned = augment(EVERYTHING, tuple(x.flip(0) for x in clips), 13, 12, 11)
    assert same(together, AugmentedClip(*(x.flip(0) for x in turned)))
    for i in range(3):
        alone = augment(EVERYTHING, tuple(x[[i]] for x in clips), 11 + i)
        assert same(alone, AugmentedClip(*(x[[i]] for x in together)))


def test_other_seeds_give_other_clips_also_of_one_clip() -> None:
    one = batch(1)
    out = augment(EVERYTHING, tuple(x.expand(8, *x.shape[1:]) for x in one), *range(8))
    for i in range(8):
        for j in range(i):
            assert not torch.equal(out.frames[i], out.frames[j])
            assert not torch.equal(out.xy[i], out.xy[j])


@pytest.mark.parametrize("settings", [NOTHING, replace(NOTHING, noise_probability=1), EVERYTHING])
def test_inputs_stay_as_they_are(settings: ClipAugmentation) -> None:
    images, *labels = batch(1)
    clips = (images.float(), *labels)
    before = [x.clone() for x in clips]
    for x in augment(settings, clips, 3):
        x.zero_()
    assert all(torch.equal(x, y) for x, y in zip(clips, before, strict=True))


def test_nothing_runs_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = batch(2)
    expected = augment(EVERYTHING, clips, 5, 6)
    half = []
    apply = Look.apply
    monkeypatch.setattr(Look, "apply", lambda *a: half.append(torch.is_autocast_enabled("cpu")) or apply(*a))
    with torch.autocast("cpu", torch.bfloat16):
        assert same(augment(EVERYTHING, clips, 5, 6), expected)
    assert half == [False, False]


def test_fast_matrix_products_move_no_points() -> None:
    clips = batch(2)
    expected = augment(EVERYTHING, clips, 5, 6)
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert torch.equal(augment(EVERYTHING, clips, 5, 6).xy, expected.xy)
    finally:
        torch.set_float32_matmul_precision(precision)


def test_shapes_types_and_range() -> None:
    clips = batch(6)
    out = augment(EVERYTHING, clips, *range(6))
    assert out.frames.shape == (6, 4, 3, 40, 48)
    assert out.xy.shape == (6, 4, 30, 2)
    assert out.valid.shape == out.visible.shape == (6, 4, 30)
    assert out.frames.dtype == out.xy.dtype == torch.float32
    assert out.valid.dtype == out.visible.dtype == torch.bool
    assert out.frames.min() >= 0
    assert 150 < out.frames.max() <= 255


@pytest.mark.parametrize("broken", range(4))
def test_shapes_that_do_not_fit_are_refused(broken: int) -> None:
    clips = list(batch(2))
    clips[broken] = clips[broken][:, :-1]
    with pytest.raises(ValueError, match="do not fit 2 seeds"):
        augment(EVERYTHING, tuple(clips), 1, 2)


def test_each_clip_needs_a_seed() -> None:
    with pytest.raises(ValueError, match="do not fit 1 seeds"):
        augment(EVERYTHING, batch(2), 1)


# Where things are.
