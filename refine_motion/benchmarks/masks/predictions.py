"""Predicted masks, from a folder of pictures or from anything that carries a first mask through frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from torch import Tensor

from refine_motion.benchmarks.masks.benchmark import MaskSequence
from refine_motion.errors import BenchmarkError
from refine_motion.video.palette import read_mask


class MaskPredictor(Protocol):
    """Carries the first mask through a video: a function or a model."""

    def __call__(self, first: Tensor, frames: Iterable[Tensor]) -> Iterable[Tensor]:
        """The mask of every frame, one after the other.

        Args:
            first: ``(H, W)`` uint8 ids of the objects of the first frame, 0 for the background.
            frames: all frames in order, the first included: ``(3, H, W)`` uint8 RGB. They can be gone through once.

        Returns:
            ``(H, W)`` integer ids of each frame, the first included.
        """


def predicted_masks(
    predictions: str | Path | MaskPredictor, sequence: MaskSequence, first: Tensor, count: int
) -> Iterator[Tensor]:
    """The predicted masks of the scored frames.

    Args:
        predictions: what predicts; or a folder with ``<sequence>/<frame>.png``, named as the true masks are. Those of
            the first and the last frame may be missing.
        sequence: the video.
        first: ``(H, W)`` ids, its first mask.
        count: how many objects that has.

    Yields:
        ``(H, W)`` ids.

    Raises:
        BenchmarkError: a mask is missing, damaged, of another size, the truth itself, or has an object too many.
    """
    if isinstance(predictions, (str, Path)):
        masks = _read(Path(predictions).expanduser() / sequence.name, sequence, (first.shape[0], first.shape[1]))
    else:
        masks = _predict(predictions, sequence, first)
    for where, mask in masks:
        ids = sequence.joined(mask)
        if int(ids.max()) > count:
            raise BenchmarkError(
                f"{where}: has object {int(ids.max())}, but the first mask of {sequence.name} has {count}; "
                "number the objects as it does, and write 0 for void"
            )
        yield ids


def _read(folder: Path, sequence: MaskSequence, size: tuple[int, int]) -> Iterator[tuple[str, Tensor]]:
    for number in sequence.scored:
        truth = sequence.annotations[number]
        file = folder / truth.name
        if not file.is_file():
            raise BenchmarkError(
                f"{file}: missing; predictions are <sequence>/<frame>.png, named as the annotations, for every frame "
                "but the first and the last"
            )
        if file.samefile(truth):
            raise BenchmarkError(f"{file}: is the true mask itself; give the folder of the predictions")
        yield str(file), read_mask(file, size)


def _predict(predictor: MaskPredictor, sequence: MaskSequence, first: Tensor) -> Iterator[tuple[str, Tensor]]:
    given = 0
    size = next(iter(sequence.frames())).shape[1:]
    if size != first.shape:
        raise BenchmarkError(
            f"{sequence.annotations[0]}: {first.shape[1]} x {first.shape[0]} pixels, but the frames have {size[1]} x "
            f"{size[0]}; give frames and masks of one size"
        )
    for number, mask in enumerate(predictor(first, sequence.frames())):
        where = f"{sequence.name}, frame {number} of the predictor"
        if mask.shape != first.shape:
            raise BenchmarkError(
                f"{where}: a mask of {tuple(mask.shape)}, but the first is {tuple(first.shape)}; return the size given"
            )
        if number in sequence.scored:
            yield where, mask.cpu()
        given += 1
    if given != len(sequence.images):
        raise BenchmarkError(
            f"{sequence.name}: the predictor gave {given} masks for {len(sequence.images)} frames; return one for "
            "each, the first included"
        )
