from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from refine_motion.motion.compat import OFFICIAL
from refine_motion.motion.label_maps import ids_to_cells, one_hot, to_cells, to_pixels


def two_labels() -> torch.Tensor:
    """Label 4 in an odd rectangle on label 0, whose edges cut cells."""
    ids = torch.zeros(1, 32, 32, dtype=torch.int64)
    ids[:, 5:18, 7:23] = 4
    return ids


class TestNoLabelIsInvented:
    @pytest.mark.parametrize("mode", ["bilinear", "area"])
    def test_between_two(self, mode: str) -> None:
        cells = ids_to_cells(two_labels(), (8, 8), 6, mode)
        assert cells.sum(dim=(0, 2, 3)).nonzero().flatten().tolist() == [0, 4]

    def test_the_official_rule_invents_one(self) -> None:
        cells = ids_to_cells(two_labels(), (8, 8), 6, compat=OFFICIAL)
        invented = {1, 2, 3} & set(cells.sum(dim=(0, 2, 3)).nonzero().flatten().tolist())
        assert invented

    @pytest.mark.parametrize("mode", ["bilinear", "area"])
    def test_noise(self, mode: str) -> None:
        """A cell has only labels that some of its 16 pixels have."""
        ids = noise()
        present = ids.unflatten(1, (16, 4)).unflatten(3, (16, 4)).permute(0, 1, 3, 2, 4).flatten(3)
        found = ids_to_cells(ids, (16, 16), 16, mode) > 0
        for label in range(16):
            assert not found[:, label][~(present == label).any(dim=-1)].any()

    def test_most_official_labels_of_noise_are_invented(self) -> None:
        """By specification 71.6 % of them are in none of the four pixels that they were read from."""
        ids = noise()
        read = torch.stack([ids[:, y::4, x::4] for y in (1, 2) for x in (1, 2)])
        official = ids_to_cells(ids, (16, 16), 16, compat=OFFICIAL).argmax(dim=1)
        assert (read != official).all(dim=0).float().mean().item() == pytest.approx(0.716, abs=0.02)


def noise() -> torch.Tensor:
    return torch.randint(0, 16, (16, 64, 64), generator=torch.Generator().manual_seed(0))


def test_area_takes_every_pixel_and_bilinear_those_in_the_middle() -> None:
    ids = torch.zeros(1, 4, 4, dtype=torch.int64)
    ids[0, 0] = 1
    ids[0, 1, 1] = 2
    assert ids_to_cells(ids, (1, 1), 3, "area").flatten().tolist() == [11 / 16, 4 / 16, 1 / 16]
    assert ids_to_cells(ids, (1, 1), 3, "bilinear").flatten().tolist() == [3 / 4, 0, 1 / 4]


def test_one_hot() -> None:
    ids = torch.tensor([[[0, 2], [1, 1]]])
    assert one_hot(ids, 3)[0].tolist() == [[[1, 0], [0, 0]], [[0, 0], [1, 1]], [[0, 1], [0, 0]]]


@pytest.mark.parametrize("mode", ["bilinear", "area"])
def test_distributions_stay_distributions(mode: str) -> None:
    labels = torch.rand(2, 5, 24, 20, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    cells = to_cells(labels, (6, 5), mode)
    assert cells.shape == (2, 5, 6, 5)
    pixels = to_pixels(cells, (24, 20))
    for maps in (cells, pixels):
        torch.testing.assert_close(maps.sum(dim=1), torch.ones_like(maps[:, 0]))


@pytest.mark.parametrize("mode", ["bilinear", "area"])
def test_places_stay(mode: str) -> None:
    """A ramp has the value at a cell that it has in the middle of the cell's pixels, there and back."""
    ramp = torch.arange(32.0).expand(1, 1, 8, 32)
    cells = to_cells(ramp, (2, 8), mode)
    torch.testing.assert_close(cells[0, 0, 0], torch.arange(8) * 4 + 1.5)
    torch.testing.assert_close(to_pixels(cells, (8, 32))[..., 2:-2], ramp[..., 2:-2])


def test_reference(reference: Path) -> None:
    z = {name: torch.from_numpy(value) for name, value in np.load(reference / "corrflow_attention.npz").items()}
    ids = z["labels_int"][:, 0]
    assert torch.equal(ids_to_cells(ids, (16, 16), 16, compat=OFFICIAL), z["labels_prep_official"])
    torch.testing.assert_close(ids_to_cells(ids, (16, 16), 16), z["labels_onehot_first"], rtol=0, atol=1e-6)
    torch.testing.assert_close(to_cells(z["labels_soft"], (16, 16)), z["labels_prep_soft"], rtol=0, atol=1e-6)
