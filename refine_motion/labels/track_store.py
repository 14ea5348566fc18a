"""The store of pseudo-tracks: a file per window of frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from refine_motion.labels import track_codec
from refine_motion.labels.store_base import SafetensorStore, digest_of
from refine_motion.labels.track_codec import TrackLabel


@dataclass(frozen=True)
class ClipKey:
    """Which frames tracks belong to.

    Attributes:
        video: content key of the video.
        frames: their numbers in the order of the tracks, falling where the window goes back in time.
        asked: name of the points that were asked for, where a user named them.
    """

    video: str
    frames: tuple[int, ...]
    asked: str = ""

    @property
    def digest(self) -> str:
        """Name of the label's file, without folders and suffix."""
        return digest_of(self, self.asked)


class TrackStore(SafetensorStore[ClipKey, TrackLabel]):
    """Pseudo-tracks by window; see :class:`SafetensorStore`."""

    schema = "tracks 2"
    tensors = track_codec.TENSORS

    def encode(self, label: TrackLabel) -> tuple[dict[str, Tensor], dict[str, str]]:
        """See :class:`SafetensorStore`."""
        return track_codec.encode(label)

    def decode(self, path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> TrackLabel:
        """See :class:`SafetensorStore`."""
        return track_codec.decode(tensors, header)
