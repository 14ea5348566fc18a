from __future__ import annotations

import pytest
import torch

from refine_motion.motion.census import census_error
from refine_motion.motion.patches import colour_change, patch_error

# Far enough from the edges of 40x56 for a step of 3 or 4.
POINTS = torch.tensor([[15.0, 12.0], [30.5, 20.25], [40.0, 25.0]])


def texture(seed: int = 0) -> torch.Tensor:
    return torch.rand(3, 40, 56, generator=torch.Generator().manual_seed(seed)) * 255


def moving(step: tuple[int, int], frames: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """A texture that goes by whole pixels, and where :data:`POINTS` of it are."""
    image = texture()
    shown = torch.stack([image.roll((step[1] * t, step[0] * t), dims=(1, 2)) for t in range(frames)])
    return shown, POINTS + torch.arange(frames).view(-1, 1, 1) * torch.tensor(step).float()


@pytest.mark.parametrize("step", [(2, 1), (-3, 2), (0, 0)])
def test_the_true_places_have_no_error_and_others_have(step: tuple[int, int]) -> None:
    frames, places = moving(step)
    error = patch_error(frames, places)
    assert error.shape == (4, 3)
    assert error.max() < 1e-4
    assert colour_change(frames, places).max() < 1e-2
    off = places + torch.tensor([1.0, 0.0])
    off[0] = places[0]
    assert not patch_error(frames, off)[0].any()
    # One of them is the darkest far around, and so are its neighbours of theirs.
    assert patch_error(frames, off)[1:].min() > 0.04
    assert patch_error(frames, off)[1:].mean() > 0.3
    assert colour_change(frames, off)[1:].min() > 5
    assert patch_error(frames, off).max() <= 1


def test_the_light_does_not_matter_to_the_patch_but_to_the_colour() -> None:
    frames, places = moving((2, 1))
    frames = frames / 2
    frames[2:] += 20
    assert patch_error(frames, places).max() < 1e-4
    torch.testing.assert_close(colour_change(frames, places)[2], torch.full((3,), 20.0), atol=1e-2, rtol=0)


def test_equals_the_census_of_flow_at_whole_pixels() -> None:
    frames = torch.stack((texture(0), texture(1)))
    places = torch.tensor([[10.0, 8.0], [30.0, 20.0]]).expand(2, -1, -1)
    flow = torch.zeros(1, 2, 40, 56)
    dense = census_error(frames[:1], frames[1:], flow)[0]
    torch.testing.assert_close(patch_error(frames, places)[1], torch.stack((dense[8, 10], dense[20, 30])))


def test_one_pixel_by_hand() -> None:
    frames = torch.zeros(2, 3, 15, 15)
    frames[1, :, 7, 7] = 3.0
    places = torch.tensor([[7.0, 7.0], [10.0, 4.0], [3.0, 7.0]]).expand(2, -1, -1)
    squared = 9 / (9 + 0.81)
    one = squared / (squared + 0.1)
    # In its own square all 48 neighbours differ; in the second it is the outermost; the third does not reach it.
    torch.testing.assert_close(patch_error(frames, places)[1], torch.tensor([48 * one / 49, one / 49, 0.0]))
    assert colour_change(frames, places)[1].tolist() == [3, 0, 0]


def test_colour_by_hand() -> None:
    frames = torch.zeros(2, 3, 9, 9, dtype=torch.uint8)
    frames[1, :, 4, 4] = torch.tensor([30, 60, 0])
    frames[1, 0, 4, 5] = 10
    places = torch.tensor([[4.0, 4.0]]).repeat(2, 1, 1)
    assert colour_change(frames, places).tolist() == [[0], [30]]
    # Half-way to the next pixel, of which the first channel alone is 10.
    places[1, 0, 0] = 4.5
    torch.testing.assert_close(colour_change(frames, places)[1], torch.tensor([(20 + 30 + 0) / 3]))


def test_a_place_that_is_not_a_number_is_as_wrong_as_can_be() -> None:
    frames, places = moving((2, 1))
    places[2, 0, 1] = torch.nan
    error = patch_error(frames, places)
    assert error[2, 0] == 1
    assert error[[0, 1, 3], 0].max() < 1e-4
    assert error[:, 1:].max() < 1e-4
    places[0, 1] = torch.nan
    assert patch_error(frames, places)[:, 1].tolist() == [1, 1, 1, 1]


def test_outside_the_picture_is_continued_by_its_edge() -> None:
    frames = texture().expand(2, -1, -1, -1)
    places = torch.tensor([[[0.0, 20.0]], [[-30.0, 20.0]]])
    found = patch_error(frames, places)
    assert found.isfinite().all()
    # All columns are the first one.
    edge = torch.cat((frames[:1], frames[:1, :, :, :1].expand(1, -1, -1, 56)))
    torch.testing.assert_close(found[1], patch_error(edge, torch.tensor([[[0.0, 20.0]], [[20.0, 20.0]]]))[1])
    assert colour_change(frames, places).max() < 1e-3


def test_no_points() -> None:
    assert patch_error(texture()[None], torch.zeros(1, 0, 2)).shape == (1, 0)
    assert colour_change(texture()[None], torch.zeros(1, 0, 2)).shape == (1, 0)
