"""What clips are looked at, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from refine_motion.errors import ConfigError
from refine_motion.models.r2plus1d import FLOW, RGB
from refine_motion.motionfit.flow_cache import FlowCache, FlowSettings
from refine_motion.motionfit.readers import ClipReader, FlowReader, RgbReader
from refine_motion.motionfit.timeline import Footage


@dataclass(frozen=True)
class ClipSettings:
    """What clips are looked at and how; all of them are choices of this project.

    Attributes:
        input: ``flow``, that of a frozen flow model, or ``rgb``, the frames themselves.
        footage: size and rate that videos are brought to.
        length: frames of a clip; of flow that is one less.
        strides: frames from one of a clip to the next; a clip to learn from has any of them, one to judge by the first.
        flow: by what model flow is made, where the input is flow.
    """

    input: Literal["rgb", "flow"] = "rgb"
    footage: Footage = Footage()  # noqa: RUF009  (frozen)
    length: int = 16
    strides: tuple[int, ...] = (1,)
    flow: FlowSettings = FlowSettings()  # noqa: RUF009  (frozen)

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: the input is unknown, the clip too short, or a stride below 1 or there twice.
        """
        if self.input not in ("rgb", "flow"):
            raise ConfigError(f"clip.input must be rgb or flow, got {self.input!r}")
        least = 2 if self.input == "flow" else 1
        if self.length < least:
            raise ConfigError(f"clip.length must be at least {least} for {self.input}, got {self.length}")
        if not self.strides or min(self.strides) < 1 or len(set(self.strides)) != len(self.strides):
            raise ConfigError(f"clip.strides must be different numbers from 1, got {list(self.strides)}")

    @property
    def channels(self) -> int:
        """C of the clips."""
        return FLOW if self.input == "flow" else RGB

    def reader(self, cache: Path) -> ClipReader:
        """What reads such clips.

        Args:
            cache: folder of the flow.
        """
        return RgbReader(self.footage) if self.input == "rgb" else FlowReader(FlowCache(cache, self.flow, self.footage))
