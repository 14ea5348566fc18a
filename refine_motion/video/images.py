"""Frames that lie as images in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read one image as it is meant to be shown.

    Palettes are looked up, grey is repeated over the channels, transparency is dropped, 16-bit values keep their high
    byte, and the EXIF orientation is applied.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        ValueError: if the values have no fixed range (floating point, or integers beyond 16 bits).
        OSError, SyntaxError: if the file is not a readable image (Pillow raises either, by format).
    """
    with Image.open(path) as image:
        shown = ImageOps.exif_transpose(image)
        if shown.mode == "F":
            raise ValueError("floating-point image without a range")
        if shown.mode.startswith("I"):  # 16-bit grey: Pillow would clip, not scale, on conversion
            grey = np.asarray(shown).astype(np.int64)
            if grey.min() < 0 or grey.max() > 0xFFFF:
                raise ValueError("integer image beyond 16 bits")
            return np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=-1)
        return np.asarray(shown.convert("RGB"))
