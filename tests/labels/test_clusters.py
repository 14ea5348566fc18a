from __future__ import annotations

import math

import pytest
import torch

from refine_motion.labels.clusters import CLUSTERS, motion_cluster
from tests.labels.made import camera_and_object, made_label

PAN = torch.tensor([[0.0, 0.0, -40.0], [0.0, 0.0, 0.0]])


def before_a_background(flow: torch.Tensor, background: tuple[float, float] = (0.0, 0.0)) -> torch.Tensor:
    """Numbers of the clusters of a few labels among many of a background that moves as a whole."""
    whole = torch.tensor(background).repeat(2400, 1)
    whole[: len(flow)] = flow
    return motion_cluster(made_label(whole, size=(40, 60)))[: len(flow)]


@pytest.mark.parametrize("beside", [-0.38, 0.0, 0.38])
def test_every_direction_is_named_as_it_is_seen(beside: float) -> None:
    # y points down, so an angle that grows turns clockwise on the screen; octants reach to 0.39 on both sides.
    angles = torch.arange(8) * math.pi / 4 + beside
    found = before_a_background(10 * torch.stack((angles.cos(), angles.sin()), dim=1))
    names = [CLUSTERS[number] for number in found.tolist()]
    assert names == ["right", "down right", "down", "down left", "left", "up left", "up", "up right"]


def test_motion_is_judged_against_that_of_the_camera_and_not_in_the_image() -> None:
    # The camera follows the object: it rests in the image, and the world rushes by.
    label = camera_and_object(PAN, share=0.1, moves=(40.0, 0.0))
    found = motion_cluster(label)
    assert label.evidence.speed[:240].max() < 1e-3
    assert (found[:240] == CLUSTERS.index("right")).all()
    assert (found[240:] == 0).all()


def test_relative_motion_is_what_the_camera_leaves() -> None:
    zoom = torch.tensor([[0.3, 0.1, -5.0], [-0.1, 0.3, -4.0]])
    relative = camera_and_object(zoom, share=0.1, moves=(4.0, -7.0)).relative
    torch.testing.assert_close(relative[:240], torch.tensor([[4.0, -7.0]]).expand(240, 2), atol=1e-3, rtol=0)
    assert relative[240:].abs().max() < 1e-3


def test_both_limits_must_be_exceeded() -> None:
    still = torch.tensor([[2.9, 0.0], [3.1, 0.0]])
    assert (before_a_background(still) > 0).tolist() == [False, True]
    fast = torch.tensor([[40.0, 9.9], [40.0, 10.1]])
    assert (before_a_background(fast, (40.0, 0.0)) > 0).tolist() == [False, True]


def test_limits_can_be_set() -> None:
    flow = torch.tensor([40.0, 0.0]).repeat(2400, 1)
    flow[0, 1], flow[1, 1] = 2.5, 1.5
    label = made_label(flow, size=(40, 60))
    assert (motion_cluster(label) > 0)[:3].tolist() == [False, False, False]
    assert (motion_cluster(label, 2.0, 0.05) > 0)[:3].tolist() == [True, False, False]
    assert (motion_cluster(label, 1.0, 0.01) > 0)[:3].tolist() == [True, True, False]


def test_no_entry_has_no_cluster() -> None:
    assert motion_cluster(made_label(torch.zeros(0, 2))).shape == (0,)
