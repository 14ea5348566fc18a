"""Domains by name: the source that models are pre-trained on, and shifted targets that resemble real needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Generator

from refine_motion.benchmarks.synthetic.draw import uniform
from refine_motion.benchmarks.synthetic.looks.base import Look
from refine_motion.benchmarks.synthetic.looks.camera import random_exposure, random_jpeg, random_sensor
from refine_motion.benchmarks.synthetic.looks.old_film import random_old_film
from refine_motion.benchmarks.synthetic.looks.outdoors import random_fog, random_night
from refine_motion.benchmarks.synthetic.looks.thermal import random_thermal
from refine_motion.benchmarks.synthetic.looks.tissue import random_specular
from refine_motion.benchmarks.synthetic.styles import Range, Style
from refine_motion.errors import ConfigError


@dataclass(frozen=True)
class Domain:
    """What the scenes of a domain have in common.

    Attributes:
        name: the name.
        about: one line on what it resembles.
        max_speed: no visible point moves farther from one frame to the next, in pixels, unless asked otherwise; the
            bound is cautious, the fastest point of most scenes moves 0.1 to 0.5 times as far.
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
    max_speed: float = 24.0
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


def _through(*makers: Callable[[Generator], Look]) -> Callable[[Generator], tuple[Look, ...]]:
    """Looks drawn one after another, from the scene to the sensor."""
    return lambda source: tuple(make(source) for make in makers)


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
        Domain(
            "fog",
            "outdoors in drifting fog: contrast falls with distance",
            depth=5.0,
            style=Style(contrast=(0.6, 1.0)),
            ground=Style(contrast=(0.6, 1.0)),
            looks=_through(random_exposure, random_fog, random_sensor),
            crf=20,
        ),
        Domain(
            "night",
            "a security camera at night: low contrast, strong noise",
            camera=(0.0, 0.2),
            kinds={"rigid": 1.0, "figure": 2.0, "affine": 1.0},
            radius=(0.14, 0.3),
            looks=_through(random_night),
            crf=16,
        ),
        Domain(
            "thermal",
            "a thermal camera: one band, soft, with a pattern of its sensor that stays while things move",
            style=Style(kinds={"noise": 1.0, "blobs": 1.0}, lightness=(120.0, 230.0), saturation=(0.0, 0.0)),
            ground=Style(kinds={"noise": 1.0}, lightness=(40.0, 130.0), saturation=(0.0, 0.0), contrast=(0.5, 0.9)),
            looks=_through(random_thermal),
        ),
        Domain(
            "particles",
            "particle image velocimetry: tracers in a light sheet, carried by vortices",
            objects=(0, 0),
            ground=Style(kinds={"dots": 1.0}, lightness=(4.0, 12.0), saturation=(0.0, 0.0), grain=(0.02, 0.05)),
            camera=(0.0, 0.1),
            flowing="swirls",
            pace=(0.8, 1.0),
            looks=_through(random_sensor),
            crf=14,
        ),
        Domain(
            "tissue",
            "endoscopy: elastic tissue with vessels under moist highlights, rigid instruments",
            objects=(1, 2),
            kinds={"rigid": 1.0, "affine": 0.5},
            radius=(0.12, 0.24),
            style=Style(lightness=(60.0, 220.0), saturation=(0.0, 0.2)),
            ground=Style(
                kinds={"veins": 1.0},
                hue=(-0.02, 0.06),
                saturation=(0.5, 0.8),
                lightness=(100.0, 190.0),
                contrast=(0.5, 0.9),
                grain=(0.1, 0.4),
            ),
            depth=1.5,
            camera=(0.2, 0.6),
            flowing="ripples",
            pace=(0.7, 1.0),
            looks=_through(random_specular, random_exposure, random_sensor),
        ),
        Domain(
            "crowd",
            "many small things alike: cells, insects, people from above",
            objects=(26, 40),
            radius=(0.03, 0.06),
            kinds={"rigid": 2.0, "affine": 1.0},
            alike=True,
            style=Style(contrast=(0.7, 1.1), finest=(3.0, 6.0)),
            ground=Style(contrast=(0.3, 0.6)),
            camera=(0.0, 0.2),
            depth=1.5,
            max_speed=24.0,
            looks=_through(random_exposure, random_sensor),
        ),
        Domain(
            "sports",
            "fast players before a panning camera, with motion blur and hard compression",
            objects=(2, 3),
            kinds={"figure": 1.0},
            radius=(0.14, 0.28),
            style=Style(kinds={"noise": 1.0}, finest=(3.0, 6.0)),
            ground=Style(
                kinds={"stripes": 1.0},
                hue=(0.22, 0.42),
                saturation=(0.5, 0.8),
                lightness=(70.0, 150.0),
                contrast=(0.5, 0.9),
            ),
            camera=(0.4, 0.7),
            depth=1.6,
            max_speed=40.0,
            pace=(0.7, 1.0),
            blur=1.0,
            looks=_through(random_exposure, random_sensor),
            crf=26,
        ),
        Domain(
            "old_film",
            "black-and-white film: grain, flicker, scratches, a gate that shakes",
            style=Style(saturation=(0.0, 0.0)),
            ground=Style(saturation=(0.0, 0.0)),
            kinds={"figure": 2.0, "rigid": 1.0, "affine": 1.0},
            shake=0.8,
            looks=_through(random_old_film),
            crf=20,
        ),
    )
}
TARGETS = tuple(name for name in DOMAINS if name != "source")
