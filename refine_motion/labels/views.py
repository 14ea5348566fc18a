"""Views of the teacher: the same frames enlarged, shrunk or mirrored, and their flow brought back."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.labels.tiles import plan_tiles
from refine_motion.models.base import FlowModel, FrameFeatures, resize_flow
from refine_motion.motion.grid import length

_SMALLEST, _LARGEST = 0.5, 3.0
# Steps in which a view that would cut motion at the edges of its tiles is made smaller.
_STEP = 0.25
# A network's wildest guesses are no motion; one pixel in a thousand may be one.
_TYPICAL = 0.999


@dataclass(frozen=True)
class View:
    """How a model is shown frames.

    Attributes:
        scale: their sides are resized by this factor, 0.5 to 3.
        flip: they are mirrored, left to right.

    Raises:
        ConfigError: the scale is out of range.
    """

    scale: float = 1.0
    flip: bool = False

    def __post_init__(self) -> None:
        if not _SMALLEST <= self.scale <= _LARGEST:
            raise ConfigError(f"view {self}: the scale must be between {_SMALLEST:g} and {_LARGEST:g}")

    def __str__(self) -> str:
        return f"{float(self.scale)!r}".removesuffix(".0") + "x" + (" flip" if self.flip else "")

    @property
    def mirrored(self) -> View:
        """The mirror image of this view."""
        return replace(self, flip=not self.flip)

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Size of frames as they are shown, in pixels."""
        return round(size[0] * self.scale), round(size[1] * self.scale)

    def show(self, frames: Tensor) -> Tensor:
        """Frames ``(N, 3, H, W)`` as the model sees them: in pixel-edge geometry, averaged where they shrink."""
        if self.scale != 1:
            size = self.size((frames.shape[-2], frames.shape[-1]))
            frames = F.interpolate(frames.float(), size, mode="bilinear", align_corners=False, antialias=self.scale < 1)
        return frames.flip(-1) if self.flip else frames

    def undo(self, flow: Tensor, size: tuple[int, int]) -> Tensor:
        """Flow ``(N, 2, h, w)`` of shown frames as flow ``(N, 2, H, W)`` of the frames themselves, in their pixels.

        Args:
            flow: what the model found.
            size: ``(H, W)`` of the frames.
        """
        if self.flip:
            flow = flow.flip(-1) * torch.tensor([-1.0, 1.0], device=flow.device).view(1, 2, 1, 1)
        return flow if self.scale == 1 else resize_flow(flow, size)

    def within(self, size: tuple[int, int], max_pixels: int) -> View:
        """This view, or the largest smaller enlargement of frames ``size`` that has no more pixels than allowed.

        Frames at their own size, and shrunk ones, always are.
        """
        hundredths = math.floor(100 * math.sqrt(max_pixels / (size[0] * size[1])))
        view = self
        # Sides are rounded, so that the root may be a little too much.
        while view.scale > 1 and math.prod(view.size(size)) > max_pixels:
            view = replace(self, scale=max(1.0, min(self.scale, hundredths / 100)))
            hundredths -= 1
        return view


def parse_view(text: str) -> View:
    """The view of a text such as ``2x`` or ``1.5x flip``; ``str`` gives the text of a view.

    Raises:
        ConfigError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x( flip)?", text)
    if found is None:
        raise ConfigError(f"no view {text!r}: write a scale between 0.5 and 3 as in 2x, or mirrored as in 1.5x flip")
    return View(float(found[1]), found[2] is not None)


def look(model: FlowModel, frames: Tensor, view: View) -> FrameFeatures:
    """What a model keeps of frames ``(T, 3, H, W)``, uint8, under a view."""
    return model.encode(view.show(frames))


class Look:
    """A model that looks at the frames of a window under a view; every frame is encoded once.

    Enlarged frames of more than ``max_pixels`` are looked at in tiles. That needs motion to stay inside a tile, so the
    model first looks at all of them under the largest enlargement that is allowed, and the view is made smaller where
    the motion found there demands it.

    Args:
        model: in eval mode.
        frames: ``(T, 3, H, W)`` uint8.
        view: the view.
        max_pixels: of a frame as the model sees it.
        iters: iterations of the model.
        tolerance: see :meth:`FlowModel.match_both`.
    """

    def __init__(
        self, model: FlowModel, frames: Tensor, view: View, max_pixels: int, iters: int, tolerance: float = 0.0
    ):
        self.model, self.frames, self.view, self.max_pixels = model, frames, view, max_pixels
        self.iters, self.tolerance = iters, tolerance
        self.size = (frames.shape[-2], frames.shape[-1])
        self.whole = view.within(self.size, max_pixels)
        self.features = look(model, frames, self.whole)

    def flow(self, a: int, b: int) -> tuple[Tensor, Tensor, View]:
        """Flow from one frame to another and back.

        Args:
            a: position of the one.
            b: position of the other.

        Returns:
            Two flows ``(1, 2, H, W)`` in pixels of the frames, and the view that was taken in the end.
        """
        both = self.model.match_both(self.features[[a]], self.features[[b]], self.iters, self.tolerance)
        forward, backward = (self.whole.undo(flow, self.size) for flow in both)
        if self.whole == self.view:
            return forward, backward, self.view
        motion = max(_largest_motion(forward), _largest_motion(backward))
        view = self.view
        while view.scale > self.whole.scale:
            tiles = plan_tiles(view.size(self.size), self.max_pixels)
            if view.scale * motion <= tiles.reach:
                cut = [self._match(tile) for tile in tiles.cut(view.show(self.frames[[a, b]]))]
                forward, backward = (view.undo(tiles.join(list(flows)), self.size) for flows in zip(*cut, strict=True))
                return forward, backward, view
            view = replace(view, scale=max(self.whole.scale, view.scale - _STEP))
        return forward, backward, self.whole

    def _match(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        features = self.model.encode(pair)
        return self.model.match_both(features[[0]], features[[1]], self.iters, self.tolerance)


def _largest_motion(flow: Tensor) -> float:
    """Speed in pixels that all but one pixel in a thousand stay below."""
    speed = length(flow).flatten()
    return speed.kthvalue(max(1, round(_TYPICAL * speed.numel()))).values.item()
