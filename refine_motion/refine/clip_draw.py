"""What may happen to a clip with point tracks and what does happen to one, drawn on the CPU by its seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from refine_motion.errors import ConfigError
from refine_motion.refine.clip_geometry import View, aim
from refine_motion.refine.clip_occluders import Occluder
from refine_motion.refine.clip_photometric import Look

# Lowest and highest value of each number, and of both ends of each range; of the others 0 and 1.
_LIMITS: dict[str, tuple[float, float]] = {
    "scale": (0.1, 10),
    "stretch": (1, 4),
    "rotation": (0, 45),
    "hue": (0, 0.5),
    "blur_sigma": (0.1, 20),
    "noise_sigma": (0, 255),
    "pattern_sigma": (0, 255),
    "jpeg_quality": (1, 100),
    "occluders": (1, 100),
    "occluder_size": (0.01, 2),
    "occluder_travel": (0, 4),
}
_RANGES = ("scale", "blur_sigma", "noise_sigma", "pattern_sigma", "jpeg_quality", "occluder_size")


@dataclass(frozen=True)
class ClipAugmentation:
    """Strength of the augmentation of clips. A probability is a share of the clips; a range holds both its ends.

    Attributes:
        crop: height and width of what the student sees, in pixels; None for the size of the frames. Frames that are
            smaller are enlarged to cover it.
        reverse_probability: played backwards.
        hflip_probability: mirrored left to right.
        vflip_probability: mirrored top to bottom.
        affine_probability: scaled, stretched and rotated; the others are only cropped.
        scale: size of things relative to the frames, log-uniform. The view never looks past the frame's edge: where it
            would, it enlarges more; see :func:`refine_motion.refine.clip_geometry.aim`.
        stretch: greatest ratio of the scales along x and y, and along y and x; 1 for none.
        rotation: greatest angle in degrees, either way.
        jitter_probability: other colours.
        brightness: factor within ``1 +- brightness``.
        contrast: factor within ``1 +- contrast``.
        saturation: factor within ``1 +- saturation``.
        hue: shift within ``+- hue`` of a full turn.
        grey_probability: colour taken away.
        blur_probability: blurred.
        blur_sigma: standard deviation of the blur in pixels.
        noise_probability: noisy.
        noise_sigma: standard deviation of the noise in grey levels of 255.
        pattern_probability: under the pattern of a sensor, which stays while things move.
        pattern_sigma: standard deviation of its stripes in grey levels of 255.
        jpeg_probability: compressed.
        jpeg_quality: quality of the compression, 1..100.
        occluder_probability: seen behind occluders.
        occluders: most occluders in one clip, at least one.
        occluder_size: sides of an occluder relative to the shorter side of the view.
        occluder_travel: greatest way of an occluder through the clip relative to the sides of the view, either way.
    """

    crop: tuple[int, int] | None = None
    reverse_probability: float = 0.5
    hflip_probability: float = 0.5
    vflip_probability: float = 0.1
    affine_probability: float = 0.8
    scale: tuple[float, float] = (0.8, 1.5)
    stretch: float = 1.15
    rotation: float = 10.0
    jitter_probability: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.5 / math.pi
    grey_probability: float = 0.1
    blur_probability: float = 0.25
    blur_sigma: tuple[float, float] = (0.3, 1.5)
    noise_probability: float = 0.25
    noise_sigma: tuple[float, float] = (1.0, 8.0)
    pattern_probability: float = 0.25
    pattern_sigma: tuple[float, float] = (1.0, 6.0)
    jpeg_probability: float = 0.3
    jpeg_quality: tuple[float, float] = (20.0, 90.0)
    occluder_probability: float = 0.5
    occluders: int = 3
    occluder_size: tuple[float, float] = (0.05, 0.3)
    occluder_travel: float = 0.5

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: a probability is outside 0..1, or a strength, range, size or number outside its own.
        """
        for name, value in vars(self).items():
            if name == "crop":
                continue
            lowest, highest = _LIMITS.get(name, (0, 1))
            ends = value if name in _RANGES else (value, value)
            if len(ends) != 2 or not lowest <= ends[0] <= ends[1] <= highest:
                raise ConfigError(f"augment.{name} must be between {lowest:g} and {highest:g}, got {value}")
        if self.crop is not None and (len(self.crop) != 2 or min(self.crop) < 1):
            raise ConfigError(f"augment.crop must be a height and a width in pixels, got {self.crop}")


@dataclass(frozen=True)
class ClipDraw:
    """The random choices for one clip.

    Attributes:
        backwards: played backwards.
        view: what part of the frames is seen, and how.
        occluders: what passes in front of it.
        look: what is done to the picture then.
    """

    backwards: bool
    view: View
    occluders: tuple[Occluder, ...]
    look: Look


class _Dice:
    """Random numbers in a fixed order; all are drawn, used or not, so that no setting changes the draws of another."""

    def __init__(self, seed: int):
        self._generator = torch.Generator().manual_seed(seed)

    def between(self, low: float, high: float) -> float:
        share = torch.rand((), generator=self._generator, dtype=torch.float64).item()
        return low + share * (high - low)

    def chance(self, probability: float) -> bool:
        return self.between(0, 1) < probability

    def whole(self, count: int) -> int:
        """One of ``0..count - 1``."""
        return int(self.between(0, count))

    def pair(self, low: float, high: float) -> tuple[float, float]:
        return self.between(low, high), self.between(low, high)


def draw(settings: ClipAugmentation, seed: int, frame_size: tuple[int, int]) -> ClipDraw:
    """The choices for one clip: a function of its seed and size alone, not of its batch, worker or process.

    Args:
        settings: strengths and probabilities.
        seed: seed of the sample, from run, epoch and sample number.
        frame_size: height and width of the frames in pixels.
    """
    dice = _Dice(seed)
    # The occluders come last, because how many numbers they take varies.
    return ClipDraw(
        backwards=dice.chance(settings.reverse_probability),
        view=_draw_view(settings, dice, frame_size),
        look=_draw_look(settings, dice),
        occluders=_draw_occluders(settings, dice),
    )


def _draw_view(settings: ClipAugmentation, dice: _Dice, frame_size: tuple[int, int]) -> View:
    affine = dice.chance(settings.affine_probability)
    scale = math.exp(dice.between(*map(math.log, settings.scale)))
    # Shared between the two sides, so that the stretch changes no area.
    stretch = math.exp(dice.between(-1, 1) * math.log(settings.stretch) / 2)
    angle = math.radians(dice.between(-settings.rotation, settings.rotation))
    return aim(
        frame_size,
        _turned(settings.crop, frame_size) if settings.crop else frame_size,
        place=dice.pair(0, 1),
        scale=(scale * stretch, scale / stretch) if affine else (1.0, 1.0),
        angle=angle if affine else 0.0,
        hflip=dice.chance(settings.hflip_probability),
        vflip=dice.chance(settings.vflip_probability),
    )


def _turned(crop: tuple[int, int], frame_size: tuple[int, int]) -> tuple[int, int]:
    """Upright in upright frames, so that it need not enlarge them."""
    return (crop[1], crop[0]) if (crop[0] - crop[1]) * (frame_size[0] - frame_size[1]) < 0 else crop


def _draw_look(settings: ClipAugmentation, dice: _Dice) -> Look:
    strengths = settings.brightness, settings.contrast, settings.saturation
    brightness, contrast, saturation = (dice.between(1 - strength, 1 + strength) for strength in strengths)
    colours = brightness, contrast, saturation, dice.between(-settings.hue, settings.hue)
    ranges = settings.blur_sigma, settings.noise_sigma, settings.pattern_sigma, settings.jpeg_quality
    blur, noise, pattern, jpeg = (dice.between(*ends) for ends in ranges)
    return Look(
        colours=colours if dice.chance(settings.jitter_probability) else None,
        grey=dice.chance(settings.grey_probability),
        blur=blur if dice.chance(settings.blur_probability) else None,
        noise=noise if dice.chance(settings.noise_probability) else None,
        pattern=pattern if dice.chance(settings.pattern_probability) else None,
        noise_seed=dice.whole(2**31),
        jpeg=jpeg if dice.chance(settings.jpeg_probability) else None,
    )


def _draw_occluders(settings: ClipAugmentation, dice: _Dice) -> tuple[Occluder, ...]:
    some = dice.chance(settings.occluder_probability)
    number = 1 + dice.whole(settings.occluders)
    occluders = (
        Occluder(
            ellipse=dice.chance(0.5),
            textured=dice.chance(0.5),
            centre=dice.pair(0, 1),
            travel=dice.pair(-settings.occluder_travel, settings.occluder_travel),
            sides=dice.pair(*settings.occluder_size),
            # Far enough away to look different from what it hides.
            source=dice.pair(0.25, 0.75),
        )
        for _ in range(number)
    )
    return tuple(occluders) if some else ()
