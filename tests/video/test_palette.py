from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from refine_motion.errors import BenchmarkError
from refine_motion.video import palette as room
from refine_motion.video.palette import colour, read_mask, write_mask


def test_examples() -> None:
    assert doctest.testmod(room).failed == 0


def test_written_masks_equal_the_official_ones(reference: Path, tmp_path: Path) -> None:
    ids = torch.from_numpy(np.load(reference / "file_formats.npz")["davis_palette_ids"])
    assert torch.equal(read_mask(reference / "davis_palette.png"), ids)
    write_mask(tmp_path / "new" / "00000.png", ids)
    with Image.open(tmp_path / "new" / "00000.png") as ours, Image.open(reference / "davis_palette.png") as theirs:
        assert (ours.mode, ours.getpalette()) == (theirs.mode, theirs.getpalette())
        assert np.array_equal(np.array(ours), np.array(theirs))


@given(st.lists(st.integers(0, 255), min_size=6, max_size=6))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, ids: list[int]) -> None:
    file = tmp_path_factory.getbasetemp() / "mask.png"
    mask = torch.tensor(ids, dtype=torch.uint8).view(2, 3)
    write_mask(file, mask)
    assert torch.equal(read_mask(file, (2, 3)), mask)
    with Image.open(file) as image:
        shown = np.array(image.convert("RGB")).reshape(-1, 3)
    assert [tuple(pixel) for pixel in shown.tolist()] == [colour(number) for number in ids]


def test_no_two_objects_look_alike() -> None:
    assert len({colour(number) for number in range(256)}) == 256


def save(path: Path, values: list[list[int]], mode: str = "L") -> Path:
    Image.fromarray(np.array(values, np.uint8)).convert(mode).save(path)
    return path


def test_masks_without_a_palette(tmp_path: Path) -> None:
    # Of DAVIS 2016, where a few files are in equal colours or have transparency.
    for mode in ("L", "1", "LA", "RGB", "RGBA"):
        assert read_mask(save(tmp_path / "2016.png", [[0, 255], [255, 0]], mode)).tolist() == [[0, 1], [1, 0]]
    assert read_mask(save(tmp_path / "all.png", [[255, 255]])).tolist() == [[1, 1]]
    # Numbers as grey values, with void.
    assert read_mask(save(tmp_path / "grey.png", [[0, 2], [1, 255]])).tolist() == [[0, 2], [1, 255]]
    # In a palette 255 is void even where there is nothing else.
    write_mask(tmp_path / "void.png", torch.tensor([[0, 255]], dtype=torch.uint8))
    assert read_mask(tmp_path / "void.png").tolist() == [[0, 255]]


def test_what_is_no_mask(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), (1, 2, 3)).save(tmp_path / "rgb.png")
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "text.png").write_text("no picture")
    whole = tmp_path / "whole.png"
    write_mask(whole, torch.randint(0, 255, (50, 50)).to(torch.uint8))
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:-1500])
    messages = {
        "rgb.png": "a RGB picture is no mask",
        "deep.png": "a I;16 picture is no mask",
        "text.png": "cannot be read as a mask",
        "cut.png": "cannot be read as a mask",
        "absent.png": r"cannot be read as a mask \(No such file or directory\)",
    }
    for name, message in messages.items():
        with pytest.raises(BenchmarkError, match=rf"{name}: {message}") as error:
            read_mask(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(BenchmarkError, match=r"whole\.png: 50 x 50 pixels where 60 x 50 are expected"):
        read_mask(whole, (50, 60))


def test_what_cannot_be_written(tmp_path: Path) -> None:
    for ids in (torch.zeros(2, 2), torch.zeros(1, 2, 2, dtype=torch.uint8)):
        with pytest.raises(ValueError, match=r"must be \(H, W\) uint8"):
            write_mask(tmp_path / "mask.png", ids)
    assert not list(tmp_path.iterdir())
