from __future__ import annotations

import pytest
import torch
from torch import Tensor

from refine_motion.motion.propagate import propagate
from refine_motion.propagation.settings import PropagationSettings
from refine_motion.propagation.tracks import TrackMatcher
from tests.propagation.made import Drifting, centre, disc, numbered, overlap


def carried(labels: Tensor, model: Drifting, count: int = 5, **settings: int) -> list[Tensor]:
    frames = numbered(count, *labels.shape[1:]) if labels.ndim == 3 else numbered(count, 40, 60)
    return list(propagate(TrackMatcher(model, PropagationSettings(**settings)), labels, frames))


class TestMasks:
    @pytest.mark.parametrize(("height", "width"), [(120, 160), (117, 163)])
    def test_points_that_stay_keep_them(self, height: int, width: int) -> None:
        first = disc(height, width, 70, 60, 30)
        for labels in carried(first, Drifting(0, 0)):
            torch.testing.assert_close(labels.sum(dim=0), torch.ones(height, width))
        assert overlap(labels.argmax(dim=0), first[1]) > 0.96
        assert (centre(labels.argmax(dim=0)) - centre(first[1])).norm() < 0.5

    def test_they_go_with_the_points(self) -> None:
        first = disc(120, 160, 60, 50, 30)
        finer = [
            overlap(carried(first, Drifting(5, 3), spacing=spacing)[-1].argmax(dim=0), disc(120, 160, 80, 62, 30)[1])
            for spacing in (16, 8, 4)
        ]
        assert finer[0] < finer[1] < finer[2]
        assert finer[1] > 0.93

    def test_hidden_points_do_not_vote_while_others_are_seen(self) -> None:
        first = torch.zeros(2, 16, 64)
        first[1, :, :32] = 1
        first[0] = 1 - first[1]
        assert carried(first, Drifting(0, 0, hidden=32))[-1][1].max() == 0
        assert torch.equal(carried(first, Drifting(0, 0, hidden=100))[-1].argmax(dim=0), first[1].long())

    def test_the_nearest_votes_and_how_many(self) -> None:
        first = torch.zeros(2, 8, 16)
        first[1, :, :8] = 1
        first[0] = 1 - first[1]
        # Two points; each place of the grid is asked 2 px left of one.
        one, both = (carried(first, Drifting(2, 0), spacing=8, neighbours=n)[1][1] for n in (1, 4))
        assert one[0, 3] == 1
        # At 2 and at 10 px.
        assert both[0, 3] == pytest.approx((1 / 2) / (1 / 2 + 1 / 10), abs=1e-4)

    def test_queries_lie_inside(self) -> None:
        model = Drifting(0, 0)
        carried(disc(33, 41, 20, 20, 9), model)
        assert model.asked[:, 1:].amax(dim=0).tolist() == [40, 32]
        assert len(model.asked) == 5 * 6


class TestPoints:
    def test_they_are_followed(self) -> None:
        points = torch.tensor([[10.25, 20.5], [30.0, 3.0]], dtype=torch.float64)
        found = torch.stack(carried(points, Drifting(1.5, -0.5))).float()
        torch.testing.assert_close(found, points.float() + torch.arange(5)[:, None, None] * torch.tensor([1.5, -0.5]))

    def test_at_the_edge_and_outside(self) -> None:
        points = torch.tensor([[-0.4, 20.0], [-3.0, 20.0], [59.5, 39.5]])
        found = carried(points, Drifting(0, 0))[-1]
        assert found[0].tolist() == [0, 20]
        assert found[1].isnan().all()
        assert found[2].tolist() == [59, 39]
        nowhere = carried(points[1:2], Drifting(0, 0))
        assert len(nowhere) == 5
        assert nowhere[-1].isnan().all()


def test_results_say_what_was_in_force() -> None:
    matcher = TrackMatcher(Drifting(0, 0), PropagationSettings(spacing=5, neighbours=3))
    assert matcher.about == (
        "drifting: points followed through the whole video; masks by a point every 5 px, 3 of which vote"
    )
    assert (matcher.min_side, matcher.min_frames) == (2, 3)
