"""Material of HTML pages: escaped text, figures with captions, pictures embedded as data."""

from __future__ import annotations

import base64
import io
import re
from html import escape
from typing import Literal, Protocol

import torch
from PIL import Image
from torch import Tensor

PictureKind = Literal["photo", "colours"]

_CODE = re.compile("`([^`]+)`")
_JPEG_QUALITY = 88


class Block(Protocol):
    """A part of a page."""

    def html(self) -> str:
        """Markup that is complete in itself and refers to nothing outside the page."""
        ...


def prose(text: str) -> str:
    """Escaped text, in which `` `words` `` between back-ticks are set as code.

    >>> prose("`a < b` & so on")
    '<code>a &lt; b</code> &amp; so on'
    """
    return _CODE.sub(r"<code>\1</code>", escape(text))


def figure(body: str, caption: str, names: str) -> str:
    """A figure around finished markup.

    Args:
        body: markup.
        caption: prose below it; none where empty.
        names: its classes.
    """
    below = f"<figcaption>{prose(caption)}</figcaption>" if caption else ""
    return f'<figure class="{names}">{body}{below}</figure>'


def data_uri(data: bytes, mime: str) -> str:
    """A file as an address that holds all of it."""
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def to_pillow(image: Tensor) -> Image.Image:
    """A picture ``(3, H, W)`` uint8 RGB for Pillow.

    Raises:
        ValueError: the shape or type is another.
    """
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8:
        raise ValueError(f"a picture is (3, H, W) uint8, not {tuple(image.shape)} {image.dtype}")
    return Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())


def picture_uri(image: Tensor, kind: PictureKind) -> str:
    """A picture as an address that holds all of it.

    Args:
        image: ``(3, H, W)`` uint8 RGB.
        kind: ``photo`` becomes a JPEG without chroma subsampling, ``colours``, whose colours are data, a PNG.

    Raises:
        ValueError: the picture has another shape or type, or the kind is unknown.
    """
    stream = io.BytesIO()
    if kind == "photo":
        to_pillow(image).save(stream, "jpeg", quality=_JPEG_QUALITY, subsampling=0, optimize=True)
        return data_uri(stream.getvalue(), "image/jpeg")
    if kind == "colours":
        to_pillow(image).save(stream, "png", optimize=True)
        return data_uri(stream.getvalue(), "image/png")
    raise ValueError(f"kind of a picture is photo or colours, not {kind!r}")


def image_tag(image: Tensor, alt: str, kind: PictureKind) -> str:
    """An ``<img>`` that holds its picture and says its size, so that nothing moves while the page loads."""
    height, width = image.shape[1:]
    source = picture_uri(image, kind)
    return f'<img class="{kind}" src="{source}" alt="{escape(alt)}" width="{width}" height="{height}">'
