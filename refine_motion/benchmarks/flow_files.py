"""Optical-flow files: Middlebury ``.flo`` and KITTI 16-bit PNG.

Formats: Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011, and the KITTI 2015
development kit. Flow is ``(2, H, W)`` float32 in pixels, channel 0 = x to the right, 1 = y down; validity is
``(H, W)`` bool.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from refine_motion.errors import BenchmarkError

_FLO_MAGIC = b"PIEH"  # the float32 202021.25, little-endian
_FLO_LARGEST_KNOWN = 1e9
_FLO_UNKNOWN = 1e10
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_KITTI_STEPS_PER_PIXEL = 64
_KITTI_ZERO = 32768


def read_flow(path: str | Path) -> tuple[Tensor, Tensor]:
    """Read a flow file; the format is recognised by its first bytes, not by its name.

    Args:
        path: a Middlebury ``.flo`` (also MPI-Sintel and FlyingChairs) or a KITTI 16-bit RGB PNG.

    Returns:
        Flow ``(2, H, W)`` float32 in pixels, and ``(H, W)`` bool where it is known. In a ``.flo`` a component above
        1e9, or one that is not a number, means unknown; in a PNG a blue channel of 0 does. Unknown flow is 0.

    Raises:
        BenchmarkError: the file is missing, of neither format, or damaged.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror}); check the path of the flow file") from None
    if content.startswith(_FLO_MAGIC):
        flow, valid = _decode_flo(path, content)
    elif content.startswith(_PNG_MAGIC):
        flow, valid = _decode_kitti_png(path, content)
    else:
        raise BenchmarkError(
            f"{path}: neither a Middlebury .flo (first bytes 'PIEH') nor a PNG, but starts with {content[:4]!r}; "
            "convert it to one of the two"
        )
    flow[:, ~valid] = 0
    return torch.from_numpy(flow), torch.from_numpy(valid)


def write_flo(path: str | Path, flow: Tensor, valid: Tensor | None = None) -> None:
    """Write a Middlebury ``.flo``; unknown pixels get the customary 1e10.

    Args:
        path: file to write.
        flow: ``(2, H, W)`` pixels.
        valid: ``(H, W)`` bool; everywhere when not given.
    """
    values = flow.detach().cpu().numpy().astype("<f4", copy=True)
    if valid is not None:
        values[:, ~valid.cpu().numpy()] = _FLO_UNKNOWN
    height, width = values.shape[1:]
    Path(path).write_bytes(_FLO_MAGIC + struct.pack("<ii", width, height) + values.transpose(1, 2, 0).tobytes())


def write_kitti_png(path: str | Path, flow: Tensor, valid: Tensor | None = None) -> None:
    """Write a KITTI flow PNG, rounded to the nearest 1/64 px (RAFT's writer truncates: a bias of 1/128 px).

    Args:
        path: file to write.
        flow: ``(2, H, W)`` pixels, each component in [-512, 512).
        valid: ``(H, W)`` bool; everywhere when not given. Unknown pixels are written as 0, 0, 0.

    Raises:
        BenchmarkError: a known component does not fit the format's range.
    """
    values = flow.detach().cpu().numpy().astype(np.float64)
    known = np.ones(values.shape[1:], dtype=bool) if valid is None else valid.cpu().numpy()
    steps = np.rint(np.where(known, values, 0) * _KITTI_STEPS_PER_PIXEL) + _KITTI_ZERO
    if not ((steps >= 0) & (steps <= 65535)).all():
        raise BenchmarkError(
            f"{path}: the flow reaches {np.abs(values[:, known]).max():.0f} px and KITTI's PNG holds up to 512 px; "
            "write a .flo instead"
        )
    pixels = np.stack([*steps, np.ones_like(steps[0])], axis=-1) * known[..., None]
    height, width = known.shape
    # Pillow has no 16-bit RGB; the PNG coder of FFmpeg keeps every bit.
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "rgb48be"
    encoder.time_base = Fraction(1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels.astype(np.uint16)), format="rgb48be")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    Path(path).write_bytes(b"".join(bytes(packet) for packet in packets))


def is_flow_png(path: Path) -> bool:
    """Whether a PNG has 16 bits per channel and three channels, as KITTI's flow has and its frames have not."""
    with path.open("rb") as file:
        return _is_rgb16(file.read(26))


def _decode_flo(path: Path, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    if len(content) < 12:
        raise BenchmarkError(f"{path}: truncated, {len(content)} bytes where the header alone has 12; copy it again")
    width, height = struct.unpack("<ii", content[4:12])
    if width < 1 or height < 1:
        raise BenchmarkError(f"{path}: says to be {width} x {height} pixels; the file is damaged, copy it again")
    if len(content) != 12 + 8 * width * height:
        raise BenchmarkError(
            f"{path}: {len(content)} bytes where a flow of {width} x {height} pixels has {12 + 8 * width * height}; "
            "the file is damaged, copy it again"
        )
    flow = np.frombuffer(content, "<f4", offset=12).reshape(height, width, 2).transpose(2, 0, 1).astype(np.float32)
    # False for nan, too.
    return flow, (np.abs(flow) <= _FLO_LARGEST_KNOWN).all(axis=0)


def _decode_kitti_png(path: Path, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    if not _is_rgb16(content[:26]):
        raise BenchmarkError(f"{path}: a PNG, but without KITTI's 3 channels of 16 bits; give the flow file")
    decoder = av.CodecContext.create("png", "r")
    # Without these FFmpeg hands out what it could decode of a damaged file.
    decoder.options = {"err_detect": "crccheck+explode"}
    try:
        frames = decoder.decode(av.Packet(content))
    except av.FFmpegError:
        frames = []
    if not frames:
        raise BenchmarkError(f"{path}: the PNG is damaged or truncated; copy it again")
    pixels = frames[0].to_ndarray()
    flow = (pixels[..., :2].astype(np.float32) - _KITTI_ZERO) / _KITTI_STEPS_PER_PIXEL
    return np.ascontiguousarray(flow.transpose(2, 0, 1)), pixels[..., 2] > 0


def _is_rgb16(header: bytes) -> bool:
    """From the first 26 bytes of a PNG: signature, then the IHDR chunk with bit depth at 24 and colour type at 25."""
    return header.startswith(_PNG_MAGIC) and header[24:26] == b"\x10\x02"
