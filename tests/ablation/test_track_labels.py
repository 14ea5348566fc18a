from __future__ import annotations

import pytest
import torch

from refine_motion.labels.track_codec import TrackLabel, mean_step
from refine_motion.types import Evidence
from tests.ablation.track_labels import RULES, judged, lag, rows


def test_precision_and_recall_by_hand() -> None:
    """Four tracks on frames of 256x448: good and consistent, good and not, bad and consistent, on something else."""
    truth = torch.arange(8.0).view(-1, 1, 1) * torch.tensor([[3.0, 0.0], [0.0, 0.0], [3.0, 0.0], [0.0, 0.0]]) + 40
    places = truth.clone()
    places[4:, 2, 1] += 5
    visible = torch.ones(8, 4, dtype=torch.bool)
    visible[3:6, 3] = False
    seen = torch.ones_like(visible)
    zeros = torch.zeros(4)
    speed = mean_step(places)
    evidence = Evidence(torch.tensor([0.1, 9.0, 0.1, 0.1]), speed, speed, zeros, zeros, zeros, zeros)
    found = judged(TrackLabel((256, 448), places, seen, seen, evidence), truth, visible)
    assert found.good.tolist() == [True, True, False, False]
    assert found.groups["fast"].tolist() == [True, False, True, False]
    assert found.groups["hidden at times"].tolist() == [False, False, False, True]
    table = {row[0]: row[1:] for row in rows([found])}
    assert list(table) == list(RULES)
    assert table["none"] == ["100%", "50% / 100%", "50% / 100%", "0% / 0%"]
    assert table["3 px in all frames"] == ["75%", "33% / 50%", "50% / 100%", "0% / 0%"]
    assert table["3 px, faster than 5 px"] == ["0%", "0% / 0%", "0% / 0%", "0% / 0%"]


def test_what_tracks_fall_short_of_by_hand() -> None:
    """On frames of 256x448: half of 2 px in all, a quarter of 7, half of 40 (soon lost), and one that stands."""
    time = torch.arange(8.0).view(-1, 1, 1) / 7
    truth = time * torch.tensor([[2.0, 0.0], [0.0, 7.0], [-40.0, 0.0], [0.0, 0.0]]) + 60
    places = 60 + (truth - 60) * torch.tensor([0.5, 0.75, 0.5, 1.0])[:, None]
    ones = torch.ones(8, 4, dtype=torch.bool)
    zeros = torch.zeros(4)
    speed = mean_step(places)
    label = TrackLabel((256, 448), places, ones, ones, Evidence(zeros, speed, speed, zeros, zeros, zeros, zeros))
    found = judged(label, truth, ones)
    slow = [8 / 7, 10 / 7, 12 / 7, 2.0]
    assert found.lags[0] == pytest.approx((sum(slow) / 2 + 3 / 4, sum(slow) + 3), rel=1e-4)
    assert found.lags[1] == pytest.approx((25 / 4 + 20 / 7, 25 + 40 / 7), rel=1e-4)
    assert found.lags[2] == pytest.approx((40 / 7, 80 / 7), rel=1e-4)
    assert lag([found]) == "Short of their way: 1 to 3 px 42%, 3 to 8 px 30%, 8 px and more 50%"
