"""Domains by name: the source that models are pre-trained on, and shifted targets that resemble real needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Generator

from refine_motion.benchmarks.synthetic.draw import uniform
from refine_motion.benchmarks.synthetic.looks.base import Look
from refine_motion.benchmarks.synthetic.looks.camera import random_exposure, random_jpeg, random_sensor
from refine_motion.benchmarks.synthetic.styles import Range, Style
from refine_motion.errors import ConfigError


@dataclass(frozen=True)
class Domain:
    """What the scenes of a domain have in common.

    Attributes:
        name: the name.
        about: one line on what it resembles.
        max_speed: no visible point moves farther from one frame to the next, in pixels, unless asked otherwise; the
            bound is cautious, the fastest point of most scenes moves 0.2 to 0.6 times as far.
        pace: range of the share of ``max_speed`` that bounds a scene; slow ones are more frequent.
        objects: least and most objects.
        radius: least and largest radius of an object as a share of the shorter side.
        kinds: weight of each kind of object.
        style: textures of the objects.
        ground: textures of the background.
        alike: whether all objects share one texture and kind.
        camera: range of the camera's share of the speed.
        depth: distance of the background; objects lie between 1 and 0.8 times that.
        flowing: how the background itself moves, ``ripples`` or ``swirls``; None leaves it rigid.
        shake: of the picture in pixels, to and fro.
        shadows: share of the scenes in which objects cast shadows.
        blur: share of the scenes with motion blur.
        looks: draws what stands between scene and picture.
        crf: of the mp4 files.
    """

    name: str
    about: str
    max_speed: float = 12.0
    pace: Range = (0.6, 1.0)
    objects: tuple[int, int] = (3, 6)
    radius: Range = (0.1, 0.3)
    kinds: Mapping[str, float] = field(
        default_factory=lambda: {"rigid": 2.0, "affine": 1.0, "elastic": 1.0, "figure": 1.0}
    )
    style: Style = field(default_factory=Style)
    ground: Style = field(default_factory=Style)
    alike: bool = False
    camera: Range = (0.0, 0.7)
    depth: float = 4.0
    flowing: str | None = None
    shake: float = 0.0
    shadows: float = 0.0
    blur: float = 0.0
    looks: Callable[[Generator], tuple[Look, ...]] = lambda source: ()
    crf: int = 18


def domain(name: str) -> Domain:
    """The domain of a name.

    Raises:
        ConfigError: there is none; the message lists them.
    """
    if name not in DOMAINS:
        raise ConfigError(f"no synthetic domain is called {name!r}; known domains: {', '.join(DOMAINS)}")
    return DOMAINS[name]


def _source_looks(source: Generator) -> tuple[Look, ...]:
    looks: list[Look] = [random_exposure(source), random_sensor(source)]
    if uniform(source, 0, 1) < 0.4:
        looks.append(random_jpeg(source))
    return tuple(looks)


_VARIED = Style(contrast=(0.3, 1.1), finest=(2.6, 8.0), grain=(0.15, 1.4), saturation=(0.0, 0.85))

DOMAINS: dict[str, Domain] = {
    d.name: d
    for d in (
        Domain(
            "source",
            "everything a bit: the domain that models are pre-trained on",
            max_speed=60.0,
            pace=(0.08, 1.0),
            objects=(2, 9),
            radius=(0.05, 0.34),
            style=_VARIED,
            ground=_VARIED,
            shadows=0.3,
            blur=0.2,
            looks=_source_looks,
        ),
    )
}
TARGETS = tuple(name for name in DOMAINS if name != "source")
