"""How labels are carried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from refine_motion.corrflow.bottleneck import Bottleneck
from refine_motion.errors import ConfigError
from refine_motion.motion.compat import FIXED, OFFICIAL
from refine_motion.motion.local_attention import LocalAttention

# Names of usual references: ``previous`` frames and ``anchors``. The first is CorrFlow's own, the last that
# of MAST and the default: with the frame before alone, what comes into view behind an object is taken for it, and stays
# so (`make real-propagate`).
MEMORIES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "previous": ((1,), ()),
    "long-term": ((1,), (0,)),
    "mast": ((1, 3, 5), (0, 5)),
}


@dataclass(frozen=True)
class PropagationSettings:
    """How labels are carried; each kind of model has settings of its own.

    The frame t is compared with the frames ``t - d`` for each d of ``previous`` and with those of ``anchors``, all in
    one softmax; those that are not there yet are left out, and one that is meant twice counts once.

    Attributes:
        radius: of an encoder: cells are looked for at most so many rows and columns from their own place, in all
            references (cells are 4 pixels wide). Published code does not limit where labels may come from in the first
            frame (CRW) or looks further away in old ones (MAST).
        top_k: of an encoder: only so many candidates of a cell count, over all references; None for all.
        temperature: of an encoder: similarities are divided by it.
        previous: of an encoder: references by their distance in time; CorrFlow's own code has the frame before alone.
        anchors: of an encoder: references by their number, kept for the whole video; CorrFlow's own code has none.
        soft: of an encoder: label maps are carried as they are, on cells. False takes the one label of each pixel in
            every frame before it goes on, as CorrFlow's own code does; labels come to cells and back every time. For
            masks alone.
        compat: of an encoder: ``official`` keeps the rules of published code that are known to be wrong: similarities
            are not scaled, numbers of labels are interpolated, the border is guessed, and points are half a cell off.
        inputs: of an encoder: what it was trained to see: rgb, grey or lab.
        iters: of a flow model: its iterations.
        spacing: of a track model: pixels from one point to the next, where masks are carried.
        neighbours: of a track model: so many points vote on the label of a place.
    """

    radius: int = 6
    top_k: int | None = None
    temperature: float = 1.0
    previous: tuple[int, ...] = (1, 3, 5)
    anchors: tuple[int, ...] = (0, 5)
    soft: bool = True
    compat: Literal["fixed", "official"] = "fixed"
    inputs: str = "rgb"
    iters: int = 12
    spacing: int = 8
    neighbours: int = 4

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: a value is out of its range, or the second frame has no reference.
        """
        self.attention()
        self.bottleneck()
        for name in ("iters", "spacing", "neighbours"):
            if getattr(self, name) < 1:
                raise ConfigError(f"propagation.{name} must be at least 1, got {getattr(self, name)}")
        if self.compat not in ("fixed", "official"):
            raise ConfigError(f"propagation.compat must be fixed or official, got {self.compat!r}")
        if min(self.previous, default=1) < 1 or min(self.anchors, default=0) < 0:
            raise ConfigError(
                "propagation.previous must be 1 or more and propagation.anchors 0 or more, got "
                f"{list(self.previous)} and {list(self.anchors)}"
            )
        if 1 not in self.previous and 0 not in self.anchors:
            raise ConfigError(
                "the second frame has nothing to copy from: put 1 into propagation.previous or 0 into "
                "propagation.anchors"
            )

    def attention(self) -> LocalAttention:
        """What compares frames."""
        rules = FIXED if self.compat == "fixed" else OFFICIAL
        return LocalAttention(temperature=self.temperature, top_k=self.top_k, compat=rules, radius=self.radius)

    def bottleneck(self) -> Bottleneck:
        """What brings frames to what the encoder sees."""
        return Bottleneck(inputs=self.inputs)

    def references(self, number: int) -> list[int]:
        """Numbers of the frames that a frame is compared with."""
        recent = {number - distance for distance in self.previous}
        return sorted(frame for frame in recent | set(self.anchors) if 0 <= frame < number)

    def is_needed(self, frame: int, after: int) -> bool:
        """Whether a frame will be a reference of one after ``after``."""
        return frame in self.anchors or frame + max(self.previous, default=0) > after
