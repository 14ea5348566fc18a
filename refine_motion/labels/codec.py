"""Sparse flow labels in seven bytes a pixel and its position: what is stored, and how it is rounded.

========== ==== =======================================================================
what       bits rounding
========== ==== =======================================================================
flow x, y  2x16 fixed point, one power-of-two scale per label (1/64 px or finer to 512 px)
cycle      8    logarithmic, 2^-8 to 2^5 px, within 1.8 %
backward   6    logarithmic, 2^-3 to 2^11 px, within 9 % (its rule multiplies it by 0.002)
colour     6    logarithmic, 2^-3 to 2^7 grey levels, within 6 %
gradient   4    logarithmic, 2^-1 to 2^6 grey levels per pixel, within 20 %
position   1-8  bit mask of the frame, deflated (8 bits where one scattered pixel in 25 is kept)
========== ==== =======================================================================

Speed is the length of the flow and is not stored again.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from refine_motion.types import Evidence

_MAX_FLOW_BITS = 10
# What decode_evidence needs.
EVIDENCE_TENSORS = ("flow", "cycle", "evidence")


@dataclass(frozen=True)
class FlowLabel:
    """Flow of one frame pair at the pixels worth keeping.

    Attributes:
        size: ``(H, W)`` of the frames in pixels.
        index: ``(N,)`` int64, ``y * W + x`` of each kept pixel, ascending.
        flow: ``(N, 2)`` float32 displacement (x, y) in pixels.
        evidence: fields ``(N,)``.
    """

    size: tuple[int, int]
    index: Tensor
    flow: Tensor
    evidence: Evidence

    def keep(self, mask: Tensor) -> FlowLabel:
        """Only the entries where ``mask (N,)`` is true."""
        return FlowLabel(self.size, self.index[mask], self.flow[mask], self.evidence[mask])

    def dense(self) -> tuple[Tensor, Tensor]:
        """Flow ``(2, H, W)``, zero where unknown, and where it is known, ``(1, H, W)`` bool."""
        height, width = self.size
        flow = torch.zeros(2, height * width)
        flow[:, self.index] = self.flow.T
        valid = torch.zeros(height * width, dtype=torch.bool)
        valid[self.index] = True
        return flow.view(2, height, width), valid.view(1, height, width)


@dataclass(frozen=True)
class LogQuantiser:
    """Positive values on a logarithmic scale; level 0 is zero.

    Attributes:
        low: smallest value above zero that is told apart.
        high: largest value; larger ones read as it.
        bits: width of a level.
    """

    low: float
    high: float
    bits: int

    @property
    def _steps(self) -> int:
        return 2**self.bits - 2

    def encode(self, values: Tensor) -> Tensor:
        """Levels ``0 .. 2^bits - 1``, int32, of non-negative values."""
        octaves = math.log2(self.high / self.low)
        level = torch.log2(values.clamp(min=1e-30) / self.low) * (self._steps / octaves)
        return (level.round().to(torch.int32) + 1).clamp(0, self._steps + 1)

    def decode(self, levels: Tensor) -> Tensor:
        """Values, float32, of levels ``(N,)``."""
        octaves = math.log2(self.high / self.low)
        table = self.low * torch.exp2((torch.arange(2**self.bits) - 1) * (octaves / self._steps))
        table[0] = 0
        # Looked up, which takes a sixth of the time that as many powers take.
        return table.index_select(0, levels.int())


CYCLE = LogQuantiser(2.0**-8, 2.0**5, 8)
BACKWARD = LogQuantiser(2.0**-3, 2.0**11, 6)
COLOUR = LogQuantiser(2.0**-3, 2.0**7, 6)
GRADIENT = LogQuantiser(2.0**-1, 2.0**6, 4)


def encode(label: FlowLabel) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors to store, and what the header must hold to read them.

    Raises:
        ValueError: a displacement is not finite.
    """
    if not label.flow.isfinite().all():
        raise ValueError("flow labels must be finite")
    largest = label.flow.abs().max().item() if label.flow.numel() else 0.0
    flow_bits = _MAX_FLOW_BITS if largest == 0 else min(_MAX_FLOW_BITS, math.floor(math.log2(32767 / largest)))
    height, width = label.size
    mask = np.zeros(height * width, dtype=bool)
    mask[label.index.numpy()] = True
    evidence = label.evidence
    packed = (
        BACKWARD.encode(evidence.backward_speed)
        | (COLOUR.encode(evidence.colour_error) << BACKWARD.bits)
        | (GRADIENT.encode(evidence.gradient) << (BACKWARD.bits + COLOUR.bits))
    )
    tensors = {
        "position": torch.frombuffer(bytearray(zlib.compress(np.packbits(mask).tobytes(), 6)), dtype=torch.uint8),
        "flow": (label.flow * 2.0**flow_bits).round().to(torch.int16),
        "cycle": CYCLE.encode(evidence.cycle_error).to(torch.uint8),
        "evidence": packed.to(torch.uint16),
    }
    return tensors, {"height": str(height), "width": str(width), "flow_bits": str(flow_bits)}


def decode(tensors: dict[str, Tensor], header: dict[str, str]) -> FlowLabel:
    """The label that :func:`encode` was given, within the rounding stated above.

    Raises:
        ValueError, KeyError, zlib.error: the tensors do not belong together.
    """
    size, evidence = decode_evidence(tensors, header)
    bits = np.frombuffer(zlib.decompress(tensors["position"].numpy().tobytes()), dtype=np.uint8)
    index = torch.from_numpy(np.flatnonzero(np.unpackbits(bits, count=size[0] * size[1])))
    flow = _flow(tensors, header)
    if len(index) != len(flow):
        raise ValueError("positions and flow differ in number")
    return FlowLabel(size, index, flow, evidence)


def decode_evidence(tensors: dict[str, Tensor], header: dict[str, str]) -> tuple[tuple[int, int], Evidence]:
    """What the filters look at, without the positions, whose unpacking takes as long as all the rest.

    Args:
        tensors: those of :data:`EVIDENCE_TENSORS`; speed is the length of the flow, so that is among them.
        header: as of :func:`encode`.

    Returns:
        ``(H, W)`` of the frames in pixels, and evidence with fields ``(N,)``, equal to that of :func:`decode`.

    Raises:
        ValueError, KeyError: the tensors do not belong together.
    """
    flow = _flow(tensors, header)
    if not len(flow) == len(tensors["cycle"]) == len(tensors["evidence"]):
        raise ValueError("flow and evidence differ in number")
    packed = tensors["evidence"].to(torch.int32)
    evidence = Evidence(
        cycle_error=CYCLE.decode(tensors["cycle"]),
        speed=torch.hypot(flow[:, 0], flow[:, 1]),
        backward_speed=BACKWARD.decode(packed & (2**BACKWARD.bits - 1)),
        colour_error=COLOUR.decode((packed >> BACKWARD.bits) & (2**COLOUR.bits - 1)),
        gradient=GRADIENT.decode(packed >> (BACKWARD.bits + COLOUR.bits)),
    )
    return (int(header["height"]), int(header["width"])), evidence


def _flow(tensors: dict[str, Tensor], header: dict[str, str]) -> Tensor:
    return tensors["flow"].float() / 2.0 ** int(header["flow_bits"])
