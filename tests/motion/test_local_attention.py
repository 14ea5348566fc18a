from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from refine_motion.errors import ConfigError
from refine_motion.motion.compat import FIXED, OFFICIAL, Compat
from refine_motion.motion.full_attention import FullAttention
from refine_motion.motion.label_maps import ids_to_cells, to_cells
from refine_motion.motion.local_attention import LocalAttention


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def window_mask(height: int, width: int, radius: int) -> Tensor:
    """``(h, w, 1, h, w)``: whether two cells are at most ``radius`` rows and columns apart."""
    near_y = (torch.arange(height)[:, None] - torch.arange(height)).abs() <= radius
    near_x = (torch.arange(width)[:, None] - torch.arange(width)).abs() <= radius
    return (near_y[:, None, :, None] & near_x[None, :, None, :])[:, :, None]


def masked_full(target: Tensor, references: Tensor, labels: Tensor, radius: int) -> Tensor:
    """What restricted attention must give, by the full one."""
    full = FullAttention()
    logits = full.logits(target, references)
    mask = window_mask(*target.shape[2:], radius)
    weights = logits.masked_fill(~mask, -torch.inf).flatten(3).softmax(dim=-1).view_as(logits)
    return full.copy(weights, labels)


class TestEqualToFullAttention:
    @settings(max_examples=25, deadline=None)
    @given(
        height=st.integers(1, 20),
        width=st.integers(1, 20),
        radius=st.integers(0, 7),
        references=st.integers(1, 3),
        seed=st.integers(0, 99),
    )
    def test_inside_the_window(self, height: int, width: int, radius: int, references: int, seed: int) -> None:
        target = random(2, 5, height, width, seed=seed)
        features = random(2, references, 5, height, width, seed=seed + 1)
        labels = random(2, references, 3, height, width, seed=seed + 2)
        attention = LocalAttention(radius=radius)
        expected = masked_full(target, features, labels, radius)
        weights = attention.weights(target, features)
        torch.testing.assert_close(weights.flatten(3).sum(-1), torch.ones(2, height, width).double())
        assert (attention.copy(weights, labels) - expected).abs().max() < 1e-12
        assert (attention.attend(target, features, labels) - expected).abs().max() < 1e-12

    def test_large_maps(self) -> None:
        target, features, labels = random(1, 64, 24, 20), random(1, 1, 64, 24, 20, seed=1), random(1, 1, 16, 24, 20)
        found = LocalAttention().attend(target, features, labels)
        assert (found - masked_full(target, features, labels, 6)).abs().max() < 1e-12

    @pytest.mark.parametrize("radius", [9, 12])
    def test_a_window_as_large_as_the_image(self, radius: int) -> None:
        target, features, labels = random(2, 4, 9, 10), random(2, 2, 4, 9, 10, seed=1), random(2, 2, 3, 9, 10, seed=2)
        local, full = LocalAttention(radius=radius), FullAttention()
        assert (local.attend(target, features, labels) - full.attend(target, features, labels)).abs().max() < 1e-12

    def test_borders(self) -> None:
        """Candidates of a corner, an edge and an inner cell, by their number."""
        logits = LocalAttention(radius=2).logits(random(1, 3, 6, 7), random(1, 1, 3, 6, 7, seed=1))
        count = logits.isfinite().flatten(3).sum(-1)[0]
        assert count[0, 0] == count[5, 6] == 9
        assert count[0, 3] == count[5, 3] == 15
        assert count[1, 1] == 16
        assert count[3, 3] == 25


@pytest.mark.parametrize("compat", [FIXED, OFFICIAL])
def test_gradients(compat: Compat) -> None:
    attention = LocalAttention(radius=2, temperature=0.7, compat=compat)
    inputs = [
        random(*shape, seed=seed).requires_grad_()
        for seed, shape in enumerate(((1, 2, 6, 5), (1, 2, 2, 6, 5), (1, 2, 2, 6, 5)))
    ]
    assert torch.autograd.gradcheck(attention.attend, inputs)
    assert torch.autograd.gradcheck(lambda t, r, y: attention.copy(attention.weights(t, r), y), inputs)


def test_gradients_of_the_best_few() -> None:
    attention = LocalAttention(radius=1, top_k=4)
    inputs = [random(1, 2, 4, 5).requires_grad_(), random(1, 1, 2, 4, 5, seed=1).requires_grad_()]
    assert torch.autograd.gradcheck(attention.weights, inputs)


class _Largest(TorchDispatchMode):
    """The most elements that any result has."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(value, Tensor):
                self.elements = max(self.elements, value.untyped_storage().nbytes() // value.element_size())
        return result


def test_memory_is_linear_in_the_cells() -> None:
    largest = []
    for side in (32, 64):
        target, features = (
            random(1, 8, side, side, dtype=torch.float32).requires_grad_(),
            random(1, 1, 8, side, side, dtype=torch.float32).requires_grad_(),
        )
        labels = random(1, 1, 4, side, side, dtype=torch.float32)
        attention = LocalAttention(radius=2)
        with _Largest() as mode:
            attention.copy(attention.weights(target, features), labels).sum().backward()
        largest.append(mode.elements)
    # The products of a tile of 8 x 8 cells with its patch of 12 x 12.
    assert largest == [32 * 32 * 144, 64 * 64 * 144]


def test_bands_take_no_more_memory_for_more_rows() -> None:
    largest = []
    for height in (16, 64):
        target, features, labels = (
            random(*shape, dtype=torch.float32)
            for shape in ((1, 2, height, 24), (1, 1, 2, height, 24), (1, 1, 2, height, 24))
        )
        with _Largest() as mode:
            LocalAttention(radius=4).attend(target, features, labels)
        largest.append(mode.elements)
    assert largest[0] == largest[1]


class TestExactBorder:
    def test_a_corner_of_zero_features(self) -> None:
        """Its correlation is a true zero, which the official rule takes for the outside of the image."""
        target, features = random(1, 8, 10, 10), random(1, 1, 8, 10, 10, seed=1)
        features[..., 0, 0] = 0
        labels = random(1, 1, 4, 10, 10, seed=2).softmax(dim=2)
        expected = masked_full(target, features, labels, 2)
        exact = LocalAttention(radius=2).attend(target, features, labels)
        assert (exact - expected).abs().max() < 1e-12
        official = LocalAttention(radius=2, compat=Compat(exact_border=False)).attend(target, features, labels)
        apart = (official - expected).abs().amax(dim=(0, 1)) > 1e-9
        assert apart[:3, :3].all()
        assert not apart[3:].any()
        assert not apart[:, 3:].any()

    def test_a_target_of_zero_features(self) -> None:
        """It likes all cells of the image alike, and none outside."""
        target, features = random(1, 8, 9, 9), random(1, 1, 8, 9, 9, seed=1)
        target[..., 0, 0] = 0
        labels = random(1, 1, 4, 9, 9, seed=2)
        found = LocalAttention(radius=3).attend(target, features, labels)
        torch.testing.assert_close(found[0, :, 0, 0], labels[0, 0, :, :4, :4].mean(dim=(1, 2)))
        official = LocalAttention(radius=3, compat=Compat(exact_border=False)).attend(target, features, labels)
        # Nothing is left to tell the outside by: the whole window counts, and labels go on outside the image.
        going_on = torch.nn.functional.pad(labels[:, 0], (3, 3, 3, 3), mode="replicate")[0, :, :7, :7]
        torch.testing.assert_close(official[0, :, 0, 0], going_on.mean(dim=(1, 2)))
        assert (official - found)[0, :, 0, 0].abs().max() > 1e-3


class TestTranslation:
    @pytest.mark.parametrize("shift", [(0, 0), (3, 0), (-2, 3), (3, -3), (-1, -2)])
    def test_is_found_within_the_window(self, shift: tuple[int, int]) -> None:
        """The reference is the target moved by ``shift``: so each cell looks ``shift`` further."""
        place, inside = self._places(shift)
        expected = (shift[0] + 3) * 7 + shift[1] + 3
        assert (place[inside] == expected).all()

    @pytest.mark.parametrize("shift", [(4, 0), (0, -5)])
    def test_is_not_found_beyond_the_window(self, shift: tuple[int, int]) -> None:
        """A window of R cells sees motion of at most 4 R pixels."""
        target, reference = self._features(shift)
        weights = LocalAttention(radius=3).weights(target, reference)
        # Orthonormal features: no candidate is the one looked for, and all are alike.
        assert weights[0, 3:-3, 3:-3].flatten(2).amax(-1).max() == pytest.approx(1 / 49)

    def _features(self, shift: tuple[int, int]) -> tuple[Tensor, Tensor]:
        cells = torch.linalg.qr(random(144, 144)).Q.reshape(1, 144, 12, 12)
        return cells, cells.roll(shift, dims=(2, 3))[:, None]

    def _places(self, shift: tuple[int, int]) -> tuple[Tensor, tuple[slice, slice]]:
        target, reference = self._features(shift)
        weights = LocalAttention(radius=3, compat=OFFICIAL).weights(target, reference)
        return weights[0].flatten(2).argmax(dim=-1), (slice(3, -3), slice(3, -3))


class TestLabels:
    @pytest.mark.parametrize("attention", [LocalAttention(radius=2), FullAttention(), LocalAttention(top_k=3)])
    def test_channels_do_not_mix(self, attention: LocalAttention) -> None:
        weights = attention.weights(random(2, 4, 9, 7), random(2, 2, 4, 9, 7, seed=1))
        ids = torch.randint(0, 16, (4, 9, 7), generator=torch.Generator().manual_seed(3))
        labels = ids_to_cells(ids, (9, 7), 16).double().unflatten(0, (2, 2))
        order = torch.randperm(16, generator=torch.Generator().manual_seed(4))
        copied = attention.copy(weights, labels)
        torch.testing.assert_close(attention.copy(weights, labels[:, :, order]), copied[:, order], rtol=0, atol=1e-15)
        torch.testing.assert_close(copied.sum(dim=1), torch.ones(2, 9, 7).double(), rtol=0, atol=1e-12)

    @pytest.mark.parametrize("compat", [FIXED, OFFICIAL])
    def test_one_colour_stays(self, compat: Compat) -> None:
        constant = random(1, 1, 5, 1, 1).expand(1, 1, 5, 9, 7)
        found = LocalAttention(radius=4, compat=compat).attend(random(1, 4, 9, 7), random(1, 1, 4, 9, 7), constant)
        torch.testing.assert_close(found, constant[:, 0], rtol=0, atol=1e-12)


class TestSeveralReferences:
    def test_the_same_frame_twice_is_as_once(self) -> None:
        target, features, labels = random(1, 4, 9, 7), random(1, 1, 4, 9, 7, seed=1), random(1, 1, 3, 9, 7, seed=2)
        attention = LocalAttention(radius=2)
        once = attention.attend(target, features, labels)
        twice = attention.attend(target, features.repeat(1, 2, 1, 1, 1), labels.repeat(1, 2, 1, 1, 1))
        assert (once - twice).abs().max() < 1e-12

    def test_the_better_one_wins(self) -> None:
        target = 10 * torch.linalg.qr(random(64, 64)).Q.reshape(1, 64, 8, 8)
        features = torch.stack((random(1, 64, 8, 8) * 0.1, target), dim=1)
        labels = torch.stack((torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)), dim=1).double()
        assert LocalAttention(radius=1).attend(target, features, labels).min() > 0.95


class TestTopK:
    def test_all_candidates_are_as_no_limit(self) -> None:
        target, features = random(1, 4, 9, 7), random(1, 2, 4, 9, 7, seed=1)
        every = LocalAttention(radius=1, top_k=18).weights(target, features)
        torch.testing.assert_close(every, LocalAttention(radius=1).weights(target, features))

    def test_the_best_share_everything(self) -> None:
        target, features = random(1, 4, 9, 7), random(1, 2, 4, 9, 7, seed=1)
        logits = LocalAttention(radius=2).logits(target, features).flatten(3)
        weights = LocalAttention(radius=2, top_k=5).weights(target, features).flatten(3)
        assert ((weights > 0).sum(dim=-1) == 5).all()
        kept = torch.where(weights > 0, logits, torch.inf).amin(dim=-1)
        left = torch.where(weights > 0, -torch.inf, logits).amax(dim=-1)
        assert (kept > left).all()
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(1, 9, 7).double())

    def test_more_than_a_corner_has(self) -> None:
        weights = LocalAttention(radius=1, top_k=6).weights(random(1, 4, 5, 5), random(1, 1, 4, 5, 5, seed=1))
        assert (weights[0, 0, 0] > 0).sum() == 4
        assert weights.isfinite().all()


class TestScale:
    def test_temperature_and_scale(self) -> None:
        target, features = random(1, 16, 5, 5), random(1, 1, 16, 5, 5, seed=1)
        plain = LocalAttention(radius=1, compat=OFFICIAL).logits(target, features)[0, 2, 2]
        scaled = LocalAttention(radius=1, temperature=0.5).logits(target, features)[0, 2, 2]
        torch.testing.assert_close(scaled, plain / 4 / 0.5)

    def test_products_in_half_the_rest_in_float32(self) -> None:
        target, features = random(1, 4, 9, 7, dtype=torch.float32), random(1, 1, 4, 9, 7, seed=1, dtype=torch.float32)
        labels = random(1, 1, 3, 9, 7, seed=2, dtype=torch.float32)
        attention = LocalAttention(radius=2)
        expected = attention.weights(target, features)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            weights = attention.weights(target, features)
            copied = attention.copy(weights, labels)
        assert weights.dtype == copied.dtype == torch.float32
        assert 0 < (weights - expected).abs().max() < 2e-2
        torch.testing.assert_close(weights.flatten(3).sum(-1), torch.ones(1, 9, 7), rtol=0, atol=1e-6)
        assert torch.equal(copied, attention.copy(weights, labels))


class TestRefused:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"radius": -1}, "attention.radius must be at least 0"),
            ({"temperature": 0.0}, "attention.temperature must be above 0"),
            ({"temperature": float("nan")}, "attention.temperature must be above 0"),
            ({"top_k": 0}, "attention.top_k must be at least 1"),
        ],
    )
    def test_settings(self, values: dict[str, float], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            LocalAttention(**values)

    @pytest.mark.parametrize("attention", [LocalAttention(), FullAttention()])
    def test_shapes(self, attention: LocalAttention) -> None:
        with pytest.raises(ValueError, match=r"\(B, C, h, w\)"):
            attention.weights(random(1, 4, 5, 5), random(1, 4, 5, 5))
        with pytest.raises(ValueError, match=r"\(B, C, h, w\)"):
            attention.attend(random(1, 4, 5, 6), random(1, 1, 4, 5, 5), random(1, 1, 2, 5, 5))


@pytest.fixture(scope="module")
def z(reference: Path) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in np.load(reference / "corrflow_attention.npz").items()}


class TestReference:
    def attend(self, z: dict[str, Tensor], labels: Tensor, **settings: object) -> Tensor:
        return LocalAttention(**settings).attend(z["feat_target"], z["feat_ref"][:, None], labels[:, None])

    def test_official_products(self, z: dict[str, Tensor]) -> None:
        """The official layout has the offsets first, and zeros outside the image."""
        logits = LocalAttention(compat=Compat(scaled=False)).logits(z["feat_target"], z["feat_ref"][:, None])
        found = logits[:, :, :, 0].permute(0, 3, 4, 1, 2)[..., ::3, ::3]
        torch.testing.assert_close(found.nan_to_num(neginf=0), z["corr_official"], rtol=0, atol=1e-5)

    def test_official(self, z: dict[str, Tensor]) -> None:
        hard = ids_to_cells(z["labels_int"][:, 0], (16, 16), 16, compat=OFFICIAL)
        soft = to_cells(z["labels_soft"], (16, 16))
        for labels, name in ((hard, "out_official_int"), (soft, "out_official_soft")):
            found = self.attend(z, labels, compat=OFFICIAL)
            torch.testing.assert_close(found, z[name], rtol=0, atol=1e-5)

    def test_exact_border(self, z: dict[str, Tensor]) -> None:
        compat = Compat(scaled=False, one_hot_first=False)
        hard = ids_to_cells(z["labels_int"][:, 0], (16, 16), 16, compat=compat)
        for labels, name in (
            (hard, "out_exact_official_prep"),
            (to_cells(z["labels_soft"], (16, 16)), "out_exact_soft"),
        ):
            found = self.attend(z, labels, compat=compat)
            torch.testing.assert_close(found, z[name], rtol=0, atol=1e-5)
            official = z["out_official_int" if labels is hard else "out_official_soft"]
            # So that neither can pass for the other.
            assert (found - official).abs().max() > 0.01

    def test_one_hot_first_and_scaled(self, z: dict[str, Tensor]) -> None:
        labels = ids_to_cells(z["labels_int"][:, 0], (16, 16), 16)
        for settings_, name in (
            ({"compat": Compat(scaled=False)}, "out_exact_onehot_first"),
            ({}, "out_exact_onehot_first_scaled"),
            ({"radius": 4}, "out_exact_onehot_first_scaled_R4"),
        ):
            torch.testing.assert_close(self.attend(z, labels, **settings_), z[name], rtol=0, atol=1e-5)
