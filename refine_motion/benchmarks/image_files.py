"""Frames stored as picture files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from refine_motion.errors import BenchmarkError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".ppm", ".bmp"})
_DEEP_MODES = ("I", "F")


def read_image(path: str | Path) -> Tensor:
    """Read a picture as ``(3, H, W)`` uint8 RGB; grey is repeated, transparency dropped.

    Raises:
        BenchmarkError: the file is missing, not a picture, damaged, or has more than 8 bits per channel.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith(_DEEP_MODES):
                raise BenchmarkError(f"{path}: more than 8 bits per channel; convert the frame to 8 bits")
            pixels = np.array(image.convert("RGB"))
    except (OSError, SyntaxError) as error:
        raise BenchmarkError(f"{path}: cannot be read as a picture ({error}); check or replace the file") from None
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
