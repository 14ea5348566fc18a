from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from refine_motion.benchmarks.image_files import read_image
from refine_motion.errors import BenchmarkError


def test_rgb_order_and_shape(tmp_path: Path):
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == torch.uint8
    assert np.array_equal(image.numpy(), pixels.transpose(2, 0, 1))


def test_grey_is_repeated(tmp_path: Path):
    Image.new("L", (4, 3), 90).save(tmp_path / "a.png")
    assert torch.equal(read_image(tmp_path / "a.png"), torch.full((3, 3, 4), 90, dtype=torch.uint8))


def test_sixteen_bits_are_refused_and_not_clipped(tmp_path: Path):
    Image.fromarray(np.full((3, 4), 5000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(BenchmarkError, match="more than 8 bits"):
        read_image(tmp_path / "a.png")


def test_what_is_no_picture(tmp_path: Path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(BenchmarkError, match=r"a\.png: cannot be read as a picture"):
        read_image(tmp_path / "a.png")
    with pytest.raises(BenchmarkError, match=r"b\.png: cannot be read as a picture"):
        read_image(tmp_path / "b.png")
