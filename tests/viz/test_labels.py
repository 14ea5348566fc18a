from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from refine_motion.benchmarks.synthetic.labelled import write_labelled_clips
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.opened import OpenedLabels, open_labels
from refine_motion.labels.select import MinSpeed
from refine_motion.labels.survivors import Survivor, worst_survivors
from refine_motion.viz.labels import draw_pairs, draw_survivors, overlay_verdict
from refine_motion.viz.notebook import NotebookFigure
from tests.labels.made import made_label


def drawn(figure: NotebookFigure) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(figure._repr_png_())).convert("RGB")).astype(int)


def share(picture: np.ndarray, *colour: int) -> float:
    return float((np.abs(picture - colour).max(axis=-1) <= 3).mean())


def moving_right(size: tuple[int, int], speed: torch.Tensor) -> FlowLabel:
    """A label of every pixel where the speed is above zero."""
    index = speed.flatten().nonzero().flatten()
    flow = torch.stack((speed.flatten()[index], torch.zeros(len(index))), dim=1)
    return made_label(flow, size=size, index=index)


def test_verdict_is_blue_orange_or_dark() -> None:
    frame = torch.full((3, 1, 3), 100, dtype=torch.uint8)
    kept, dropped = torch.tensor([[True, False, False]]), torch.tensor([[True, True, False]])
    blue, orange, dark = overlay_verdict(frame, kept, dropped)[:, 0].T.tolist()
    assert blue[2] > blue[0] + 50
    assert orange[0] > orange[2] + 50
    assert dark == [35, 35, 35]


@pytest.mark.parametrize("size", [(60, 80), (600, 800)])
def test_pairs_show_each_flow_in_its_own_panel(size: tuple[int, int]) -> None:
    frame = torch.full((3, *size), 128, dtype=torch.uint8)
    speed = torch.zeros(size)
    speed[: size[0] // 2], speed[-size[0] // 4 :] = 8.0, 4.0
    picture = drawn(draw_pairs({"first": (frame, moving_right(size, speed))}, [MinSpeed(6.0)], max_speed=8.0))
    panels = np.array_split(picture[:, : int(0.95 * picture.shape[1])], 4, axis=1)
    grey, fast, slow = (128, 128, 128), (255, 0, 0), (255, 127, 127)
    assert share(panels[0], *grey) > 0.5
    assert share(panels[2], *fast) > 0.25
    assert share(panels[2], *slow) < 0.01
    assert share(panels[3], *slow) > 0.1
    assert share(panels[3], *fast) < 0.01


def test_scattered_pixels_of_a_large_frame_stay_visible() -> None:
    size = (600, 800)
    frame, speed = torch.full((3, *size), 128, dtype=torch.uint8), torch.zeros(size)
    speed[::3, ::3] = 8.0
    picture = drawn(draw_pairs({"first": (frame, moving_right(size, speed))}, [], max_speed=8.0))
    assert share(np.array_split(picture, 4, axis=1)[2], 255, 0, 0) > 0.5


def test_labels_without_a_pixel_can_be_drawn() -> None:
    frame = torch.zeros(3, 60, 80, dtype=torch.uint8)
    assert draw_pairs({"empty": (frame, moving_right((60, 80), torch.zeros(60, 80)))}, [])._repr_png_()
    with pytest.raises(ValueError, match="no pairs"):
        draw_pairs({}, [])


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenedLabels:
    return open_labels(write_labelled_clips(tmp_path_factory.mktemp("made"), (3,), 3, (64, 96)))


def test_survivor_has_two_crops_around_its_two_positions(opened: OpenedLabels) -> None:
    one = Survivor(opened.keys[0], (40, 30), (3.0, -2.0), 0.97, 1.1)
    figure = draw_survivors(opened, [one], crop=20)
    first, second = figure.axes
    assert (first.get_xlim(), first.get_ylim()) == ((30, 50), (40, 20))
    assert (second.get_xlim(), second.get_ylim()) == ((33, 53), (38, 18))
    title = figure.subfigs[0].get_suptitle()
    assert "frame 0 → 1" in title
    assert "0.97 x" in title
    assert figure._repr_png_()


def test_as_many_survivors_as_given(opened: OpenedLabels) -> None:
    found = worst_survivors(opened.spread(2), [], count=4)
    assert len(draw_survivors(opened, found).axes) == 8
    with pytest.raises(ValueError, match="no survivors"):
        draw_survivors(opened, [])
