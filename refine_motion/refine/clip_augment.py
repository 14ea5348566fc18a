"""What the student sees of a clip with point tracks: one view, one look and moving occluders, drawn per clip by seed.

The teacher saw the whole, clean clip; the student learns to give the same tracks from less (SMURF, arXiv 2105.07014).
Affine views and JPEG follow BootsTAP (arXiv 2402.00847), the occluders SelFlow (arXiv 1904.09117); playing a clip
backwards is CoTracker's way to lengthen one. Other frame rates are windows of their own (``data.frame_steps``), with
labels that were verified at that rate, since models of windows take as many frames as a label has.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from refine_motion.refine.clip_draw import ClipAugmentation, draw
from refine_motion.refine.clip_geometry import inside
from refine_motion.refine.clip_occluders import hidden, occlude

__all__ = ["AugmentedClip", "ClipAugmentation", "ClipAugmenter"]


class AugmentedClip(NamedTuple):
    """A batch of clips as the student sees them.

    Attributes:
        frames: ``(B, T, 3, H, W)`` float32, 0..255.
        xy: ``(B, T, N, 2)`` float32, x and y in pixels.
        valid: ``(B, T, N)`` bool, the positions to train on.
        visible: ``(B, T, N)`` bool, the points that are seen.
    """

    frames: Tensor
    xy: Tensor
    valid: Tensor
    visible: Tensor


class ClipAugmenter:
    """Applies drawn augmentations to a batch of clips with point tracks.

    Args:
        settings: strengths and probabilities.
    """

    def __init__(self, settings: ClipAugmentation):
        self.settings = settings

    @torch.no_grad()
    def __call__(self, frames: Tensor, xy: Tensor, valid: Tensor, visible: Tensor, seeds: list[int]) -> AugmentedClip:
        """Augment a batch; the inputs stay as they are.

        A point is not visible where it lies outside the view or under an occluder, but where it is stays known: its
        label remains valid. That does not hold for a query, the point of a track in the first frame that is seen. A
        track whose query is outside the view or under an occluder is wholly invalid; so is one whose query is not in
        the clip's own first frame (which the caller has chosen) and is not valid and visible there.

        Args:
            frames: ``(B, T, 3, H, W)`` uint8, or float in 0..255.
            xy: ``(B, T, N, 2)`` float32, x and y in pixels, integers at pixel centres; NaN where unknown.
            valid: ``(B, T, N)`` bool, the positions that are known and to be trained on.
            visible: ``(B, T, N)`` bool, the points that are seen.
            seeds: one per clip.

        Returns:
            The same four, with frames of the size that the settings ask for.

        Raises:
            ValueError: the shapes or the number of seeds do not fit together.
        """
        batch, count, points = valid.shape
        fits = frames.shape[:3] == (batch, count, 3) and xy.shape == (batch, count, points, 2)
        if not fits or visible.shape != valid.shape or len(seeds) != batch:
            shapes = ", ".join(str(tuple(t.shape)) for t in (frames, xy, valid, visible))
            raise ValueError(f"frames, xy, valid, visible of shapes {shapes} do not fit {len(seeds)} seeds")
        with torch.autocast(frames.device.type, enabled=False):
            clips = [self._augment(*clip) for clip in zip(frames, xy, valid, visible, seeds, strict=True)]
        return AugmentedClip(*(torch.stack(parts) for parts in zip(*clips, strict=True)))

    def _augment(self, frames: Tensor, xy: Tensor, valid: Tensor, visible: Tensor, seed: int) -> AugmentedClip:
        height, width = frames.shape[-2:]
        chosen = draw(self.settings, seed, (height, width))
        if chosen.backwards:
            frames, xy, valid, visible = (values.flip(0) for values in (frames, xy, valid, visible))
        frames, xy = chosen.view.see(frames.float()), chosen.view.move(xy.float())
        frames, covered = occlude(frames, chosen.occluders)
        on_view = inside(xy, chosen.view.size)
        shown = on_view & ~hidden(covered, xy, on_view)
        usable = shown[0] & valid[0] & visible[0] if chosen.backwards else shown[0]
        return AugmentedClip(chosen.look.apply(frames), xy, valid & usable, visible & shown)
