"""Predicted joints, from a folder of tables or from anything that carries the first joints through frames."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from refine_motion.benchmarks.keypoints.benchmark import KeypointClip
from refine_motion.errors import BenchmarkError

_COLUMNS = ("point", "frame", "x", "y")


class KeypointPredictor(Protocol):
    """Carries the joints of the first frame through a clip: a function or a model."""

    def __call__(self, first: Tensor, frames: Iterable[Tensor]) -> Tensor:
        """The joints of every frame.

        Args:
            first: ``(J, 2)`` float64 x, y in pixels, integers at pixel centres.
            frames: all frames in order, the first included: ``(3, H, W)`` uint8 RGB. They can be gone through once.

        Returns:
            ``(T, J, 2)`` of each frame, the first included; a negative x says that there is no estimate.
        """


def predicted_joints(predictions: str | Path | KeypointPredictor, clip: KeypointClip, joints: Sequence[str]) -> Tensor:
    """The predicted joints of a clip.

    Args:
        predictions: what predicts; or a folder with ``<class>/<video>.csv``, see :func:`read_joints`.
        clip: what is predicted.
        joints: names.

    Returns:
        ``(T, J, 2)`` float64 x, y in pixels; -1 where there is no estimate.

    Raises:
        BenchmarkError: a prediction is missing, damaged or of another size.
    """
    if isinstance(predictions, (str, Path)):
        # Names of clips may hold points, so the suffix is added and not exchanged.
        return read_joints(Path(predictions).expanduser() / f"{clip.name}.csv", len(clip.xy), joints)
    found = predictions(clip.xy[0].clone(), clip.frames())
    if found.shape != clip.xy.shape:
        raise BenchmarkError(
            f"{clip.name}: the predictor gave joints of {tuple(found.shape)} where {tuple(clip.xy.shape)} are "
            "expected; return all joints of every frame, the first included"
        )
    return found.to(clip.xy)


def read_joints(file: Path, frames: int, joints: Sequence[str]) -> Tensor:
    """Joints of a CSV file with the columns ``point``, ``frame``, ``x`` and ``y``.

    ``refine-motion track`` writes such files. A point is the name of a joint or its number from 0; frames count from
    0; other columns have no part. There is no estimate where there is no line. Lines of frames that the truth does not
    reach are passed over.

    Args:
        file: the table.
        frames: T.
        joints: names.

    Returns:
        ``(T, J, 2)`` float64 x, y in pixels; -1 where there is no estimate.

    Raises:
        BenchmarkError: the file is missing or damaged, or a line is.
    """
    xy = torch.full((frames, len(joints), 2), -1.0, dtype=torch.float64)
    numbers = {name: number for number, joint in enumerate(joints) for name in (joint, str(number))}
    seen: set[tuple[int, int]] = set()
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened, skipinitialspace=True)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise BenchmarkError(f"{file}: no column {', '.join(missing)}; needed are {', '.join(_COLUMNS)}")
            for cells in reader:
                where = f"{file}: line {reader.line_num}"
                frame, joint, x, y = _row(cells, numbers, where)
                if (frame, joint) in seen:
                    raise BenchmarkError(f"{where}: {joints[joint]} is in frame {frame} twice; take a line out")
                seen.add((frame, joint))
                if frame < frames:
                    xy[frame, joint] = torch.tensor([x, y], dtype=torch.float64)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BenchmarkError(
            f"{file}: cannot be read as a CSV file ({reason}); predictions are <class>/<video>.csv"
        ) from error
    return xy


def _row(cells: dict[str, str], numbers: dict[str, int], where: str) -> tuple[int, int, float, float]:
    try:
        frame, x, y = int(cells["frame"]), float(cells["x"]), float(cells["y"])
        fits = frame >= 0 and math.isfinite(x) and math.isfinite(y)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise BenchmarkError(f"{where}: frame must be 0 or more, x and y numbers; mend the line")
    if cells["point"] not in numbers:
        raise BenchmarkError(f"{where}: no joint {cells['point']!r}; give its name or its number from 0")
    return frame, numbers[cells["point"]], x, y
