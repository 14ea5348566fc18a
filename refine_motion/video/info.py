"""What is known about one video once it has been probed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

Reader = Literal["decord", "pyav", "images"]


@dataclass(frozen=True)
class VideoInfo:
    """One readable video: a file, or a folder of images.

    Attributes:
        path: the file or folder.
        key: content key, see :func:`refine_motion.video.content.content_key`.
        frames: number of frames that are shown and can be read; frame numbers run from 0 to ``frames - 1``.
        width: width in pixels as shown, after rotation.
        height: height in pixels as shown, after rotation.
        fps: average frames per second; 24 for frame folders, which do not say.
        timestamps: presentation time of every frame in seconds, increasing; not evenly spaced where the frame rate
            varies, and not always from 0. ``i / fps`` for frame folders and where the file gives none.
        keyframes: frame numbers where PyAV may start to decode; empty for frame folders and where a seek is not exact.
        cuts: first frame of every shot but the first.
        reader: what reads the frames: decord only where it was seen to give the frames that PyAV gives.
        faults: one line each; why decord does not read it, and what of the file is not used.
    """

    path: Path
    key: str
    frames: int
    width: int
    height: int
    fps: float
    timestamps: tuple[float, ...] = field(repr=False)
    keyframes: tuple[int, ...] = field(repr=False)
    cuts: tuple[int, ...]
    reader: Reader
    faults: tuple[str, ...]

    @property
    def shots(self) -> tuple[tuple[int, int], ...]:
        """``(start, stop)`` frame numbers of each shot, ``stop`` not included."""
        bounds = (0, *self.cuts, self.frames)
        return tuple(pairwise(bounds))

    def to_json(self) -> dict[str, Any]:
        """Everything but the path, as JSON types: the path belongs to this machine, the rest to the content."""
        fields = asdict(self)
        del fields["path"]
        return fields

    @classmethod
    def from_json(cls, path: Path, fields: dict[str, Any]) -> VideoInfo:
        """The inverse of :meth:`to_json`, for a file that lies at ``path``.

        Raises:
            TypeError: if a field is missing or unknown.
        """
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
        return cls(path=path, **values)
