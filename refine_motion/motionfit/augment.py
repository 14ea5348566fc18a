"""What action models see of clips: crops, mirrors and colours by Kornia, on the device, the same in all frames.

Flow stays in pixels of what is returned: where a crop is resized its vectors are scaled, where it is mirrored they are
turned round. Strengths are a choice of this project; the paper's are not known (``spec/motionfit.md`` 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.motionfit.flips import flip_flow
from refine_motion.motionfit.flow_cache import pixels
from refine_motion.training.colours import recolour

_DTYPES = {3: torch.uint8, 2: torch.int8}


class Box(NamedTuple):
    """A part of a frame in whole pixels, so that a crop of the frame's own size is not interpolated."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class ClipDraw:
    """The random choices for one clip.

    Attributes:
        box: what is shown of its frames.
        mirrored: left to right.
        colours: factors of brightness, contrast and saturation, and shift of the hue in full turns; ``None`` leaves
            the colours as they are.
        grey: whether colour is taken away.
    """

    box: Box
    mirrored: bool
    colours: tuple[float, float, float, float] | None
    grey: bool


@dataclass(frozen=True)
class ActionAugmentation:
    """What is cropped, mirrored and recoloured, and how strongly; the defaults are for UCF101 and HMDB51.

    Attributes:
        crop: ``(H, W)`` in pixels that the model sees.
        scale: least and largest share of the frame's area that a crop shows, evenly drawn. A crop that does not fit
            into the frame shrinks and keeps its shape: with 1 and 1 it is the largest one of its shape.
        ratio: least and largest width to height of what a crop shows, as a multiple of that of ``crop``; evenly drawn
            in the logarithm. With 1 and 1 nothing is stretched.
        hflip_probability: share of the clips mirrored left to right; 0 where left and right are different actions.
        jitter_probability: share of the RGB clips whose colours change.
        brightness: factor within ``1 +- brightness``.
        contrast: factor within ``1 +- contrast``, about the mean of the whole clip.
        saturation: factor within ``1 +- saturation``.
        hue: shift within ``+- hue`` of a full turn.
        grey_probability: share of the RGB clips that lose their colours.
    """

    crop: tuple[int, int] = (112, 112)
    scale: tuple[float, float] = (0.5, 1.0)
    ratio: tuple[float, float] = (0.75, 1.3333)
    hflip_probability: float = 0.5
    jitter_probability: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    grey_probability: float = 0.1

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: a side has no pixels, bounds are out of order or range, a probability is outside 0..1 or a
                strength outside its range.
        """
        if len(self.crop) != 2 or min(self.crop) < 1:
            raise ConfigError(f"augment.crop must be height and width of at least 1 pixel, got {self.crop}")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ConfigError(
                f"augment.scale must be two shares of the area above 0 and up to 1, the smaller first, got {self.scale}"
            )
        if len(self.ratio) != 2 or not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise ConfigError(f"augment.ratio must be two positive numbers, the smaller first, got {self.ratio}")
        for name, value in vars(self).items():
            highest = 0.5 if name == "hue" else 1.0
            if name not in ("crop", "scale", "ratio") and not 0 <= value <= highest:
                raise ConfigError(f"augment.{name} must be between 0 and {highest:g}, got {value}")

    @torch.no_grad()
    def augment(self, clips: Tensor, seeds: Sequence[int], limit: float) -> Tensor:
        """Clips as a model sees them in training.

        Args:
            clips: ``(B, N, C, T, H, W)``, N clips of each sample: uint8 RGB, or int8 flow, of which ``127`` stands for
                ``limit`` pixels of these frames.
            seeds: one per sample. What is drawn for a clip depends on the seed of its sample, its number in it and the
                size of the frames, and not on what the clip holds: RGB and flow of the same seed show the same place.
            limit: see ``clips``; does not matter for RGB.

        Returns:
            ``(B, N, C, T, h, w)`` float32 of the size ``crop``: RGB in 0..255, or flow in pixels of what is returned.

        Raises:
            ValueError: the clips are neither RGB nor flow, or there are more or fewer seeds than samples.
        """
        _refuse_other_kinds(clips)
        if len(seeds) != len(clips):
            raise ValueError(f"{len(seeds)} seeds for {len(clips)} samples: give one per sample")
        count, frame = clips.shape[1], (clips.shape[-2], clips.shape[-1])
        draws = [chosen for seed in seeds for chosen in draw_clips(self, seed, count, frame)]
        with torch.autocast(clips.device.type, enabled=False):
            seen = torch.stack(
                [self._see(clip, chosen, limit) for clip, chosen in zip(clips.flatten(0, 1), draws, strict=True)]
            )
            if seen.shape[1] == 3:
                seen = _recolour(seen, [chosen.colours for chosen in draws])
                seen = _grey(seen, [chosen.grey for chosen in draws])
        return seen.unflatten(0, (len(clips), count))

    @torch.no_grad()
    def centre(self, clips: Tensor, crops: int, limit: float) -> Tensor:
        """Clips as a model sees them at test time: the largest crops of the shape of ``crop``; nothing is drawn.

        Args:
            clips: ``(B, N, C, T, H, W)``, see :meth:`augment`.
            crops: 1 for the middle; 3 for one end, the middle and the other end of the side along which there is more
                than a crop shows: left to right, or top to bottom. Where a crop shows all, the 3 are the same.
            limit: see :meth:`augment`.

        Returns:
            ``(B, N, crops, C, T, h, w)`` float32, see :meth:`augment`.

        Raises:
            ConfigError: another number of crops.
            ValueError: the clips are neither RGB nor flow.
        """
        _refuse_other_kinds(clips)
        if crops not in (1, 3):
            raise ConfigError(f"crops must be 1, the middle, or 3, both ends and the middle; got {crops}")
        frame = clips.shape[-2], clips.shape[-1]
        sides = _sides(frame, self._shape, share=1)
        spare = frame[0] - sides[0], frame[1] - sides[1]
        halves = (1,) if crops == 1 else (0, 1, 2)
        # The largest crop fills the frame along one side at least, where nothing is to spare.
        boxes = [Box(spare[0] * half // 2, spare[1] * half // 2, *sides) for half in halves]
        with torch.autocast(clips.device.type, enabled=False):
            return torch.stack([self._cut(clips, box, limit) for box in boxes], dim=2)

    @property
    def _shape(self) -> float:
        return self.crop[1] / self.crop[0]

    def _see(self, clip: Tensor, chosen: ClipDraw, limit: float) -> Tensor:
        seen = self._cut(clip, chosen.box, limit)
        if not chosen.mirrored:
            return seen
        return flip_flow(seen) if len(seen) == 2 else seen.flip(-1)

    def _cut(self, clips: Tensor, box: Box, limit: float) -> Tensor:
        """A part of ``(..., C, T, H, W)`` at the size ``crop``: the one place of all geometry but the mirror."""
        from kornia.geometry.transform import resize

        top, left, height, width = box
        part = clips[..., top : top + height, left : left + width]
        is_flow = part.shape[-4] == 2
        seen = resize(
            pixels(part, limit) if is_flow else part.float(),
            (self.crop[0], self.crop[1]),
            align_corners=False,
            antialias=True,
        )
        if not is_flow:
            return seen
        u, v = seen.unbind(dim=-4)
        return torch.stack((u * (self.crop[1] / width), v * (self.crop[0] / height)), dim=-4)


def draw_clips(settings: ActionAugmentation, seed: int, count: int, frame: tuple[int, int]) -> list[ClipDraw]:
    """The choices for the clips of one sample; those for the first ones do not depend on how many there are.

    Args:
        settings: strengths and probabilities.
        seed: of the sample.
        count: of clips.
        frame: height and width of its frames in pixels.
    """
    generator = torch.Generator().manual_seed(seed)
    return [
        _draw(settings, frame, row) for row in torch.rand(count, 11, generator=generator, dtype=torch.float64).tolist()
    ]


def _draw(settings: ActionAugmentation, frame: tuple[int, int], u: list[float]) -> ClipDraw:
    """The choices for one clip from 11 numbers in 0..1, without 1."""
    least, most = settings.scale
    narrow, wide = settings.ratio
    height, width = _sides(frame, settings._shape * narrow * (wide / narrow) ** u[1], least + u[0] * (most - least))
    top, left = int(u[2] * (frame[0] - height + 1)), int(u[3] * (frame[1] - width + 1))
    strengths = settings.brightness, settings.contrast, settings.saturation
    b, c, s = (1 + (2 * each - 1) * strength for each, strength in zip(u[4:7], strengths, strict=True))
    return ClipDraw(
        Box(top, left, height, width),
        mirrored=u[8] < settings.hflip_probability,
        colours=(b, c, s, (2 * u[7] - 1) * settings.hue) if u[9] < settings.jitter_probability else None,
        grey=u[10] < settings.grey_probability,
    )


def _sides(frame: tuple[int, int], shape: float, share: float) -> tuple[int, int]:
    """Height and width with a share of the frame's area and a shape, or as much of it as the frame has room for."""
    area = share * frame[0] * frame[1]
    height, width = math.sqrt(area / shape), math.sqrt(area * shape)
    fit = min(1.0, frame[0] / height, frame[1] / width)
    return max(1, round(fit * height)), max(1, round(fit * width))


def _recolour(clips: Tensor, colours: list[tuple[float, float, float, float] | None]) -> Tensor:
    """Clips ``(M, 3, T, H, W)`` in 0..255, each with factors of its own."""
    chosen = {number: factors for number, factors in enumerate(colours) if factors is not None}
    if not chosen:
        return clips
    index, factors = torch.tensor(list(chosen), device=clips.device), torch.tensor(list(chosen.values()))
    # A clip as one tall picture.
    changed = recolour(clips[index].flatten(2, 3), factors.to(clips.device))
    return clips.index_copy(0, index, changed.unflatten(2, clips.shape[2:4]))


def _grey(clips: Tensor, chosen: list[bool]) -> Tensor:
    """Clips ``(M, 3, T, H, W)``, the chosen ones without colour."""
    from kornia.color import rgb_to_grayscale

    if not any(chosen):
        return clips
    index = torch.tensor(chosen, device=clips.device).nonzero().flatten()
    picture = rgb_to_grayscale(clips[index].flatten(2, 3)).unflatten(2, clips.shape[2:4])
    return clips.index_copy(0, index, picture.expand(-1, 3, -1, -1, -1))


def _refuse_other_kinds(clips: Tensor) -> None:
    if clips.ndim != 6 or _DTYPES.get(clips.shape[2]) != clips.dtype:
        raise ValueError(
            "clips must be (B, N, 3, T, H, W) uint8, of RGB, or (B, N, 2, T, H, W) int8, of flow, "
            f"got {tuple(clips.shape)} {clips.dtype}"
        )
