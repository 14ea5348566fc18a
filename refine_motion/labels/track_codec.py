"""Pseudo-tracks in five to six bytes a point: what is stored, and how it is rounded.

============== ============ ====================================================================
what           bytes        rounding
============== ============ ====================================================================
first place    8 a track    none, float32
displacements  4 a frame    fixed point, one power-of-two scale per label (1/64 px, coarser where known places lie
                            beyond 512 px; hidden ones are kept within what it can hold)
seen           2 bits/frame by the way there and by the way back
cycle          1 a track    as of flow labels: up to 32 px, within 2 % and 1/4 px together
the rest       2 a track    as of flow labels
============== ============ ====================================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.labels.codec import CYCLE, pack_evidence, unpack_evidence
from refine_motion.motion.dominant import affine_flow, fit_dominant_motion
from refine_motion.types import Evidence

_MAX_BITS = 6
# What a stored label consists of.
TENSORS = ("xy", "steps", "seen", "cycle", "evidence")


@dataclass(frozen=True)
class TrackLabel:
    """Tracks through one window of S frames.

    Attributes:
        size: ``(H, W)`` of the frames in pixels.
        places: ``(S, N, 2)`` float32 (x, y) in pixels.
        seen: ``(S, N)`` bool, by the way there; false outside the frame, and where too few views agree on the place.
        seen_back: ``(S, N)`` bool, by the way back; the same.
        evidence: fields ``(N,)``: ``cycle_error`` the largest of the frames in :attr:`known`; ``speed`` and
            ``backward_speed`` the mean length of a step there and back, as far as known; ``colour_error`` the mean over
            these frames; ``spread`` the largest root-mean-square distance of the views from it; ``boundary`` zeros.
        motion: :attr:`dominant` where it is known already.
        views: of the teacher, in the order of their numbers.
    """

    size: tuple[int, int]
    places: Tensor
    seen: Tensor
    seen_back: Tensor
    evidence: Evidence
    motion: Tensor | None = None
    views: str = "1x"

    @property
    def xy(self) -> Tensor:
        """``(N, 2)`` places in the first frame."""
        return self.places[0]

    @property
    def flow(self) -> Tensor:
        """``(N, 2)`` displacement from the first frame to the last, as far as it is known, and gone on with beyond."""
        last = _last_known(self.known)
        places = self.places[last, torch.arange(len(last))]
        return (places - self.places[0]) * ((len(self.places) - 1) / last.clamp(min=1))[:, None]

    @property
    def known(self) -> Tensor:
        """``(S, N)`` bool: frames in which both ways see the point; hidden places are nobody's label."""
        return self.seen & self.seen_back

    @cached_property
    def dominant(self) -> Tensor:
        """``(2, 3)`` float32 ``A`` with ``A [x, y, 1]`` the displacement that most tracks share, in pixels."""
        return fit_dominant_motion(self.xy, self.flow, self.size) if self.motion is None else self.motion

    @cached_property
    def relative(self) -> Tensor:
        """``(N, 2)`` displacement less the dominant motion at its place, in pixels."""
        return self.flow - affine_flow(self.dominant, self.xy)

    def keep(self, chosen: Tensor) -> TrackLabel:
        """Only some tracks, by mask or number; the dominant motion stays."""
        return replace(
            self,
            places=self.places[:, chosen],
            seen=self.seen[:, chosen],
            seen_back=self.seen_back[:, chosen],
            evidence=self.evidence[chosen],
            motion=self.dominant,
        )


def encode(label: TrackLabel) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors to store, and what the header must hold to read them.

    Raises:
        ValueError: a place is not finite.
    """
    if not label.places.isfinite().all():
        raise ValueError("track labels must be finite")
    steps = label.places[1:] - label.places[:1]
    # A wild guess at a hidden place, which is nobody's label, must not make all others coarse.
    known = torch.where(label.known[1:, :, None], steps, 0.0)
    largest = known.abs().max().item() if known.numel() else 0.0
    bits = _MAX_BITS if largest == 0 else min(_MAX_BITS, math.floor(math.log2(32767 / largest)))
    tensors = {
        "xy": label.xy.contiguous(),
        "steps": (steps * 2.0**bits).round().clamp(-32767, 32767).to(torch.int16),
        "seen": _pack(torch.stack((label.seen, label.seen_back)).flatten()),
        "cycle": CYCLE.encode(label.evidence.cycle_error).to(torch.uint8),
        "evidence": pack_evidence(label.evidence),
    }
    header = {
        "height": str(label.size[0]),
        "width": str(label.size[1]),
        "step_bits": str(bits),
        "dominant": " ".join(map(repr, label.dominant.flatten().tolist())),
        "views": label.views,
        "kept": str(len(label.xy)),
    }
    return tensors, header


def decode(tensors: dict[str, Tensor], header: dict[str, str]) -> TrackLabel:
    """The label that :func:`encode` was given, within the rounding stated above.

    Raises:
        ValueError, KeyError: the tensors do not belong together.
    """
    xy, steps = tensors["xy"], tensors["steps"].float() / 2.0 ** int(header["step_bits"])
    frames, count = len(steps) + 1, len(xy)
    if not count == steps.shape[1] == len(tensors["cycle"]) == len(tensors["evidence"]):
        raise ValueError("places and evidence differ in number")
    places = torch.cat((xy[None], xy + steps))
    seen, seen_back = _unpack(tensors["seen"], 2 * frames * count).view(2, frames, count)
    evidence = Evidence(
        cycle_error=CYCLE.decode(tensors["cycle"].int()),
        speed=mean_step(places, seen & seen_back),
        boundary=torch.zeros(count),
        **unpack_evidence(tensors["evidence"]),
    )
    motion = torch.tensor([float(number) for number in header["dominant"].split()]).view(2, 3)
    size = (int(header["height"]), int(header["width"]))
    return TrackLabel(size, places, seen, seen_back, evidence, motion, header["views"])


def mean_step(places: Tensor, known: Tensor | None = None) -> Tensor:
    """Mean length in pixels of the steps of tracks from frame to frame.

    Args:
        places: ``(S, N, 2)``.
        known: ``(S, N)`` bool; where a point is not known its way is taken for straight, and it ends where the point is
            known last. None is everywhere.

    Returns:
        ``(N,)``; 0 of tracks that are known in the first frame alone.
    """
    if known is None:
        return places.diff(dim=0).norm(dim=-1).mean(dim=0)
    before, way = places[0], torch.zeros_like(places[0, :, 0])
    for place, here in zip(places[1:], known[1:], strict=True):
        way = way + torch.where(here, (place - before).norm(dim=-1), 0.0)
        before = torch.where(here[:, None], place, before)
    return way / _last_known(known).clamp(min=1)


def _last_known(known: Tensor) -> Tensor:
    """Number ``(N,)`` of the last frame in which each track is known."""
    return torch.where(known, torch.arange(len(known))[:, None], 0).amax(dim=0)


def _pack(bits: Tensor) -> Tensor:
    """Eight of the bits ``(M,)`` to a byte."""
    padded = F.pad(bits.int(), (0, -len(bits) % 8)).view(-1, 8)
    return (padded << torch.arange(8)).sum(dim=1).to(torch.uint8)


def _unpack(packed: Tensor, count: int) -> Tensor:
    if len(packed) != -(-count // 8):
        raise ValueError("visibility and places differ in number")
    return ((packed.int()[:, None] >> torch.arange(8)) & 1).flatten()[:count].bool()
