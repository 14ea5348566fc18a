"""The store of flow labels: a file per frame pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor

from refine_motion.labels import codec
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.store_base import SafetensorStore, digest_of, refusing_damage


@dataclass(frozen=True)
class PairKey:
    """Which frames a label belongs to.

    Attributes:
        video: content key of the video.
        frame_a: source frame number.
        frame_b: target frame number.
    """

    video: str
    frame_a: int
    frame_b: int

    @property
    def frames(self) -> tuple[int, int]:
        """Both frame numbers."""
        return self.frame_a, self.frame_b

    @property
    def digest(self) -> str:
        """Name of the label's file, without folders and suffix."""
        return digest_of(self)


class LabelStore(SafetensorStore[PairKey, FlowLabel]):
    """Flow labels by frame pair; see :class:`SafetensorStore`.

    Positions are unpacked when they are first asked for: those that do not fit raise a :class:`LabelError` then.
    """

    schema = "3"
    tensors = codec.TENSORS
    optional = codec.OPTIONAL

    def encode(self, label: FlowLabel) -> tuple[dict[str, Tensor], dict[str, str]]:
        """See :class:`SafetensorStore`."""
        tensors, header = codec.encode(label)
        return tensors, header | {"kept": str(len(label.index))}

    def decode(self, path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> FlowLabel:
        """See :class:`SafetensorStore`."""
        label = codec.decode(tensors, header)
        return replace(label, positions=partial(_positions, path, label))


def _positions(path: Path, label: FlowLabel) -> Tensor:
    with refusing_damage(path):
        return label.index
