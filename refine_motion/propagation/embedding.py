"""Labels carried by an encoder whose features are compared between frames, as CorrFlow does it (arXiv 1905.00875)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.models.corrflow import CorrFlow
from refine_motion.motion.label_maps import ids_to_cells, one_hot, to_cells, to_pixels
from refine_motion.propagation.point_maps import maps_to_points, points_to_maps
from refine_motion.propagation.settings import PropagationSettings


class EmbeddingMatcher:
    """Copies labels from cells of earlier frames to those of the next by how alike their features are.

    Each frame is encoded once. Label maps stay on the encoder's cells from frame to frame and are enlarged only to be
    given out: brought to pixels and back every time, masks would shrink. Where sides are no multiples of the stride,
    label maps are continued to the right and below by their edges, as the frames are, and cut off again.

    Args:
        model: in eval mode.
        settings: those of an encoder.
    """

    min_frames = 1

    def __init__(self, model: CorrFlow, settings: PropagationSettings):
        self.model, self.settings = model, settings
        self.attention, self.bottleneck = settings.attention(), settings.bottleneck()
        self.min_side = model.min_side

    @property
    def about(self) -> str:
        """See :class:`refine_motion.motion.propagate.Matcher`."""
        own = self.settings
        references = [f"t-{distance}" for distance in sorted(own.previous)] + [str(n) for n in sorted(own.anchors)]
        return (
            f"{self.model.name}: references {', '.join(references)}; radius {own.radius} cells of {self.model.stride} "
            f"px, top-k {own.top_k or 'all'}, temperature {own.temperature:g}, {'soft' if own.soft else 'hard'} "
            f"labels, input {own.inputs}, compat {own.compat}"
        )

    @torch.no_grad()
    def carry_maps(self, maps: Tensor, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """See :class:`refine_motion.motion.propagate.Matcher`."""
        height, width = maps.shape[-2:]
        extra_h, extra_w = (-side % self.model.stride for side in (height, width))
        padded = F.pad(maps[None].to(self._device, torch.float32), (0, extra_w, 0, extra_h), mode="replicate")
        size = (padded.shape[-2], padded.shape[-1])

        def harden(cells: Tensor) -> Tensor:
            return self._to_cells(_decided(to_pixels(cells, size)))

        for cells in self._carry(self._to_cells(padded), frames, None if self.settings.soft else harden):
            pixels = to_pixels(cells, size)
            yield (pixels if self.settings.soft else _decided(pixels))[0, :, :height, :width]

    @torch.no_grad()
    def carry_points(self, points: Tensor, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """See :class:`refine_motion.motion.propagate.Matcher`; each point is a map of its own, as for JHMDB.

        Raises:
            ConfigError: the labels are to be hard.
        """
        if not self.settings.soft:
            raise ConfigError("hard labels (--hard, propagation.soft false) are for masks; points are carried softly")
        first = next(frames)
        stride, exact = self.model.stride, self.settings.compat == "fixed"
        size = (-(-first.shape[1] // stride), -(-first.shape[2] // stride))
        maps = points_to_maps(points.to(self._device, torch.float32), size, stride, exact)
        for cells in self._carry(maps[None], chain([first], frames)):
            # The background has no part in where points are.
            yield maps_to_points(cells[0, 1:], stride, exact)

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _to_cells(self, pixels: Tensor) -> Tensor:
        size = (pixels.shape[2] // self.model.stride, pixels.shape[3] // self.model.stride)
        if self.attention.compat.one_hot_first:
            return to_cells(pixels, size, "area")
        return ids_to_cells(pixels.argmax(dim=1), size, pixels.shape[1], compat=self.attention.compat)

    def _carry(
        self, labels: Tensor, frames: Iterator[Tensor], settle: Callable[[Tensor], Tensor] | None = None
    ) -> Iterator[Tensor]:
        """Label maps ``(1, L, h, w)`` of every frame after the first, given those of the first.

        Args:
            labels: ``(1, L, h, w)``.
            frames: the first included.
            settle: what is done to them before they become references.
        """
        past: dict[int, tuple[Tensor, Tensor]] = {}
        for number, frame in enumerate(frames):
            features = self.model.encode(self.bottleneck.prepare(frame[None].to(self._device)))
            if number:
                used = [past[reference] for reference in self.settings.references(number)]
                seen, known = (torch.stack(maps, dim=1) for maps in zip(*used, strict=True))
                labels = self.attention.attend(features, seen, known)
                yield labels
                labels = labels if settle is None else settle(labels)
            past[number] = (features, labels)
            past = {kept: maps for kept, maps in past.items() if self.settings.is_needed(kept, number)}


def _decided(pixels: Tensor) -> Tensor:
    """Label maps ``(1, L, H, W)`` with all of a pixel given to its largest label."""
    return one_hot(pixels.argmax(dim=1), pixels.shape[1])
