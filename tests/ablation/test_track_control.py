"""What the control of tracks compares."""

import torch

from refine_motion.models.pips import SMALL, Pips
from tests.ablation.track_control import halfway, table


def test_halfway_lies_in_the_middle_and_leaves_both_ends() -> None:
    start, end = Pips("a", SMALL), Pips("b", SMALL)
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in (start, end)]
    found = halfway(start, end).state_dict()
    for name, value in found.items():
        torch.testing.assert_close(value, (before[0][name] + before[1][name]) / 2)
    for model, states in zip((start, end), before, strict=True):
        assert all(torch.equal(value, states[name]) for name, value in model.state_dict().items())


def test_the_mean_of_worst_videos_is_the_worst() -> None:
    lines = table({"fog": (70.0, 1.0, 0.5, 2.0, -0.5), "night": (80.0, 2.0, -0.25, 4.0, 1.0)}).splitlines()
    assert lines[2] == "| fog | 70.0 | +1.00 | +0.50 | +2.00 | -0.50 |"
    assert lines[4] == "| mean | 75.0 | +1.50 | -0.25 | +3.00 | -0.50 |"
