from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from refine_motion.benchmarks.tracks.badja import JOINTS, SIZE, Badja
from refine_motion.benchmarks.tracks.evaluation import evaluate_tracks
from refine_motion.errors import BenchmarkError

# Twice the protocol's size.
WIDTH, HEIGHT = 1024, 640
LABELLED = (2, 4, 5)


@pytest.fixture
def root(tmp_path: Path, picture) -> Path:
    """Frames 0 to 6, labelled in 2, 4 and 5; the animal has 100 x 100 px, in frame 5 20 x 20; extra videos beside."""
    for number in range(7):
        picture(place(tmp_path, number), number, (WIDTH, HEIGHT))
        mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        side = 40 if number == 5 else 200
        mask[:side, :side] = 128
        file = place(tmp_path, number, "Annotations").with_suffix(".png")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(file)
    labels = [label(number) for number in LABELLED]
    write(tmp_path, "bear", labels)
    write(tmp_path, "tiger", [label(0) | {"image_path": "extra_videos/tiger/0.png"}])
    return tmp_path


def place(root: Path, number: int, kind: str = "JPEGImages") -> Path:
    return root / f"DAVIS/{kind}/Full-Resolution/bear/{number:05d}.jpg"


def label(number: int) -> dict[str, Any]:
    """All joints at x 200, y 100; the first used joint 2 px further right each frame, the last not seen in frame 2."""
    joints = np.full((37, 2), (100.0, 200.0))
    joints[JOINTS[0], 1] += 2 * (number - 2)
    seen = np.zeros(37, bool)
    seen[list(JOINTS)] = True
    if number == 2:
        seen[JOINTS[-1]], joints[JOINTS[-1]] = False, 0
    return {
        "image_path": f"DAVIS/JPEGImages/Full-Resolution/bear/{number:05d}.jpg",
        "segmentation_path": f"DAVIS/Annotations/Full-Resolution/bear/{number:05d}.png",
        "joints": joints.tolist(),
        "visibility": seen.tolist(),
    }


def write(root: Path, name: str, labels: Any) -> None:
    (root / "joint_annotations").mkdir(exist_ok=True)
    (root / "joint_annotations" / f"{name}.json").write_text(json.dumps(labels))


def test_what_is_read(root: Path) -> None:
    benchmark = Badja(str(root))
    (video,) = benchmark.videos()
    assert (video.name, video.size) == ("bear", SIZE)
    # From the first labelled frame to the last, those between without a joint.
    frames = list(video.frames())
    assert [int(frame[0, 0, 0]) for frame in frames] == [2, 3, 4, 5]
    assert frames[0].shape == (3, 320, 512)
    assert video.visible.any(dim=1).tolist() == [True, False, True, True]
    # Rows and columns are swapped, and edges of pixels stay edges: (200 + 0.5) / 2 - 0.5.
    assert video.xy[0, 1].tolist() == [99.75, 49.75]
    assert video.xy[3, 0].tolist() == [102.75, 49.75]
    assert video.areas.tolist() == [10000, 0, 10000, 400]
    assert benchmark.skipped == {"of BADJA's extra videos, which have no frames in DAVIS": 1}


def test_official_and_filtered(root: Path, moves) -> None:
    official, filtered = (
        evaluate_tracks(moves(), Badja(str(root), variant), progress=False) for variant in ("official", "filtered")
    )
    # The last joint was started at (0, 0) and is lost twice; the first is off by 2 and 3 px, which is near enough.
    assert official.rows[0].scores["pck_t"] == pytest.approx(100 * 38 / 40)
    assert filtered.rows[0].scores["pck_t"] == 100
    assert (official.rows[0].queries, filtered.rows[0].queries) == (20, 19)
    assert "not the published protocol" in " ".join(filtered.notes)


def test_each_frame_has_its_own_threshold(root: Path, moves) -> None:
    # 5 px a frame: 10 px off in frame 4, whose limit is 20, and 15 in frame 5, whose limit is 4.
    table = evaluate_tracks(moves(5), Badja(str(root), "filtered"), progress=False)
    assert table.rows[0].scores["pck_t"] == 50


def test_just_within_and_just_beyond_the_limit(root: Path, moves) -> None:
    labels = [label(2), label(5)]
    write(root, "bear", labels)
    # 3 frames at 4/3 px are the limit of 4 px in frame 5, for all but the joint that moves with it.
    scores = [
        evaluate_tracks(moves(v), Badja(str(root), "filtered"), progress=False).rows[0].scores["pck_t"]
        for v in (-4 / 3 + 1e-3, -4 / 3 - 1e-3)
    ]
    assert scores == [pytest.approx(100 * 18 / 19), 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[]", "is no list of frames"),
        ('[{"image_path": "DAVIS/a/0.jpg"}]', "is no list of frames with image_path, joints"),
        (json.dumps([label(2) | {"joints": [[1, 2]]}]), "00002.jpg has not 37 joints"),
        (json.dumps([label(2) | {"image_path": "DAVIS/JPEGImages/Full-Resolution/bear/x.jpg"}]), "no numbered frame"),
        (json.dumps([label(2), label(9)]), "00007.jpg: missing, but bear.json has joints"),
        (
            json.dumps([label(2) | {"image_path": None}]),
            r"bear\.json: entry 1: image_path and segmentation_path must be",
        ),
        (json.dumps([label(2) | {"image_path": 5}]), r"bear\.json: entry 1: "),
        (json.dumps([label(2), label(4) | {"image_path": None}]), r"bear\.json: entry 2: "),
        (json.dumps([label(2), label(4) | {"segmentation_path": None}]), r"bear\.json: entry 2: "),
        (json.dumps([label(2) | {"segmentation_path": 1.5}]), r"bear\.json: entry 1: "),
        (json.dumps([label(2) | {"joints": [[10**400, 0]] * 37}]), "00002.jpg has not 37 joints"),
        (json.dumps([label(2) | {"joints": [[float("nan"), 0]] * 37}]), "00002.jpg has a joint at no finite place"),
        (json.dumps([label(2) | {"joints": [[1e300, 0]] * 37}]), "00002.jpg has a joint at no finite place"),
        (json.dumps([label(2) | {"image_path": f"DAVIS/{'x' * 300}/00002.jpg"}]), "00002.jpg: missing, but bear.json"),
        (json.dumps([label(2) | {"image_path": f"DAVIS/{'9' * 5000}.jpg"}]), "is no numbered frame"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_cannot_be_read(root: Path, content: str, message: str) -> None:
    (root / "joint_annotations/bear.json").write_text(content)
    with pytest.raises(BenchmarkError, match=message) as error:
        list(Badja(str(root)).videos())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("last", [9_999_999, 99_999_999_999])
def test_a_wild_number_of_a_frame_is_refused_at_once(root: Path, last: int) -> None:
    write(root, "bear", [label(2), label(last)])
    with pytest.raises(BenchmarkError, match=r"00007\.jpg: missing, but bear|9\.jpg is no numbered frame"):
        list(Badja(str(root)).videos())


@pytest.mark.parametrize(("variant", "area"), [("official", 10000), ("filtered", 20000)])
def test_of_several_objects_the_published_script_counts_the_red_ones(root: Path, variant: Any, area: int) -> None:
    objects = np.zeros((HEIGHT, WIDTH), np.uint8)
    objects[:200, :200], objects[200:400, :200] = 1, 2
    mask = Image.fromarray(objects, mode="P")
    # DAVIS's: the second object is green.
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    mask.save(place(root, 4, "Annotations").with_suffix(".png"))
    benchmark = Badja(str(root), variant)
    (video,) = benchmark.videos()
    assert video.areas.tolist() == [10000, 0, area, 400]
    assert "objects" in benchmark.notes[1]


def test_no_annotations(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="has no joint_annotations"):
        list(Badja(str(tmp_path)).videos())


def test_a_missing_mask(root: Path) -> None:
    (root / "DAVIS/Annotations/Full-Resolution/bear/00004.png").unlink()
    with pytest.raises(BenchmarkError, match=r"00004\.png: cannot be read"):
        list(Badja(str(root)).videos())


def test_standing_still_on_a_real_bear(real_data: Path, tmp_path: Path) -> None:
    """By an independent sum over the hand-made labels of 17 frames."""
    source = real_data / "davis/bear"
    content = np.load(source / "badja_joints.npz")
    for kind, folder in (("JPEGImages", "frames"), ("Annotations", "masks")):
        there = tmp_path / f"DAVIS/{kind}/Full-Resolution"
        there.mkdir(parents=True)
        (there / "bear").symlink_to(source / folder)
    labels = []
    for number, xy, visible in zip(content["frames"], content["xy"], content["visible"], strict=True):
        joints, seen = np.zeros((37, 2)), np.zeros(37, bool)
        joints[list(JOINTS)], seen[list(JOINTS)] = xy[:, ::-1], visible
        labels.append(label(int(number)) | {"joints": joints.tolist(), "visibility": seen.tolist()})
    write(tmp_path, "bear", labels)
    benchmark = Badja(str(tmp_path))
    (video,) = benchmark.videos()
    from refine_motion.benchmarks.tracks.follow import stand_still

    away = np.linalg.norm((content["xy"] - content["xy"][:1]) * (512 / 854, 320 / 480), axis=-1)
    masks = [np.asarray(Image.open(source / f"masks/{number:05d}.png")) > 0 for number in content["frames"]]
    limits = np.array([0.2 * np.sqrt(mask.mean() * 320 * 512) for mask in masks])
    later = content["visible"].copy()
    later[0] = False
    expected = 100 * (later & (away < limits[:, None])).sum() / later.sum()
    assert benchmark.scores(video, stand_still(video))["pck_t"] == pytest.approx(expected, abs=0.5)
    assert torch.isfinite(video.xy).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_path": "DAVIS/JPEGImages/Full-Resolution/cow/00004.jpg"}, "cow/00004.jpg is not of .*/bear"),
        ({"image_path": "DAVIS/JPEGImages/Full-Resolution/bear/00002.jpg"}, "labels .*bear/00002.jpg twice"),
        ({"joints": [[100.0, 1500.0]] * 37}, "00004.jpg: a point at x 1500, y 100, but the frames have 1024 x 640"),
    ],
)
def test_labels_of_other_frames(root: Path, change: dict[str, Any], message: str) -> None:
    write(root, "bear", [label(2), label(4) | change, label(5)])
    with pytest.raises(BenchmarkError, match=message) as error:
        list(Badja(str(root)).videos())
    assert "bear.json: " in str(error.value)


def test_masks_may_be_smaller_but_not_of_another_shape(root: Path) -> None:
    (before,) = Badja(str(root)).videos()
    file = place(root, 4, "Annotations").with_suffix(".png")
    with Image.open(file) as mask:
        mask.resize((512, 320), Image.Resampling.NEAREST).save(file)
    (video,) = Badja(str(root)).videos()
    assert torch.equal(video.areas, before.areas)
    with Image.open(file) as mask:
        mask.resize((77, 33)).save(file)
    with pytest.raises(BenchmarkError, match=r"00004\.png: 77 x 33 is no mask of these frames"):
        list(Badja(str(root)).videos())


def test_what_is_wrong_with_the_last_is_told_before_the_first_is_scored(root: Path) -> None:
    (root / "joint_annotations/zebra.json").write_text("{")
    with pytest.raises(BenchmarkError, match=r"zebra\.json: cannot be read"):
        next(iter(Badja(str(root)).videos()))
