from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from kornia.color import rgb_to_lab as by_formula

from refine_motion.corrflow.lab import rgb_to_lab


def test_black_white_and_grey() -> None:
    greys = torch.tensor([0, 255, 128], dtype=torch.uint8).view(1, 1, 3).expand(3, 1, 3)
    lab = rgb_to_lab(greys)
    torch.testing.assert_close(lab[0, 0], torch.tensor([0.0, 100.0, 53.6]), rtol=0, atol=0.2)
    assert lab[1:].abs().max() < 0.1


def test_near_the_formula() -> None:
    """The table is the formula at its own colours; between them it is 0.1 off on average, at most 0.5."""
    frames = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    apart = (rgb_to_lab(frames) - by_formula(frames.float() / 255)).abs()
    assert apart.mean() < 0.1
    assert apart.max() < 0.5
    nodes = torch.randint(0, 33, (2, 3, 64, 64), generator=torch.Generator().manual_seed(1)) / 32
    assert (rgb_to_lab(nodes * 255) - by_formula(nodes)).abs().max() < 0.02


def test_values_of_opencv() -> None:
    """``cv2.cvtColor`` of float pictures, five pixels of the reference outputs."""
    rgb = [(126, 114, 97), (83, 115, 118), (124, 192, 103), (227, 134, 21), (135, 124, 127)]
    lab = [
        (48.553467, 1.921875, 11.171875),
        (46.026611, -10.578125, -5.34375),
        (71.429443, -38.40625, 38.125),
        (64.465332, 28.5625, 66.921875),
        (52.929688, 5.046875, -0.3125),
    ]
    found = rgb_to_lab(torch.tensor(rgb, dtype=torch.uint8).T[:, None])[:, 0].T
    torch.testing.assert_close(found, torch.tensor(lab), rtol=0, atol=1e-5)


def test_bytes_floats_and_leading_axes() -> None:
    frames = torch.randint(0, 256, (2, 4, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    lab = rgb_to_lab(frames)
    assert lab.shape == frames.shape
    assert torch.equal(lab, rgb_to_lab(frames.float()))
    assert torch.equal(lab[1, 2], rgb_to_lab(frames[1, 2]))


def test_reference(reference: Path) -> None:
    """OpenCV's own values: all but a few equal, those by one unit of its whole numbers."""
    z = np.load(reference / "corrflow_quantise.npz")
    found = rgb_to_lab(torch.from_numpy(z["image_rgb"]).permute(2, 0, 1)).permute(1, 2, 0)
    apart = (found - torch.from_numpy(z["lab"])).abs()
    assert apart.max() < 0.02
    assert (apart > 1e-3).float().mean() < 1e-3
