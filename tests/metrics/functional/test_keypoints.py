from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.metrics.functional import keypoints as room
from refine_motion.metrics.functional.keypoints import cells_to_pixels, read_out
from refine_motion.metrics.functional.tracks import correct_keypoints


def test_examples() -> None:
    assert doctest.testmod(room, extraglobs={"torch": torch}).failed == 0


def test_places_equal_the_official_read_out(reference: Path) -> None:
    z = np.load(reference / "pck_videowalk.npz")
    maps = torch.from_numpy(z["heatmaps"]).permute(2, 0, 1)
    np.testing.assert_allclose(read_out(maps[1:]).T.numpy(), z["readout_top3"], rtol=0, atol=1e-4)


def test_from_cells_to_pck_as_officially(reference: Path) -> None:
    z = np.load(reference / "pck_videowalk.npz")
    grid, found, estimated = (int(z["feat_res"]),) * 2, 0, 0
    for clip in range(3):
        height, width = z[f"size_hw_{clip}"].tolist()
        cells = torch.from_numpy(z[f"pred_cells_{clip}"]).permute(2, 1, 0)
        target = torch.from_numpy(z[f"gt_{clip}"]).permute(2, 1, 0)
        right, counted = correct_keypoints(
            cells_to_pixels(cells, grid, (height, width)), target, torch.from_numpy(z["alphas"])
        )
        found, estimated = found + right, estimated + counted
    np.testing.assert_allclose((100 * found.double() / estimated).numpy(), z["pck_per_joint"], rtol=0, atol=1e-9)


def test_only_the_strongest_cells_have_a_say() -> None:
    maps = torch.zeros(1, 5, 5)
    maps[0, 0, 0], maps[0, 4, 2], maps[0, 4, 3], maps[0, 4, 4] = 0.9, 1.0, 1.0, 2.0
    assert read_out(maps).tolist() == [[(2 + 3 + 8) / 4, 4]]
    assert read_out(maps, top=1).tolist() == [[4, 4]]
    # No more cells than there are.
    assert read_out(torch.ones(1, 1, 2)).tolist() == [[0.5, 0]]


def test_a_cell_stands_for_its_corner() -> None:
    # The middle of cell 3 is at pixel 27.5 where a cell is 8 pixels wide; the rule says 24.
    assert cells_to_pixels(torch.tensor([[3.0, 0.0]]), (40, 40), (320, 320)).tolist() == [[24, 0]]


@given(st.integers(0, 6), st.integers(0, 4), st.floats(0.1, 10, allow_subnormal=False))
def test_a_single_cell_is_found_whatever_its_value(x: int, y: int, value: float) -> None:
    maps = torch.zeros(2, 5, 7, dtype=torch.float64)
    maps[0, y, x] = value
    assert read_out(maps).tolist() == [[x, y], [-1, -1]]
