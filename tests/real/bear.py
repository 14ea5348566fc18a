"""Hand-labelled joints of a walking bear (DAVIS, BADJA), scored as PIPs scores BADJA, at 320x512.

Joints are given in the first labelled frame and scored in all later labelled ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from refine_motion.benchmarks.tracks.scoring import small_scale
from refine_motion.metrics.functional.tracks import correct_transfers, distance, survival

HEIGHT, WIDTH = 320, 512
# In pixels of frames of 256x256, as PIPs++ counts: its own threshold, and that of CoTracker and TrackOn.
SURVIVAL = (16.0, 50.0)


@dataclass(frozen=True)
class Joints:
    """The part of a sequence from its first labelled frame to its last.

    Attributes:
        frames: ``(T, 3, 320, 512)`` uint8.
        areas: ``(T,)`` pixels of the animal.
        labelled: ``(L,)`` numbers of the labelled frames.
        xy: ``(L, N, 2)`` in pixels of the frames.
        visible: ``(L, N)``.
    """

    frames: Tensor
    areas: Tensor
    labelled: Tensor
    xy: Tensor
    visible: Tensor


def read_bear(real_data: Path) -> Joints:
    """The bear of the shared material.

    Args:
        real_data: the folder ``data`` of it.
    """
    folder = real_data / "davis" / "bear"
    content = np.load(folder / "badja_joints.npz")
    first, last = int(content["frames"][0]), int(content["frames"][-1])
    pictures = [Image.open(file) for file in sorted((folder / "frames").glob("*.jpg"))[first : last + 1]]
    masks = [Image.open(file) for file in sorted((folder / "masks").glob("*.png"))[first : last + 1]]
    scale = torch.tensor([WIDTH / pictures[0].width, HEIGHT / pictures[0].height])
    small = [np.array(picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)) for picture in pictures]
    areas = [(np.array(mask.resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)) > 0).sum() for mask in masks]
    return Joints(
        torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2),
        torch.tensor(np.array(areas)),
        torch.from_numpy(content["frames"]).long() - first,
        torch.from_numpy(content["xy"]).float() * scale,
        torch.from_numpy(content["visible"]).bool(),
    )


def scores(places: Tensor, bear: Joints) -> dict[str, float]:
    """BADJA's PCK-T, median error and PIPs++'s survival of places ``(T, N, 2)``."""
    away = distance(places[bear.labelled], bear.xy)
    areas = bear.areas[bear.labelled]
    # All joints as published, and those alone that are seen in the first frame, where they were given.
    known = bear.visible & bear.visible[0]
    found, filtered = (correct_transfers(away, seen, areas) for seen in (bear.visible, known))
    small = small_scale((HEIGHT, WIDTH))
    away_small = distance(places[bear.labelled] * small, bear.xy * small)
    return {
        "PCK-T": (100 * found[0] / found[1]).item(),
        "PCK-T, seen at first": (100 * filtered[0] / filtered[1]).item(),
        "median error": away[1:][known[1:]].median().item(),
        **{f"survival {limit:g}": 100 * survival(away_small, known, limit).item() for limit in SURVIVAL},
    }


def print_table(found: Mapping[str, Mapping[str, float]]) -> None:
    """Scores by the name of what tracked."""
    table = Table(title=f"davis/bear at {HEIGHT}x{WIDTH}; survival in px of 256x256")
    table.add_column("tracked by")
    for heading in next(iter(found.values())):
        table.add_column(heading, justify="right")
    for name, row in found.items():
        table.add_row(name, *(f"{v:.1f} px" if "error" in key else f"{v:.1f} %" for key, v in row.items()))
    Console(width=120).print(table)
