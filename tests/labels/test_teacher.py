from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from refine_motion.errors import ConfigError
from refine_motion.labels.blend import blend, doubts
from refine_motion.labels.teacher import FlowTeacher, LabelSettings
from refine_motion.models.base import FlowModel
from refine_motion.models.registry import build_model
from refine_motion.motion.cycle import PAPER_ALPHA, PAPER_BETA, cycle_threshold, flow_evidence
from tests.labels.made import Painted


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
    label = FlowTeacher(model, LabelSettings(iters=2, ceiling=1e6, views=("1.5x",))).label(frames, [(0, 1)], [0])[0]
    large = F.interpolate(frames.float(), (96, 120), mode="bilinear", align_corners=False)
    flow = F.interpolate(model.flow(large[[0]], large[[1]], 2), (64, 80), mode="bilinear", antialias=True) / 1.5
    torch.testing.assert_close(label.flow, flow[0].flatten(1).T[label.index], atol=1e-4, rtol=1e-4)
    assert not label.evidence.spread.any()
    assert label.views == "1.5x"


def test_several_views_are_blended_and_their_evidence_is_that_of_the_blend(
    model: FlowModel, frames: torch.Tensor
) -> None:
    settings = LabelSettings(iters=2, ceiling=1e6, views=("1x", "1x flip"))
    label = FlowTeacher(model, settings).label(frames, [(0, 1)], [0])[0]
    sign = torch.tensor([-1.0, 1]).view(1, 2, 1, 1)
    a, b = frames[[0]], frames[[1]]
    views = [(model.flow(a, b, 2), model.flow(b, a, 2))]
    views.append(tuple(model.flow(x.flip(-1), y.flip(-1), 2).flip(-1) * sign for x, y in ((a, b), (b, a))))
    wanted = blend(a, b, views)
    evidence, _ = flow_evidence(wanted.forward, wanted.backward, a, b, wanted.spread)
    torch.testing.assert_close(label.flow, wanted.forward[0].flatten(1).T[label.index], atol=1e-4, rtol=1e-4)
    for name in ("spread", "cycle_error"):
        found, expected = getattr(label.evidence, name), getattr(evidence, name).flatten()[label.index]
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
    assert label.evidence.spread.mean() > 0.01
    assert label.views == "1x + 1x flip"


def test_a_video_may_have_views_of_its_own_and_views_can_be_doubted_without_a_label(
    model: FlowModel, frames: torch.Tensor
) -> None:
    teacher = FlowTeacher(model, LabelSettings(iters=2, ceiling=1e6, probe=("1x flip",)))
    own = teacher.label(frames, [(0, 1)], [0], ["1x flip"])[0]
    listed = FlowTeacher(model, LabelSettings(iters=2, ceiling=1e6, views=("1x flip",))).label(frames, [(0, 1)], [0])[0]
    assert own.views == "1x flip"
    assert torch.equal(own.flow, listed.flow)
    assert teacher.label(frames, [(0, 1)], [0])[0].views == "1x"
    a, b = frames[[0]], frames[[1]]
    found = teacher.doubts(frames[:2], ["1x flip", "1x"])
    assert found.shape == (2, 2, 64, 80)
    wanted = doubts(a, b, [(model.flow(a, b, 2), model.flow(b, a, 2))])
    torch.testing.assert_close(found[[1]], wanted, atol=1e-2, rtol=1e-3)
    assert teacher.label(frames, [], []) == []


def test_a_frame_beyond_the_allowed_pixels_is_labelled_in_tiles() -> None:
    motion = torch.zeros(1, 2, 240, 320)
    motion[:, 0] = 2.0
    settings = LabelSettings(views=("2x", "2x flip"), max_pixels=100_000)
    model = Painted()
    label = FlowTeacher(model, settings).label(Painted.frames(motion), [(0, 1)], [0])[0]  # type: ignore[arg-type]
    assert max(h * w for h, w in model.seen) <= 100_000
    assert label.views == "2x + 2x flip"
    flow, known = label.dense()
    assert known[0, :, :-3].all()
    torch.testing.assert_close(flow[:, :, :-3], motion[0, :, :, :-3], atol=1e-3, rtol=0)


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
    assert FlowTeacher(model, LabelSettings(views=("2x",))).fingerprint != base
    probing = FlowTeacher(model, LabelSettings(probe=("2x",))).fingerprint
    assert len({base, probing, FlowTeacher(model, LabelSettings(probe=("3x",))).fingerprint}) == 3
    torch.manual_seed(1)
    assert FlowTeacher(build_model("raft_small"), LabelSettings()).fingerprint != base


def test_teacher_is_frozen_and_impossible_settings_are_refused(model: FlowModel) -> None:
    FlowTeacher(model.train(), LabelSettings())
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    for wrong in (
        {"iters": 0},
        {"ceiling": 0.0},
        {"max_per_pair": 0},
        {"views": ()},
        {"views": ("1x", "1x")},
        {"probe": ("1x",)},
        {"probe": ("2x", "2x")},
        {"max_pixels": 1000},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            LabelSettings(**wrong)
    for view in ("0.4x", "4x", "twice"):
        with pytest.raises(ConfigError, match="view"):
            LabelSettings(views=("1x", view))
        with pytest.raises(ConfigError, match="view"):
            LabelSettings(probe=(view,))
