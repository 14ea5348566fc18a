from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from refine_motion.benchmarks.masks.benchmark import MaskBenchmark, MaskSequence
from refine_motion.benchmarks.masks.davis import Davis
from refine_motion.benchmarks.masks.evaluation import evaluate_masks
from refine_motion.errors import BenchmarkError
from refine_motion.metrics.masks import JAndF
from refine_motion.video.palette import read_mask, write_mask


class Files(MaskBenchmark):
    """Sequences whose frames nobody looks at."""

    title = "Files"

    def __init__(self, *made: MaskSequence):
        super().__init__("here")
        self.made = made

    def sequences(self) -> Iterator[MaskSequence]:
        return iter(self.made)


def write_all(folder: Path, masks: np.ndarray) -> list[Path]:
    paths = [folder / f"{number:05d}.png" for number in range(len(masks))]
    for path, mask in zip(paths, masks, strict=True):
        write_mask(path, torch.from_numpy(mask))
    return paths


def test_the_folder_of_the_reference_scores_as_officially(reference: Path, tmp_path: Path) -> None:
    z = np.load(reference / "davis_sequences.npz")
    made = []
    for name in "abc":
        annotations = write_all(tmp_path / "truth" / name, z[f"gt_{name}"])
        write_all(tmp_path / "predictions" / name, z[f"pred_{name}"])
        made.append(MaskSequence(name, annotations, annotations))
    table = evaluate_masks(tmp_path / "predictions", Files(*made), progress=False)
    assert [row.name for row in table.rows] == z["object_names"].tolist()
    for name in ("mean", "recall", "decay"):
        for letter in "jf":
            found = [row.scores[f"{letter}_{name}"] for row in table.rows]
            wanted = z[f"{letter.upper()}_{name[0].upper()}"]
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    found = [table.mean.scores[name] for name in JAndF.names]
    np.testing.assert_allclose(found, z["global_JF_JM_JR_JD_FM_FR_FD"], rtol=0, atol=1e-12)


def test_rows_and_mean(davis: Path, predictions: Path) -> None:
    # Of object 1 of the car's frame 2 every second row is missing.
    broken = predictions / "car/00002.png"
    mask = torch.zeros(40, 60, dtype=torch.uint8)
    mask[5:15:2, 13:23], mask[20:32, 30:50] = 1, 2
    write_mask(broken, mask)
    table = evaluate_masks(str(predictions), Davis(str(davis)), progress=False)
    assert [row.name for row in table.rows] == ["car_1", "car_2", "dog_1", "dog_2"]
    assert table.rows[0].scores["j_mean"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert table.rows[0].scores["j_recall"] == pytest.approx(2 / 3)
    assert [row.scores["jf"] for row in table.rows[1:]] == [1, 1, 1]
    assert table.mean.scores["j_mean"] == pytest.approx((5 / 6 + 3) / 4)
    # The first mask, 10 px wide, is 4, 8 and 12 px behind.
    still = [row.still["j_mean"] for row in table.rows]
    assert still == pytest.approx([(6 / 14 + 2 / 18 + 0) / 3, 1] * 2)
    assert "DAVIS 2017 val" in table.title


def test_2016_joins_the_objects(davis: Path, predictions: Path) -> None:
    # One of the objects is called by the other's number, which makes no difference where they are one.
    for file in predictions.glob("car/*.png"):
        write_mask(file, 2 * (read_mask(file) > 0).to(torch.uint8))
    table = evaluate_masks(predictions, Davis(str(davis), year=2016), progress=False)
    assert [(row.name, row.scores["jf"]) for row in table.rows] == [("car", 1)]
    assert evaluate_masks(predictions, Davis(str(davis)), progress=False).rows[0].scores["jf"] == 0


class Shifts:
    """Moves the first mask to the right by so many pixels a frame, and remembers what it was shown."""

    def __init__(self, step: int):
        self.step, self.shown = step, 0

    def __call__(self, first: Tensor, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        for number, frame in enumerate(frames):
            assert frame.shape == (3, *first.shape)
            self.shown += 1
            yield torch.where(first == 1, 0, first) + (first == 1).roll(self.step * number, 1)


def test_what_predicts(davis: Path) -> None:
    shifts = Shifts(4)
    table = evaluate_masks(shifts, Davis(str(davis)), progress=False)
    assert table.mean.scores["jf"] == 1
    assert shifts.shown == 10
    table = evaluate_masks(Shifts(0), Davis(str(davis)), progress=False)
    assert table.mean.scores == table.mean.still


def first_ones(count: int):
    return lambda first, frames: [first] * count


@pytest.mark.parametrize(
    ("predictor", "message"),
    [
        (first_ones(4), "car: the predictor gave 4 masks for 5 frames"),
        (first_ones(6), "car: the predictor gave 6 masks for 5 frames"),
        (first_ones(1), "car: the predictor gave 1 masks for 5 frames"),
        (lambda first, frames: [first[1:]] * 5, r"car, frame 0 of the predictor: a mask of \(39, 60\)"),
        (
            lambda first, frames: [first + 1] * 5,
            "car, frame 1 of the predictor: has object 3, but the first mask of car",
        ),
    ],
)
def test_predictors_that_give_something_else(davis: Path, predictor, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        evaluate_masks(predictor, Davis(str(davis)), progress=False)


def test_predictions_that_do_not_fit(davis: Path, predictions: Path) -> None:
    def refused(folder: Path = predictions) -> str:
        with pytest.raises(BenchmarkError) as error:
            evaluate_masks(folder, Davis(str(davis)), progress=False)
        assert "\n" not in str(error.value)
        return str(error.value)

    file = predictions / "car/00002.png"
    write_mask(file, torch.full((40, 60), 3, dtype=torch.uint8))
    assert f"{file}: has object 3, but the first mask of car has 2" in refused()
    write_mask(file, torch.full((40, 60), 255, dtype=torch.uint8))
    assert f"{file}: has object 255" in refused()
    write_mask(file, torch.zeros(60, 40, dtype=torch.uint8))
    assert f"{file}: 40 x 60 pixels where 60 x 40 are expected" in refused()
    file.unlink()
    assert f"{file}: missing; predictions are <sequence>/<frame>.png" in refused()
    assert "00001.png: is the true mask itself" in refused(davis / "Annotations/480p")


def test_true_masks_of_several_sizes(davis: Path, predictions: Path) -> None:
    write_mask(davis / "Annotations/480p/car/00002.png", torch.zeros(60, 40, dtype=torch.uint8))
    with pytest.raises(BenchmarkError, match=r"480p/car/00002\.png: 40 x 60 pixels where 60 x 40 are expected"):
        evaluate_masks(predictions, Davis(str(davis)), progress=False)


def test_what_is_skipped(davis: Path, predictions: Path) -> None:
    write_mask(davis / "Annotations/480p/car/00000.png", torch.zeros(40, 60, dtype=torch.uint8))
    table = evaluate_masks(predictions, Davis(str(davis)), progress=False)
    assert [row.name for row in table.rows] == ["dog_1", "dog_2"]
    assert table.skipped == {"sequences without an object in the first mask": 1}
    for number in (2, 3, 4):
        (davis / f"JPEGImages/480p/dog/{number:05d}.jpg").unlink()
    with pytest.raises(BenchmarkError, match=r"nothing to score: 1 sequences without .*; 1 sequences of fewer than 3"):
        evaluate_masks(predictions, Davis(str(davis)), progress=False)
    with pytest.raises(BenchmarkError, match="here: nothing to score: it holds no sequence"):
        evaluate_masks(predictions, Files(), progress=False)


def test_real_masks_against_themselves_moved(real_data: Path, tmp_path: Path) -> None:
    for kind, folder in (("JPEGImages", "frames"), ("Annotations", "masks")):
        (tmp_path / kind / "480p").mkdir(parents=True)
        (tmp_path / kind / "480p" / "bear").symlink_to(real_data / "davis" / "bear" / folder)
    benchmark = Davis(str(tmp_path), year=2016, split="all")
    (bear,) = benchmark.sequences()
    masks = [bear.truth(number).roll(3, 1) for number in range(len(bear.images))]
    table = evaluate_masks(lambda first, frames: masks, benchmark, progress=False)
    assert [row.name for row in table.rows] == ["bear"]
    # A contour may be 8 px off; a large animal that is 3 px off still overlaps much.
    assert table.mean.scores["f_mean"] > 0.98
    assert 0.85 < table.mean.scores["j_mean"] < 0.98
    assert table.mean.still["j_mean"] < table.mean.scores["j_mean"]


def test_masks_of_another_size_than_the_frames_are_refused_before_anything_is_predicted(davis: Path) -> None:
    file = davis / "Annotations/480p/car/00000.png"
    write_mask(file, torch.ones(80, 120, dtype=torch.uint8))

    def never(first: Tensor, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        raise AssertionError

    with pytest.raises(BenchmarkError, match=r"car.00000\.png: 120 x 80 pixels, but the frames have 60 x 40"):
        evaluate_masks(never, Davis(str(davis), split="val"), progress=False)
