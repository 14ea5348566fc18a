"""Sparse flow labels in seven bytes a pixel and its position: what is stored, and how it is rounded.

========== ==== =======================================================================
what       bits rounding
========== ==== =======================================================================
flow x, y  2x16 fixed point, one power-of-two scale per label (1/64 px, 1/32 from 512 px on, and so on)
cycle      7    up to 32 px, within 2 % of the value and 1/4 px together (0.007 px at 0.1 px)
backward   6    up to 2048 px, within 8 % of it and 1/8 px together (its rule multiplies it by 0.002)
colour     6    up to 128 grey levels, within 6 % of it and 1/8 level together
gradient   4    up to 64 grey levels per pixel, within 18 % of it and 1/2 together
position   1-8  bit mask of the frame, deflated (8 bits where one scattered pixel in 25 is kept)
========== ==== =======================================================================

Speed is the length of the flow and is not stored again. Steps are far below what a label is right to, and far above
what another order of sums in the network makes of the same frames, so that labels made with other numbers of threads
differ in hardly any value. The eighth bit of the cycle error is free.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from refine_motion.types import Evidence

_MAX_FLOW_BITS = 6
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

    def dense(self, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Flow ``(2, H, W)``, zero where unknown, and where it is known, ``(1, H, W)`` bool.

        Args:
            mask: ``(N,)`` bool, the entries to take; all when not given. Faster than :meth:`keep` before it.
        """
        height, width = self.size
        index, kept = (self.index, self.flow) if mask is None else (self.index[mask], self.flow[mask])
        flow = torch.zeros(2, height * width)
        flow[:, index] = kept.T
        valid = torch.zeros(height * width, dtype=torch.bool)
        valid[index] = True
        return flow.view(2, height, width), valid.view(1, height, width)


@dataclass(frozen=True)
class LogQuantiser:
    """Values of 0 and more in steps that are even below ``knee`` and in proportion to the value above it.

    Attributes:
        knee: where the one goes over into the other.
        high: largest value; larger ones read as it.
        bits: width of a level.
    """

    knee: float
    high: float
    bits: int

    @property
    def _octaves_per_step(self) -> float:
        return math.log2(1 + self.high / self.knee) / (2**self.bits - 1)

    def encode(self, values: Tensor) -> Tensor:
        """Levels ``0 .. 2^bits - 1``, int32."""
        level = torch.log2(1 + values / self.knee) / self._octaves_per_step
        return level.clamp(max=2**self.bits - 1).round().to(torch.int32)

    def decode(self, levels: Tensor) -> Tensor:
        """Values, float32, of levels ``(N,)``."""
        table = self.knee * (torch.exp2(torch.arange(2**self.bits) * self._octaves_per_step) - 1)
        # Looked up, which takes a sixth of the time that as many powers take.
        return table.index_select(0, levels.int())


CYCLE = LogQuantiser(2.0**-2, 2.0**5, 7)
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
