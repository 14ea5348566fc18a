from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from refine_motion.motion.cycle import (
    PAPER_ALPHA,
    PAPER_BETA,
    colour_error,
    cycle_error,
    cycle_threshold,
    flow_evidence,
    gradient_strength,
)
from refine_motion.motion.grid import warp


@pytest.fixture(scope="module")
def official(reference: Path) -> dict[str, torch.Tensor]:
    z = np.load(reference / "cycle_flow.npz")
    return {k: torch.from_numpy(z[k]) if z[k].ndim else torch.tensor(z[k].item()) for k in z.files}


@pytest.mark.parametrize("direction", ["fw", "bw"])
def test_residual_and_mask_equal_official(official: dict[str, torch.Tensor], direction: str) -> None:
    other = "bw" if direction == "fw" else "fw"
    f, b = official[f"flow_{direction}"][None], official[f"flow_{other}"][None]
    assert (warp(b, f)[0] - official[f"warped_{other}"]).abs().max() < 1e-5
    error = cycle_error(f, b)[0]
    assert (error - official[f"diff_{direction}"]).abs().max() < 1e-5
    threshold = cycle_threshold(f.norm(dim=1), b.norm(dim=1), PAPER_ALPHA, PAPER_BETA)[0]
    sure = (error - threshold).abs() > 1e-5
    assert torch.equal((error <= threshold)[sure], official[f"keep_{direction}"][sure])


def test_threshold_equals_official(official: dict[str, torch.Tensor]) -> None:
    assert official["alpha"] == PAPER_ALPHA
    assert official["beta"] == PAPER_BETA
    f, b = official["flow_fw"].norm(dim=0), official["flow_bw"].norm(dim=0)
    assert (cycle_threshold(f, b, PAPER_ALPHA, PAPER_BETA) - official["threshold"]).abs().max() < 1e-5


def test_colour_error_equals_corrected_reference(official: dict[str, torch.Tensor]) -> None:
    a, b = (official[f"image{i}"].permute(2, 0, 1)[None].float() for i in (0, 1))
    # The reference works on x / 255 - 0.5 with zeros outside, which is mid grey; shift so that zero means the same.
    error = colour_error(a - 127.5, b - 127.5, official["flow_fw"][None])[0] / 255
    assert (error - official["color_diff_corrected"]).abs().max() < 1e-6


def test_in_bounds_equals_reference(official: dict[str, torch.Tensor]) -> None:
    images = torch.zeros(1, 3, 64, 96)
    _, inside = flow_evidence(official["flow_fw"][None], official["flow_bw"][None], images, images)
    assert torch.equal(inside[0], official["target_in_bounds"])


def test_opposite_translations_cycle_exactly_inside() -> None:
    forward = torch.zeros(1, 2, 20, 30)
    forward[:, 0] = 4
    image = torch.rand(1, 3, 20, 30) * 255
    evidence, inside = flow_evidence(forward, -forward, image, torch.roll(image, 4, dims=3))
    assert inside.sum() == 20 * 26
    assert evidence.cycle_error[inside].max() < 1e-5
    assert evidence.colour_error[inside].max() < 1e-3
    assert (evidence.speed == 4).all()


def test_gradient_of_a_ramp() -> None:
    ramp = (3 * torch.arange(7.0) + 4 * torch.arange(5.0)[:, None]).expand(1, 3, 5, 7)
    torch.testing.assert_close(gradient_strength(ramp), torch.full((1, 5, 7), 5.0))


def test_spread_is_handed_on_and_boundaries_are_those_of_the_forward_flow() -> None:
    forward = torch.zeros(1, 2, 20, 30)
    forward[:, 0, :, 15:] = 2
    image = torch.zeros(1, 3, 20, 30)
    evidence, _ = flow_evidence(forward, torch.zeros_like(forward), image, image)
    assert evidence.spread.shape == evidence.speed.shape
    assert not evidence.spread.any()
    assert evidence.boundary[0, 0].nonzero().flatten().tolist() == list(range(10, 20))
    spread = torch.rand(1, 20, 30)
    evidence, _ = flow_evidence(torch.zeros_like(forward), forward, image, image, spread)
    assert torch.equal(evidence.spread, spread)
    assert not evidence.boundary.any()
