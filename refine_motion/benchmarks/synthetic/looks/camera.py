"""What any camera does: exposure, sensor noise, compression."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.draw import integer, uniform
from refine_motion.benchmarks.synthetic.looks.pieces import Key, random_seed, vignette, white


@dataclass(frozen=True)
class Exposure:
    """A tone curve that stays, under brightness that drifts.

    Attributes:
        swing: largest relative change of brightness over time.
        turn: radians per frame of that change.
        phase: radians at frame 0.
        bend: share by which mid-tones are lifted (above 0) or lowered, within -1..1, as a gamma would.
        contrast: factor on the distance from mid-grey.
        shade: share of the light lost in the corners, 0..1.
    """

    swing: float
    turn: float
    phase: float
    bend: float
    contrast: float
    shade: float

    def __call__(self, image: Tensor, depth: Tensor, t: int) -> Tensor:
        """See :class:`~refine_motion.benchmarks.synthetic.looks.base.Look`."""
        # A parabola through black and white: a power of a negative level does not exist and takes ten times as long.
        toned = image * ((1 + self.bend) - (self.bend / 255) * image)
        light = (1 + self.swing * math.sin(self.turn * t + self.phase)) * vignette(image, self.shade)
        return toned.sub_(127.5).mul_(self.contrast).add_(127.5).mul_(light)


@dataclass(frozen=True)
class Sensor:
    """Pixels that fill up at white, with shot noise and read noise, white over pixels, channels and frames.

    Attributes:
        gain: grey levels per electron: signal ``s`` has shot noise of variance ``gain * s``.
        read: standard deviation of the noise of reading a pixel, in electrons.
        seed: what the noise is drawn from.
    """

    gain: float
    read: float
    seed: int

    def __call__(self, image: Tensor, depth: Tensor, t: int) -> Tensor:
        """See :class:`~refine_motion.benchmarks.synthetic.looks.base.Look`."""
        signal = image.clamp(0, 255)
        deviation = (signal * self.gain).add_((self.gain * self.read) ** 2).sqrt_()
        return white(Key.SENSOR, self.seed, t, image).mul_(deviation).add_(signal)


@dataclass(frozen=True)
class Jpeg:
    """An 8-bit JPEG file in between, with its blocks, ringing and coarse colour. Works on the CPU.

    Attributes:
        quality: 1..95, as Pillow counts it.
    """

    quality: int

    def __call__(self, image: Tensor, depth: Tensor, t: int) -> Tensor:
        """See :class:`~refine_motion.benchmarks.synthetic.looks.base.Look`."""
        pixels = image.round().clamp_(0, 255).to("cpu", torch.uint8).permute(1, 2, 0).contiguous()
        with io.BytesIO() as file:
            Image.fromarray(pixels.numpy()).save(file, "JPEG", quality=self.quality)
            with Image.open(file) as decoded:
                return torch.from_numpy(np.array(decoded)).to(image).permute(2, 0, 1).contiguous()


def random_exposure(source: Generator) -> Exposure:
    """A mild drift and tone curve, and in half of the scenes a mild vignette."""
    return Exposure(
        swing=uniform(source, 0.0, 0.06),
        turn=2 * math.pi / uniform(source, 30, 90),
        phase=uniform(source, 0, 2 * math.pi),
        bend=uniform(source, -0.25, 0.25),
        contrast=uniform(source, 0.85, 1.15),
        shade=max(0.0, uniform(source, -0.3, 0.3)),
    )


def random_sensor(source: Generator) -> Sensor:
    """From hardly visible noise to about 6 grey levels at mid-grey."""
    return Sensor(uniform(source, 0.005, 0.2), uniform(source, 3, 20), random_seed(source))


def random_jpeg(source: Generator) -> Jpeg:
    """From visible blocks to hardly any loss."""
    return Jpeg(integer(source, 35, 95))
