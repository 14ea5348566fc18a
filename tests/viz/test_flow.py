from __future__ import annotations

import doctest
import math

import pytest
import torch

import refine_motion.viz.flow as flow_module
from refine_motion.viz.flow import error_to_rgb, flow_key, flow_to_rgb, overlay_flow


def colour(x: float, y: float, max_speed: float = 1.0) -> list[int]:
    return flow_to_rgb(torch.tensor([[[x]], [[y]]]), max_speed)[:, 0, 0].tolist()


def middlebury_wheel() -> list[list[int]]:
    """The 55 hues, written out stretch by stretch as in Middlebury's ``makecolwheel``."""
    return [
        *([255, 255 * i // 15, 0] for i in range(15)),
        *([255 - 255 * i // 6, 255, 0] for i in range(6)),
        *([0, 255, 255 * i // 4] for i in range(4)),
        *([0, 255 - 255 * i // 11, 255] for i in range(11)),
        *([255 * i // 13, 0, 255] for i in range(13)),
        *([255, 0, 255 - 255 * i // 6] for i in range(6)),
    ]


class TestColourCode:
    @pytest.mark.parametrize("index", range(54))
    def test_hues_of_the_wheel(self, index: int):
        # Hue number i of 0..54 is the direction whose opposite has the angle pi (2 i / 54 - 1).
        angle = math.pi * (2 * index / 54 - 1)
        found = colour(-math.cos(angle), -math.sin(angle), max_speed=1 + 1e-6)
        assert found == pytest.approx(middlebury_wheel()[index], abs=1.01)

    def test_no_motion_is_white_and_half_the_speed_half_as_strong(self):
        assert colour(0, 0) == [255, 255, 255]
        assert colour(1, 0) == [255, 0, 0]
        assert colour(0.5, 0) == [255, 127, 127]

    def test_down_is_yellow_and_up_is_violet(self):
        red, green, blue = colour(0, 1)
        assert (red, blue) == (255, 0)
        assert green > 200
        red, green, blue = colour(0, -1)
        assert (green, blue) == (0, 255)
        assert 50 < red < 150

    def test_faster_than_the_scale_is_darker(self):
        assert colour(3, 0) == [191, 0, 0]

    def test_scale_is_the_largest_known_speed(self):
        flow = torch.tensor([[[2.0, 1.0, 1e10]], [[0.0, 0.0, 1e10]]])
        known = torch.tensor([[True, True, False]])
        assert flow_to_rgb(flow, valid=known)[:, 0].T.tolist() == [[255, 0, 0], [255, 127, 127], [0, 0, 0]]

    def test_still_and_not_finite(self):
        assert (flow_to_rgb(torch.zeros(2, 3, 4)) == 255).all()
        assert flow_to_rgb(torch.full((2, 1, 1), math.nan)).flatten().tolist() == [0, 0, 0]

    def test_shape(self):
        assert flow_to_rgb(torch.randn(2, 5, 7)).shape == (3, 5, 7)
        with pytest.raises(ValueError, match="flow has shape"):
            flow_to_rgb(torch.zeros(1, 2, 5, 7))

    def test_key_shows_the_code(self):
        key = flow_key(101)
        assert key[:, 0, 0].tolist() == [255, 255, 255]
        assert key[:, 50, 50].tolist() == pytest.approx([255, 255, 255], abs=1)
        assert key[:, 50, 100].tolist() == colour(1, 0)
        assert key[:, 100, 50].tolist() == colour(0, 1)


class TestError:
    def test_brighter_with_the_error_up_to_the_limit(self):
        image = error_to_rgb(torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0, 40.0]]), max_error=4)
        brightness = image.float().sum(dim=0)[0]
        assert (brightness.diff()[:4] > 20).all()
        assert torch.equal(image[:, 0, 4], image[:, 0, 5])

    def test_unknown_is_grey(self):
        image = error_to_rgb(torch.tensor([[1.0, math.nan]]), 2, valid=torch.tensor([[False, True]]))
        assert (image == 128).all()


def test_overlay_has_colours_only_where_kept():
    frame = torch.randint(0, 256, (3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    flow, kept = torch.zeros(2, 4, 6), torch.zeros(4, 6, dtype=torch.bool)
    flow[0], kept[1, 2] = 1.0, True
    flow[:, 0, 0] = 100.0  # not kept: must not set the scale
    image = overlay_flow(frame, flow, kept)
    assert image[:, 1, 2].tolist() == [255, 0, 0]
    rest = image[:, ~kept]
    assert (rest[0] == rest[1]).all()
    assert (rest[0] == rest[2]).all()
    assert rest.max() <= 90


@pytest.mark.parametrize("module", [flow_module], ids=lambda module: module.__name__)
def test_examples_in_the_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
