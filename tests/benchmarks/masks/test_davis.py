from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from refine_motion.benchmarks.masks.davis import Davis
from refine_motion.errors import BenchmarkError
from refine_motion.video.palette import write_mask


def test_sequences_in_the_order_of_the_list(davis: Path, truth) -> None:
    (davis / "ImageSets/2017/val.txt").write_text("dog\ncar\n\n")
    assert [sequence.name for sequence in Davis(str(davis)).sequences()] == ["dog", "car"]
    car = list(Davis(str(davis)).sequences())[1]
    assert list(car.scored) == [1, 2, 3]
    frames = list(car.frames())
    assert [(tuple(frame.shape), frame.dtype) for frame in frames] == [((3, 40, 60), torch.uint8)] * 5
    # A JPEG of one grey value keeps it nearly.
    assert [int(frame.float().mean().round()) for frame in frames] == pytest.approx([0, 10, 20, 30, 40], abs=1)
    for number in range(5):
        assert torch.equal(car.truth(number), truth(number))
    assert car.object_name(2) == "car_2"


def test_2016_has_one_object(davis: Path, truth) -> None:
    (car,) = Davis(str(davis), year=2016).sequences()
    # Of the folder of 2017 all objects together, without void.
    assert torch.equal(car.truth(1), (truth(1) > 0).to(torch.uint8))
    assert car.object_name(1) == "car"
    # The release of 2016 has grey masks of 0 and 255.
    Image.fromarray((truth(1).numpy() == 1).astype(np.uint8) * 255).save(car.annotations[1])
    assert torch.equal(car.truth(1), (truth(1) == 1).to(torch.uint8))


def test_the_list_of_the_release_of_2016(davis: Path) -> None:
    (davis / "ImageSets/2016/val.txt").unlink()
    (davis / "ImageSets/480p").mkdir()
    lines = [
        f"/JPEGImages/480p/{n}/{i:05d}.jpg /Annotations/480p/{n}/{i:05d}.png" for n in ("dog", "car") for i in (0, 1)
    ]
    (davis / "ImageSets/480p/val.txt").write_text("\n".join(lines))
    assert [sequence.name for sequence in Davis(str(davis), year=2016).sequences()] == ["dog", "car"]
    # That of 2017 is another.
    (davis / "ImageSets/2017/val.txt").unlink()
    with pytest.raises(BenchmarkError, match=r"ImageSets/2017/val\.txt: cannot be read"):
        list(Davis(str(davis)).sequences())


def test_splits(davis: Path) -> None:
    (davis / "ImageSets/2017/train.txt").write_text("dog\n")
    assert [sequence.name for sequence in Davis(str(davis), split="train").sequences()] == ["dog"]
    (davis / "ImageSets/2017/val.txt").unlink()
    assert [sequence.name for sequence in Davis(str(davis), split="all").sequences()] == ["car", "dog"]
    with pytest.raises(BenchmarkError, match=r"val\.txt: cannot be read; .*set data\.split to all"):
        list(Davis(str(davis)).sequences())
    (davis / "ImageSets/2017/val.txt").write_text("\n")
    with pytest.raises(BenchmarkError, match=r"val\.txt: names no sequence"):
        list(Davis(str(davis)).sequences())


def test_what_is_missing(davis: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no folder given: pass that of Davis as --data\.root"):
        list(Davis().sequences())
    with pytest.raises(BenchmarkError, match="absent: no such folder"):
        list(Davis(str(davis / "absent")).sequences())
    with pytest.raises(BenchmarkError, match="has no JPEGImages/480p and Annotations/480p"):
        list(Davis(str(davis / "ImageSets")).sequences())
    car = next(iter(Davis(str(davis)).sequences()))
    car.annotations[2].unlink()
    with pytest.raises(BenchmarkError, match=r"00002\.png: missing, so car cannot be scored; .*the first alone"):
        car.truth(2)
    write_mask(car.annotations[2], torch.zeros(4, 6, dtype=torch.uint8))
    with pytest.raises(BenchmarkError, match=r"00002\.png: 6 x 4 pixels where 60 x 40 are expected"):
        car.truth(2, (40, 60))
    (davis / "ImageSets/2017/val.txt").write_text("cat\n")
    with pytest.raises(BenchmarkError, match="480p/cat: has no frames; complete the folder, or take cat off the list"):
        list(Davis(str(davis)).sequences())
