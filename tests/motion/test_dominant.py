from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.motion.dominant import affine_flow, fit_dominant_motion
from refine_motion.motion.grid import pixel_grid

SIZE = (120, 200)
CAMERA = torch.tensor([[0.02, -0.01, -30.0], [0.005, 0.03, 4.0]])


def picture(step: int = 2) -> torch.Tensor:
    return pixel_grid(*SIZE)[:, ::step, ::step].flatten(1).T


def farthest(found: torch.Tensor, true: torch.Tensor) -> float:
    """Largest distance in pixels between two motions over the picture."""
    return (affine_flow(found, picture()) - affine_flow(true, picture())).norm(dim=1).max().item()


def test_affine_flow_by_hand() -> None:
    motion = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 5.0]])
    assert affine_flow(motion, torch.tensor([[10.0, 20.0], [0.0, 0.0]])).tolist() == [[53, -15], [3, 5]]


@pytest.mark.parametrize("count", [3, 10, 6000])
def test_exact_on_an_affine_field(count: int) -> None:
    xy = picture()[torch.randperm(6000, generator=torch.Generator().manual_seed(1))[:count]]
    found = fit_dominant_motion(xy, affine_flow(CAMERA, xy), SIZE)
    assert found.shape == (2, 3)
    assert found.dtype == torch.float32
    assert farthest(found, CAMERA) < 1e-3


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("coherent", [True, False])
def test_two_fifths_of_outliers_on_an_object_do_not_move_it(seed: int, coherent: bool) -> None:
    source = torch.Generator().manual_seed(seed)
    xy = picture()
    flow = affine_flow(CAMERA, xy) + 0.2 * torch.randn(len(xy), 2, generator=source)
    # A rectangle whose motion is affine too, and a few pixels away from the camera's or far from it.
    on_object = (xy[:, 0] > 60) & (xy[:, 0] < 190) & (xy[:, 1] > 30) & (xy[:, 1] < 105)
    assert 0.38 < on_object.float().mean() < 0.42
    away = torch.tensor([6.0, -4.0]) if coherent else 20 * torch.randn(int(on_object.sum()), 2, generator=source) + 9
    flow[on_object] += away
    assert farthest(fit_dominant_motion(xy, flow, SIZE, seed), CAMERA) < 0.15


def test_the_larger_of_three_groups_wins_without_a_majority() -> None:
    xy = picture()
    flow = affine_flow(CAMERA, xy)
    flow[xy[:, 0] > 90] += torch.tensor([10.0, 0.0])
    flow[xy[:, 0] > 150] += torch.tensor([0.0, 25.0])
    assert farthest(fit_dominant_motion(xy, flow, SIZE), CAMERA) < 0.05


@pytest.mark.parametrize("edges", [(100, 200), (80, 140), (90, 150)])
def test_a_shear_between_the_motions_of_bands_does_not_win(edges: tuple[int, int]) -> None:
    # The first band is the largest, and a shear comes within a few pixels of two of them at once.
    xy = picture()
    flow = torch.zeros_like(xy)
    flow[xy[:, 0] >= edges[0], 0] = 9.0
    flow[xy[:, 0] >= edges[1], 0] = 20.0
    found = affine_flow(fit_dominant_motion(xy, flow, SIZE), xy)
    agreeing = (found - flow).norm(dim=1) < 1e-3
    sizes = [(xy[:, 0] < edges[0]).sum(), ((xy[:, 0] >= edges[0]) & (xy[:, 0] < edges[1])).sum()]
    assert agreeing.sum() == max(sizes)


def test_an_object_that_is_fast_in_the_image_is_no_more_an_outlier_than_a_slow_one() -> None:
    # The story of a camera that follows an animal: the world rushes by, the animal hardly moves.
    xy, source = picture(), torch.Generator().manual_seed(0)
    flow = torch.tensor([60.0, 0.0]) + torch.randn(len(xy), 2, generator=source)
    animal = (xy - torch.tensor([100.0, 60.0])).norm(dim=1) < 25
    flow[animal] = torch.tensor([5.0, 2.0])
    found = fit_dominant_motion(xy, flow, SIZE)
    relative = flow - affine_flow(found, xy)
    assert relative[animal].norm(dim=1).min() > 50
    assert relative[~animal].norm(dim=1).median() < 1.5


@settings(max_examples=40, deadline=None)
@given(
    added=st.lists(st.floats(-0.25, 0.25, allow_subnormal=False), min_size=4, max_size=4),
    shift=st.lists(st.floats(-50, 50, allow_subnormal=False), min_size=2, max_size=2),
    seed=st.integers(0, 50),
    outliers=st.sampled_from([0.0, 0.2, 0.4]),
)
def test_adding_an_affine_field_adds_to_the_fit(
    added: list[float], shift: list[float], seed: int, outliers: float
) -> None:
    source = torch.Generator().manual_seed(seed)
    xy = picture(4)
    flow = 0.1 * torch.randn(len(xy), 2, generator=source)
    flow[: int(outliers * len(xy))] += torch.tensor([8.0, 3.0])
    extra = torch.cat((torch.tensor(added).view(2, 2), torch.tensor(shift)[:, None]), dim=1)
    before = fit_dominant_motion(xy, flow, SIZE, seed)
    after = fit_dominant_motion(xy, flow + affine_flow(extra, xy), SIZE, seed)
    assert farthest(after, before + extra) < 2e-3


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), turns=st.integers(1, 3))
def test_turning_the_picture_turns_the_motion(seed: int, turns: int) -> None:
    source = torch.Generator().manual_seed(seed)
    xy = 100 * torch.rand(500, 2, generator=source)
    flow = affine_flow(CAMERA, xy)
    flow[:150] += torch.tensor([5.0, 5.0])
    turn = torch.matrix_power(torch.tensor([[0.0, -1.0], [1.0, 0.0]]), turns)
    centre = torch.full((2,), 50.0)
    turned = (xy - centre) @ turn.T + centre
    found = fit_dominant_motion(turned, flow @ turn.T, (101, 101), seed)
    expected = fit_dominant_motion(xy, flow, (101, 101), seed)
    torch.testing.assert_close(affine_flow(found, turned), affine_flow(expected, xy) @ turn.T, atol=1e-3, rtol=0)


def test_few_points_give_a_translation_and_none_gives_zeros() -> None:
    none = torch.zeros(0, 2)
    assert fit_dominant_motion(none, none, SIZE).tolist() == [[0, 0, 0], [0, 0, 0]]
    xy, flow = torch.tensor([[3.0, 4.0], [50.0, 60.0]]), torch.tensor([[2.0, -1.0], [4.0, 1.0]])
    assert fit_dominant_motion(xy[:1], flow[:1], SIZE).tolist() == [[0, 0, 2], [0, 0, -1]]
    assert fit_dominant_motion(xy, flow, SIZE).tolist() == [[0, 0, 3], [0, 0, 0]]


def test_points_that_do_not_span_the_plane_are_fitted_where_they_are() -> None:
    line = torch.stack((torch.arange(100.0), torch.full((100,), 7.0)), dim=1)
    found = fit_dominant_motion(line, affine_flow(CAMERA, line), SIZE)
    assert found.isfinite().all()
    torch.testing.assert_close(affine_flow(found, line), affine_flow(CAMERA, line), atol=1e-3, rtol=0)
    same = torch.full((50, 2), 9.0)
    found = fit_dominant_motion(same, torch.full((50, 2), 3.0), SIZE)
    torch.testing.assert_close(affine_flow(found, same), torch.full((50, 2), 3.0), atol=1e-4, rtol=0)


def test_the_seed_alone_decides_which_points_are_looked_at() -> None:
    source = torch.Generator().manual_seed(0)
    xy = picture(1)
    flow = affine_flow(CAMERA, xy) + torch.randn(len(xy), 2, generator=source)
    first = fit_dominant_motion(xy, flow, SIZE, 3)
    assert torch.equal(first, fit_dominant_motion(xy, flow, SIZE, 3))
    assert not torch.equal(first, fit_dominant_motion(xy, flow, SIZE, 4))
    assert farthest(first, CAMERA) < 0.2


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="xy and flow"):
        fit_dominant_motion(torch.zeros(3, 2), torch.zeros(4, 2), SIZE)
    with pytest.raises(ValueError, match="xy and flow"):
        fit_dominant_motion(torch.zeros(2, 3), torch.zeros(2, 3), SIZE)
