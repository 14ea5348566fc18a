"""A made collection of actions: what moves is the same in all classes, how it moves is the class.

Every clip has textures and an outline of its own, and its object is in the middle of its way in the middle of the clip:
a frame at a time that is not known tells nothing of the class. (One that is known to be the first does: what will go
left is on the right.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from rich.progress import track

from refine_motion.benchmarks.synthetic.clip import one_thread
from refine_motion.benchmarks.synthetic.draw import generator, uniform
from refine_motion.benchmarks.synthetic.objects import Place, random_object
from refine_motion.benchmarks.synthetic.scene import Scene
from refine_motion.benchmarks.synthetic.styles import Style
from refine_motion.benchmarks.synthetic.surface import Surface
from refine_motion.benchmarks.synthetic.textures import random_texture
from refine_motion.benchmarks.synthetic.trajectory import random_trajectory
from refine_motion.errors import ConfigError
from refine_motion.files import replacing
from refine_motion.video.writer import write_video

CLASSES = ("left", "right", "up", "down", "clockwise", "anticlockwise", "grow", "shrink")
_STYLE = Style(contrast=(0.5, 1.0), saturation=(0.1, 0.8))
# Of the camera, in parts of the speed of the object: it hides the class from whoever looks at the background alone.
_CAMERA = 0.15


@dataclass(frozen=True)
class ActionSet:
    """How large the collection is.

    Attributes:
        labelled: videos with labels to learn from, in folders of their classes.
        unlabelled: videos without.
        test: videos to test on, in folders of their classes.
        size: ``(H, W)`` of the frames in pixels, both even.
        frames: of each video.
        max_speed: no point of the object moves farther from one frame to the next, in pixels.
        fps: frames per second.
        seed: of everything.

    Raises:
        ConfigError: a number is out of range, or no class gets a video.
    """

    labelled: int = 40
    unlabelled: int = 400
    test: int = 160
    size: tuple[int, int] = (64, 64)
    frames: int = 16
    max_speed: float = 4.0
    fps: float = 12.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        if min(self.labelled, self.test) < len(CLASSES) or self.unlabelled < 0:
            raise ConfigError(
                f"labelled and test must be at least {len(CLASSES)}, one for each class, and unlabelled not negative; "
                f"got {self.labelled}, {self.test} and {self.unlabelled}"
            )
        if any(side % 2 for side in self.size) or self.frames < 2 or not self.max_speed > 0:
            raise ConfigError(
                f"sides must be even, frames at least 2 and max_speed positive; got {tuple(self.size)}, {self.frames} "
                f"and {self.max_speed:g}"
            )

    def videos(self) -> Iterator[tuple[Path, int, int]]:
        """Path in the collection, class and seed of each video; classes are equally many."""
        number = 0
        for folder, count in (("train", self.labelled), ("test", self.test), ("unlabelled", self.unlabelled)):
            # Else the names of unlabelled videos would tell their classes by their order.
            order = torch.randperm(count, generator=generator(6, self.seed)).tolist()
            for place in order:
                label = place % len(CLASSES)
                inside = "" if folder == "unlabelled" else CLASSES[label]
                yield Path(folder) / inside / f"{number:04d}.mp4", label, number
                number += 1


def action_scene(seed: int, motion: str, size: tuple[int, int], frames: int, max_speed: float) -> Scene:
    """One object that moves in front of a background under an almost steady camera.

    Args:
        seed: any integer.
        motion: one of :data:`CLASSES`.
        size: height and width in pixels.
        frames: how many are looked at.
        max_speed: see :class:`ActionSet`.
    """
    source, side = generator(5, seed), min(size)
    camera_speed = _CAMERA * max_speed
    camera = random_trajectory(source, (0.0, 0.0), side, camera_speed, 0.05 * side, frames)
    # Held upright, or left and right on the screen would not be those of the scene.
    camera = replace(camera, angle=replace(camera.angle, start=0.0))
    ground = Surface(random_texture(source, _STYLE), depth=1.0)
    place = Place(
        number=1,
        start=(size[1] * uniform(source, -0.12, 0.12), size[0] * uniform(source, -0.12, 0.12)),
        radius=side * uniform(source, 0.2, 0.3),
        depth=1.0,
        speed=(max_speed - camera_speed) * uniform(source, 0.6, 1.0),
        room=0.4 * side,
        frames=frames,
        motion=motion,
    )
    thing = random_object(source, source, "rigid", place, _STYLE, None, "cpu")
    return Scene(size, (ground, *thing.surfaces), camera, motion_class=motion)


def write_actions(folder: str | Path, settings: ActionSet = ActionSet()) -> Path:
    """Write the collection; of the same one, what is there already stays.

    Layout: ``train/<class>/``, ``test/<class>/`` and ``unlabelled/`` with videos; ``unlabelled.csv`` has their true
    classes (``video,class``), for judging alone.

    Args:
        folder: made where it does not exist.
        settings: how large it is.

    Returns:
        The folder.

    Raises:
        ConfigError: the folder has another collection.
        VideoError: a video cannot be written.
    """
    folder = Path(folder)
    note, wanted = folder / "actions.json", json.dumps(asdict(settings), indent=1) + "\n"
    if note.is_file() and note.read_text(encoding="utf-8") != wanted:
        raise ConfigError(f"{folder}: has made actions of other settings; give another folder, or delete it")
    with replacing(note) as partial:
        partial.write_text(wanted, encoding="utf-8")
    rows = ["video,class"]
    for path, label, number in track(list(settings.videos()), "rendering actions", transient=True):
        if path.parts[0] == "unlabelled":
            rows.append(f"{path.name},{CLASSES[label]}")
        if (folder / path).is_file():
            continue
        scene = action_scene(
            settings.seed * 1_000_000 + number, CLASSES[label], settings.size, settings.frames, settings.max_speed
        )
        with one_thread():
            write_video(folder / path, (scene.render(t) for t in range(settings.frames)), settings.fps, crf=14)
    (folder / "unlabelled.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder
