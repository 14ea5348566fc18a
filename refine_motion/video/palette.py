"""Masks as pictures: one number for each pixel, shown in DAVIS's colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from refine_motion.errors import BenchmarkError
from refine_motion.files import replacing

_BITS = 8
_WHITE = 255


def colour(number: int) -> tuple[int, int, int]:
    """RGB of an object's number in PASCAL VOC's and DAVIS's colours: its bits, dealt to the channels in turn.

    >>> [colour(number) for number in (0, 1, 2, 8)]
    [(0, 0, 0), (128, 0, 0), (0, 128, 0), (64, 0, 0)]
    """
    channels = [0, 0, 0]
    for bit in range(_BITS):
        channels[bit % 3] |= (number >> bit & 1) << (_BITS - 1 - bit // 3)
    return channels[0], channels[1], channels[2]


_PALETTE = [value for number in range(1 << _BITS) for value in colour(number)]


def read_mask(path: str | Path, size: tuple[int, int] | None = None) -> Tensor:
    """Read the numbers of a mask.

    A palette or grey picture holds them as they are. One of 0 and 255 alone without a palette is a mask of a single
    object, as in DAVIS 2016: 255 is read as 1. A few files of DAVIS 2016 hold such a mask in equal colours, or with
    transparency, which is dropped.

    Args:
        path: the picture.
        size: ``(H, W)`` that it has to have; any when ``None``.

    Returns:
        ``(H, W)`` uint8: 0 for the background; 255 is what the data set means by it, void in DAVIS 2017.

    Raises:
        BenchmarkError: the file is missing, damaged, a colour picture, or of another size.
    """
    try:
        with Image.open(path) as image:
            mode, pixels = image.mode, np.array(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise BenchmarkError(f"{path}: cannot be read as a mask ({reason}); get or write the file again") from error
    if mode in ("LA", "RGB", "RGBA"):
        colours = pixels[..., : 1 if mode == "LA" else 3]
        if (colours == colours[..., :1]).all():
            mode, pixels = "L", colours[..., 0]
    if mode not in ("P", "L", "1"):
        raise BenchmarkError(
            f"{path}: a {mode} picture is no mask; write each pixel's object number as a palette or grey PNG"
        )
    ids = pixels.astype(np.uint8) * (_WHITE if mode == "1" else 1)
    if mode != "P" and np.isin(ids, (0, _WHITE)).all():
        ids = ids // _WHITE
    if size is not None and ids.shape != tuple(size):
        raise BenchmarkError(
            f"{path}: {ids.shape[1]} x {ids.shape[0]} pixels where {size[1]} x {size[0]} are expected; "
            "bring the mask to that size without mixing numbers"
        )
    return torch.from_numpy(ids)


def write_mask(path: str | Path, ids: Tensor) -> None:
    """Write a mask as a palette PNG in DAVIS's colours. Folders are made; the file is replaced in one step.

    Args:
        path: the file.
        ids: ``(H, W)`` uint8, 0 for the background.

    Raises:
        ValueError: of another shape or type.
    """
    if ids.ndim != 2 or ids.dtype != torch.uint8:
        raise ValueError(f"a mask must be (H, W) uint8; got {tuple(ids.shape)} {ids.dtype}")
    image = Image.fromarray(ids.cpu().numpy())
    image.putpalette(_PALETTE)
    with replacing(path) as aside:
        image.save(aside, format="PNG")
