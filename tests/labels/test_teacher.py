from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from refine_motion.errors import ConfigError
from refine_motion.labels.teacher import FlowTeacher, LabelSettings
from refine_motion.models.base import FlowModel
from refine_motion.models.options import MatchOptions
from refine_motion.models.registry import build_model
from refine_motion.motion.cycle import PAPER_ALPHA, PAPER_BETA, cycle_threshold, flow_evidence
from refine_motion.motion.grid import pixel_grid


@pytest.fixture(scope="module")
def model() -> FlowModel:
    torch.manual_seed(0)
    return build_model("raft_small").eval()


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    return torch.randint(0, 256, (3, 3, 64, 80), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_labels_are_the_models_own_flow_under_the_ceiling(model: FlowModel, frames: torch.Tensor) -> None:
    settings = LabelSettings(iters=3, ceiling=40)
    label = FlowTeacher(model, settings).label(frames, [(0, 2)], [0])[0]
    forward = model.flow(frames[[0]], frames[[2]], 3)
    evidence, inside = flow_evidence(forward, model.flow(frames[[2]], frames[[0]], 3), frames[[0]], frames[[2]])
    limit = 40 * cycle_threshold(evidence.speed, evidence.backward_speed, PAPER_ALPHA, PAPER_BETA)
    expected = ((evidence.cycle_error <= limit) & inside)[0].flatten().nonzero().flatten()
    assert 0 < len(expected) < 64 * 80
    assert torch.equal(label.index, expected)
    torch.testing.assert_close(label.flow, forward[0].flatten(1).T[expected], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        label.evidence.cycle_error, evidence.cycle_error.flatten()[expected], atol=1e-3, rtol=1e-3
    )
    assert torch.equal(label.evidence.gradient, evidence.gradient.flatten()[expected])


def test_an_enlarging_teacher_brings_its_flow_back(model: FlowModel, frames: torch.Tensor) -> None:
    label = FlowTeacher(model, LabelSettings(iters=2, ceiling=1e6, scale=1.5)).label(frames, [(0, 1)], [0])[0]
    large = F.interpolate(frames.float(), (96, 120), mode="bilinear", align_corners=False)
    flow = F.interpolate(model.flow(large[[0]], large[[1]], 2), (64, 80), mode="bilinear", antialias=True) / 1.5
    torch.testing.assert_close(label.flow, flow[0].flatten(1).T[label.index], atol=1e-4, rtol=1e-4)


def test_an_enlarging_teacher_keeps_pixel_edges_in_place(frames: torch.Tensor) -> None:
    class Expanding:
        """Knows that everything moves away from the left edge and the top edge of the frame, a tenth of the way."""

        name, options = "expanding", MatchOptions()

        def eval(self) -> Expanding:
            return self

        def requires_grad_(self, wanted: bool) -> Expanding:
            return self

        def state_dict(self) -> dict[str, torch.Tensor]:
            return {}

        def encode(self, seen: torch.Tensor) -> torch.Tensor:
            return seen

        def match_both(self, a: torch.Tensor, b: torch.Tensor, *_: object) -> tuple[torch.Tensor, torch.Tensor]:
            away = 0.1 * (pixel_grid(*a.shape[-2:])[None] + 0.5)
            return away, -away / 1.1

    # Resizing by other than whole factors bends straight lines a little.
    for scale, error in ((1.0, 2e-3), (2.0, 2e-3), (1.25, 1e-2)):
        teacher = FlowTeacher(Expanding(), LabelSettings(ceiling=1e6, scale=scale))  # type: ignore[arg-type]
        flow, known = teacher.label(frames, [(0, 1)], [0])[0].dense()
        # Where the points left the frame nothing is kept; at the edges resizing repeats the outermost pixel.
        inner = known[0].clone()
        inner[:2] = inner[:, :2] = inner[-2:] = inner[:, -2:] = False
        assert inner.sum() > 0.6 * inner.numel()
        torch.testing.assert_close(flow[:, inner], (0.1 * (pixel_grid(64, 80) + 0.5))[:, inner], atol=error, rtol=0)


def test_cap_is_exact_repeatable_and_seeded(model: FlowModel, frames: torch.Tensor) -> None:
    teacher = FlowTeacher(model, LabelSettings(iters=1, ceiling=1e6, max_per_pair=500))
    first, again, other = teacher.label(frames, [(0, 1)] * 3, [7, 7, 8])
    assert len(first.index) == 500
    assert (first.index.diff() > 0).all()
    assert torch.equal(first.index, again.index)
    assert not torch.equal(first.index, other.index)


def test_fingerprint_tells_settings_and_weights_apart(model: FlowModel) -> None:
    base = FlowTeacher(model, LabelSettings()).fingerprint
    assert FlowTeacher(model, LabelSettings()).fingerprint == base
    assert FlowTeacher(model, LabelSettings(iters=31)).fingerprint != base
    assert FlowTeacher(model, LabelSettings(scale=2.0)).fingerprint != base
    torch.manual_seed(1)
    assert FlowTeacher(build_model("raft_small"), LabelSettings()).fingerprint != base


def test_teacher_is_frozen_and_impossible_settings_are_refused(model: FlowModel) -> None:
    FlowTeacher(model.train(), LabelSettings())
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    for wrong in ({"iters": 0}, {"ceiling": 0.0}, {"max_per_pair": 0}, {"scale": 0.5}, {"scale": 4.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            LabelSettings(**wrong)
