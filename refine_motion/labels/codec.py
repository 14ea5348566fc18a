"""Sparse flow labels in seven bytes a pixel and its position: what is stored, and how it is rounded.

========== ==== =======================================================================
what       bits rounding
========== ==== =======================================================================
flow x, y  2x16 fixed point, one power-of-two scale per label (1/64 px, 1/32 from 512 px on, and so on)
cycle      7    up to 32 px, within 2 % of the value and 1/4 px together (0.007 px at 0.1 px)
boundary   1    exact
backward   5    up to 2048 px, within 11 % of it and 4 px together (its rule multiplies it by 0.002)
colour     5    up to 91 grey levels, within 10 % of it and 1/4 level together; never across the paper's threshold
gradient   3    up to 43 grey levels per pixel, within 38 % of it and 1/2 together
spread     3    up to 8 px, within 35 % of it and 1/8 px together
embedding  4    up to 23 px, within 9 % of it and 2 px together, never across 4 px; only where it was asked
position   1-8  bit mask of the frame, deflated (8 bits where one scattered pixel in 25 is kept)
========== ==== =======================================================================

Speed is the length of the flow and is not stored again. Steps are far below what a label is right to, and far above
what another order of sums in the network makes of the same frames, so that labels made with other numbers of threads
differ in hardly any value. The header has the dominant motion of the pair and the views of the teacher.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.motion.dominant import affine_flow, fit_dominant_motion
from refine_motion.types import Evidence

_MAX_FLOW_BITS = 6
# What a stored label consists of.
TENSORS = ("flow", "cycle", "evidence", "position")
# And of those whose teacher asked an embedding.
OPTIONAL = ("embedding",)


@dataclass(frozen=True)
class FlowLabel:
    """Flow of one frame pair at the pixels worth keeping.

    Attributes:
        size: ``(H, W)`` of the frames in pixels.
        positions: :attr:`index`, or what finds it: unpacking it takes as long as all the rest of a label, and rules
            that look at evidence alone do without.
        flow: ``(N, 2)`` float32 displacement (x, y) in pixels.
        evidence: fields ``(N,)``.
        motion: :attr:`dominant` where it is known already.
        views: the views of the teacher that the flow is the mean of.
    """

    size: tuple[int, int]
    positions: Tensor | Callable[[], Tensor]
    flow: Tensor
    evidence: Evidence
    motion: Tensor | None = None
    views: str = "1x"

    @cached_property
    def index(self) -> Tensor:
        """``(N,)`` int64, ``y * W + x`` of each kept pixel, ascending."""
        return self.positions if isinstance(self.positions, Tensor) else self.positions()

    @cached_property
    def xy(self) -> Tensor:
        """``(N, 2)`` float32 position (x, y) of each kept pixel."""
        width = self.size[1]
        return torch.stack((self.index % width, torch.div(self.index, width, rounding_mode="floor")), dim=1).float()

    @cached_property
    def dominant(self) -> Tensor:
        """``(2, 3)`` float32 ``A`` with ``A [x, y, 1]`` the motion that most of these pixels share, in pixels."""
        return fit_dominant_motion(self.xy, self.flow, self.size) if self.motion is None else self.motion

    @cached_property
    def relative(self) -> Tensor:
        """``(N, 2)`` flow less the dominant motion at its place, in pixels."""
        return self.flow - affine_flow(self.dominant, self.xy)

    def keep(self, mask: Tensor) -> FlowLabel:
        """Only the entries where ``mask (N,)`` is true; the dominant motion stays."""
        return replace(
            self,
            positions=self.index[mask],
            flow=self.flow[mask],
            evidence=self.evidence[mask],
            motion=self.dominant,
        )

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
        # Looked up, which takes a sixth of the time that as many powers take.
        return self._table.index_select(0, levels.int())

    @cached_property
    def _table(self) -> Tensor:
        return self.knee * (torch.exp2(torch.arange(2**self.bits) * self._octaves_per_step) - 1)


CYCLE = LogQuantiser(2.0**-2, 2.0**5, 7)
BACKWARD = LogQuantiser(2.0**2, 2.0**11, 5)
# The end is chosen so that half-way between two levels, 9 and 10 of 31, is just where the paper's rule cuts.
_PAPER_COLOUR = 1.275
COLOUR = LogQuantiser(2.0**-2, 2.0**-2 * ((1 + _PAPER_COLOUR / 2.0**-2) ** (31 / 9.5) - 1), 5)
# Here 1, 4 and 16, where labels are sorted by texture, lie about half-way between levels.
GRADIENT = LogQuantiser(2.0**-1, 43.0, 3)
SPREAD = LogQuantiser(2.0**-3, 2.0**3, 3)
# As for colour: half-way between levels 6 and 7 of 15 is where the rule cuts unless told otherwise.
_RULE_EMBEDDING = 4.0
EMBEDDING = LogQuantiser(2.0, 2.0 * ((1 + _RULE_EMBEDDING / 2.0) ** (15 / 6.5) - 1), 4)
# Kinds that share a word, from its low bits up.
_PACKED = (("backward_speed", BACKWARD), ("colour_error", COLOUR), ("gradient", GRADIENT), ("spread", SPREAD))


def pack_evidence(evidence: Evidence) -> Tensor:
    """Backward speed, colour error, gradient and spread ``(N,)`` as one word ``(N,)`` uint16."""
    packed, used = torch.zeros(len(evidence.spread), dtype=torch.int32), 0
    for name, quantiser in _PACKED:
        packed |= quantiser.encode(getattr(evidence, name)) << used
        used += quantiser.bits
    return packed.to(torch.uint16)


def unpack_evidence(packed: Tensor) -> dict[str, Tensor]:
    """The counterpart of :func:`pack_evidence`: fields ``(N,)`` float32 by name."""
    words, fields, used = packed.int(), {}, 0
    for name, quantiser in _PACKED:
        fields[name] = quantiser.decode((words >> used) & (2**quantiser.bits - 1))
        used += quantiser.bits
    return fields


def pack_embedding(error: Tensor) -> Tensor:
    """Embedding errors ``(N,)``, two to a byte, the first in the low bits: ``(ceil(N / 2),)`` uint8."""
    levels = F.pad(EMBEDDING.encode(error), (0, len(error) % 2)).view(-1, 2)
    return (levels[:, 0] | (levels[:, 1] << EMBEDDING.bits)).to(torch.uint8)


def unpack_embedding(packed: Tensor, count: int) -> Tensor:
    """The counterpart of :func:`pack_embedding`: ``(count,)`` float32.

    Raises:
        ValueError: they are not so many.
    """
    if len(packed) != -(-count // 2):
        raise ValueError("flow and embedding errors differ in number")
    low, high = packed & (2**EMBEDDING.bits - 1), packed >> EMBEDDING.bits
    return EMBEDDING.decode(torch.stack((low, high), dim=1).flatten()[:count])


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
    cycle = CYCLE.encode(evidence.cycle_error) | ((evidence.boundary > 0).int() << CYCLE.bits)
    tensors = {
        "position": torch.frombuffer(bytearray(zlib.compress(np.packbits(mask).tobytes(), 6)), dtype=torch.uint8),
        "flow": (label.flow * 2.0**flow_bits).round().to(torch.int16),
        "cycle": cycle.to(torch.uint8),
        "evidence": pack_evidence(evidence),
    }
    if evidence.embedding_error is not None:
        tensors["embedding"] = pack_embedding(evidence.embedding_error)
    header = {
        "height": str(height),
        "width": str(width),
        "flow_bits": str(flow_bits),
        "dominant": " ".join(map(repr, label.dominant.flatten().tolist())),
        "views": label.views,
    }
    return tensors, header


def decode(tensors: dict[str, Tensor], header: dict[str, str]) -> FlowLabel:
    """The label that :func:`encode` was given, within the rounding stated above.

    Positions are unpacked on first use of :attr:`FlowLabel.index`, which raises the errors below if they do not fit.

    Raises:
        ValueError, KeyError, zlib.error: the tensors do not belong together.
    """
    flow = tensors["flow"].float() / 2.0 ** int(header["flow_bits"])
    if not len(flow) == len(tensors["cycle"]) == len(tensors["evidence"]):
        raise ValueError("flow and evidence differ in number")
    cycle = tensors["cycle"].int()
    evidence = Evidence(
        cycle_error=CYCLE.decode(cycle & (2**CYCLE.bits - 1)),
        speed=torch.hypot(flow[:, 0], flow[:, 1]),
        boundary=(cycle >> CYCLE.bits).float(),
        embedding_error=unpack_embedding(tensors["embedding"], len(flow)) if "embedding" in tensors else None,
        **unpack_evidence(tensors["evidence"]),
    )
    size = (int(header["height"]), int(header["width"]))
    motion = torch.tensor([float(number) for number in header["dominant"].split()]).view(2, 3)
    return FlowLabel(
        size, partial(_unpack, tensors["position"], size, len(flow)), flow, evidence, motion, header["views"]
    )


def _unpack(position: Tensor, size: tuple[int, int], count: int) -> Tensor:
    bits = np.frombuffer(zlib.decompress(position.numpy().tobytes()), dtype=np.uint8)
    index = torch.from_numpy(np.flatnonzero(np.unpackbits(bits, count=size[0] * size[1])))
    if len(index) != count:
        raise ValueError("positions and flow differ in number")
    return index
