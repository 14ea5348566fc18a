from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from refine_motion.viz.figure import Panel, save_panels


def panel(red: int, green: int, blue: int, is_error: bool = False, size: tuple[int, int] = (60, 100)) -> Panel:
    colour = torch.tensor([red, green, blue], dtype=torch.uint8)
    return Panel(colour[:, None, None].expand(3, *size), "title", is_error)


def drawn(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def share(picture: np.ndarray, *colour: int) -> float:
    return float((np.abs(picture - colour).max(axis=-1) <= 2).mean())


def box(picture: np.ndarray, *colour: int, tolerance: int = 2) -> tuple[int, int, int, int]:
    """Left, right, top and bottom of the pixels of a colour."""
    rows, columns = np.nonzero(np.abs(picture - colour).max(axis=-1) <= tolerance)
    return columns.min(), columns.max(), rows.min(), rows.max()


class TestGrid:
    def test_panels_stand_in_their_places_in_equal_size(self, tmp_path: Path):
        path = tmp_path / "new" / "figure.png"
        save_panels(path, [[panel(200, 0, 0), panel(0, 200, 0)], [panel(0, 0, 200)]])
        picture = drawn(path)
        red, green, blue = (box(picture, *c) for c in ((200, 0, 0), (0, 200, 0), (0, 0, 200)))
        assert red[1] < green[0]
        assert red[3] < blue[2]
        assert red[2:] == green[2:]
        assert red[:2] == blue[:2]
        assert (red[1] - red[0]) / (red[3] - red[2]) == pytest.approx(100 / 60, rel=0.02)
        assert share(picture, 200, 0, 0) == pytest.approx(share(picture, 0, 200, 0), rel=0.02)

    def test_row_titles_take_space_at_the_left(self, tmp_path: Path):
        save_panels(tmp_path / "a.png", [[panel(200, 0, 0)]])
        save_panels(tmp_path / "b.png", [[panel(200, 0, 0)]], row_titles=["horse"])
        a, b = drawn(tmp_path / "a.png"), drawn(tmp_path / "b.png")
        assert box(b, 200, 0, 0)[0] - box(a, 200, 0, 0)[0] > 20
        margin = b[:, 5 : box(b, 200, 0, 0)[0] - 3]
        assert (margin < 100).any()

    def test_refuses_what_it_cannot_draw(self, tmp_path: Path):
        with pytest.raises(ValueError, match="no panels"):
            save_panels(tmp_path / "a.png", [])
        with pytest.raises(ValueError, match="2 row titles for 1 rows"):
            save_panels(tmp_path / "a.png", [[panel(1, 2, 3)]], row_titles=["a", "b"])


class TestLegend:
    def test_colour_bar_stands_beside_the_rows_of_errors(self, tmp_path: Path):
        rows = [[panel(200, 0, 0)], [panel(0, 200, 0, is_error=True)]]
        save_panels(tmp_path / "a.png", rows, max_error=3)
        picture = drawn(tmp_path / "a.png")
        errors = box(picture, 0, 200, 0)
        legend = picture[:, errors[1] + 3 :]
        brightest, darkest = box(legend, 252, 254, 164, tolerance=15), box(legend, 0, 0, 3)
        assert errors[2] < brightest[2] < darkest[3] <= errors[3] + 3
        above = legend[: errors[2] - 40]
        assert (above == 255).all()

    def test_key_of_flow_at_the_top(self, tmp_path: Path):
        rows = [[panel(90, 90, 90)], [panel(0, 200, 0, is_error=True)]]
        save_panels(tmp_path / "a.png", rows, max_speed=8, max_error=3)
        picture = drawn(tmp_path / "a.png")
        first, errors = box(picture, 90, 90, 90), box(picture, 0, 200, 0)
        legend = picture[:, first[1] + 3 :]
        pure_red = np.argwhere((legend[..., 0] > 240) & (legend[..., 1] < 20) & (legend[..., 2] < 20))
        assert len(pure_red) > 0
        assert pure_red[:, 0].max() < errors[2]

    def test_no_legend_when_no_scale_is_given(self, tmp_path: Path):
        save_panels(tmp_path / "a.png", [[panel(200, 0, 0)]])
        picture = drawn(tmp_path / "a.png")
        assert picture.shape[1] - box(picture, 200, 0, 0)[1] < 20
