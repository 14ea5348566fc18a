from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refine_motion.video.images import read_image

RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def test_grey_is_repeated(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), np.stack([RAMP] * 3, -1))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_keeps_its_high_byte(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RAMP.astype(np.uint16) * 256 + 200).save(path)
    assert np.array_equal(read_image(path), np.stack([RAMP] * 3, -1))


def test_palette_and_transparency(tmp_path: Path) -> None:
    rgb = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], -1)
    Image.fromarray(np.concatenate([rgb, rgb[..., :1]], -1), "RGBA").save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), rgb)
    Image.fromarray(rgb).quantize(12).save(tmp_path / "p.png")
    assert np.array_equal(read_image(tmp_path / "p.png"), rgb)


def test_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    Image.fromarray(RAMP).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png")[..., 0], np.rot90(RAMP, -1))


def test_float_images_are_refused(tmp_path: Path) -> None:
    Image.fromarray(RAMP.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="floating-point"):
        read_image(tmp_path / "a.tif")
