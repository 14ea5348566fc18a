"""What is known about a procedural clip besides its flow: visibility, tracks, masks, key-points, motion class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.scene import Scene
from refine_motion.errors import BenchmarkError
from refine_motion.files import replacing
from refine_motion.types import Tracks

TRUTH = "truth.safetensors"


@dataclass(frozen=True)
class ClipTruth:
    """Truth about a clip of T frames; coordinates are x, y in pixels.

    Attributes:
        starts: ``(P,)`` first frame of each pair of neighbours that has a flow file.
        visible: ``(P, H, W)`` bool, which pixels of the first frame are seen in the second one too.
        queries: ``(N, 3)`` float32 frame, x, y of the points that are followed.
        tracks: these points in all T frames.
        masks: ``(T, H, W)`` uint8 number of the object, 0 for the background.
        key_points: ``(T, K, 2)`` float32.
        key_points_visible: ``(T, K)`` bool.
        key_point_names: K names, each with the number of its object (``1/head``).
        motion_class: what the main object mostly does; None where nothing is said.
    """

    starts: Tensor
    visible: Tensor
    queries: Tensor
    tracks: Tracks
    masks: Tensor
    key_points: Tensor
    key_points_visible: Tensor
    key_point_names: tuple[str, ...]
    motion_class: str | None


def random_queries(scene: Scene, frames: int, count: int, seed: int) -> Tensor:
    """Points to follow, in random frames; for one half, the first of eight random places that is on an object.

    Returns:
        ``(count, 3)`` float32 frame, x, y.
    """
    source = generator(4, seed)
    height, width = scene.size
    drawn = torch.rand((count, 8, 2), generator=source) * torch.tensor([width - 1.0, height - 1.0])
    start = torch.randint(0, frames, (count,), generator=source)
    queries = torch.empty((count, 3))
    masks = {t: scene.masks(t).cpu() for t in start.unique().tolist()}
    for number, (t, places) in enumerate(zip(start.tolist(), drawn, strict=True)):
        column, row = places.round().long().T
        on_object = masks[t][row, column] > 0
        chosen = int(on_object.int().argmax()) if number % 2 else 0
        queries[number] = torch.cat((torch.tensor([float(t)]), places[chosen]))
    return queries


def clip_truth(scene: Scene, frames: int, starts: Sequence[int], seed: int, points: int = 64) -> ClipTruth:
    """Everything that is known about a scene.

    Args:
        scene: the scene.
        frames: length of the clip.
        starts: first frames of the pairs with a flow file.
        seed: draws the followed points.
        points: how many are followed.
    """
    queries = random_queries(scene, frames, points, seed)
    key_points, seen = zip(*(scene.points(t) for t in range(frames)), strict=True)
    return ClipTruth(
        starts=torch.tensor(list(starts)),
        visible=torch.stack([scene.flow(start, start + 1)[1] for start in starts]),
        queries=queries,
        tracks=scene.tracks(queries, range(frames)),
        masks=torch.stack([scene.masks(t) for t in range(frames)]),
        key_points=torch.stack(key_points),
        key_points_visible=torch.stack(seen),
        key_point_names=tuple(point.name for point in scene.key_points),
        motion_class=scene.motion_class,
    )


def write_truth(path: str | Path, truth: ClipTruth) -> None:
    """Write it as safetensors; the file appears complete or not at all."""
    tensors = {
        "starts": truth.starts,
        "visible": truth.visible,
        "queries": truth.queries,
        "tracks_xy": truth.tracks.xy,
        "tracks_visible": truth.tracks.visible,
        "masks": truth.masks,
        "key_points": truth.key_points,
        "key_points_visible": truth.key_points_visible,
    }
    names = {"key_point_names": truth.key_point_names, "motion_class": truth.motion_class}
    with replacing(path) as partial:
        partial.write_bytes(
            save({key: value.cpu().contiguous() for key, value in tensors.items()}, {"truth": json.dumps(names)})
        )


def read_truth(path: str | Path) -> ClipTruth:
    """Read what :func:`write_truth` wrote.

    Raises:
        BenchmarkError: the file is missing or not of this kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = json.loads(file.metadata()["truth"])
            t = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
        return ClipTruth(
            starts=t["starts"],
            visible=t["visible"],
            queries=t["queries"],
            tracks=Tracks(t["tracks_xy"], t["tracks_visible"]),
            masks=t["masks"],
            key_points=t["key_points"],
            key_points_visible=t["key_points_visible"],
            key_point_names=tuple(names["key_point_names"]),
            motion_class=names["motion_class"],
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(f"{path}: not the truth of a procedural clip ({error}); write the clip again") from error
