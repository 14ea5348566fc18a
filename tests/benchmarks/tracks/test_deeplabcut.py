from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from refine_motion.benchmarks.tracks.deeplabcut import DeepLabCut
from refine_motion.benchmarks.tracks.deeplabcut_files import read_pose_labels
from refine_motion.benchmarks.tracks.evaluation import evaluate_tracks
from refine_motion.errors import BenchmarkError, ConfigError

OLD = """scorer,Ann,Ann,Ann,Ann
bodyparts,snout,snout,tail,tail
coords,x,y,x,y
labeled-data/clip1/img0000.png,21.5,265.4,,
labeled-data/clip1/img0001.png,22.5,266.4,3.0,4.0
"""
NEW = """scorer,,,Ann,Ann,Ann,Ann
bodyparts,,,snout,snout,tail,tail
coords,,,x,y,x,y
labeled-data,clip1,img0000.png,21.5,265.4,,
labeled-data,clip1,img0001.png,22.5,266.4,3.0,4.0
"""
SEVERAL = """scorer,,,Ann,Ann,Ann,Ann
individuals,,,cow,cow,calf,calf
bodyparts,,,nose,nose,nose,nose
coords,,,x,y,x,y
labeled-data,clip1,img0000.png,21.5,265.4,,
labeled-data,clip1,img0001.png,22.5,266.4,3.0,4.0
"""
LIKELY = """scorer,Net,Net,Net,Net,Net,Net
bodyparts,snout,snout,snout,tail,tail,tail
coords,x,y,likelihood,x,y,likelihood
labeled-data\\clip1\\img0000.png,21.5,265.4,0.9,NaN,NaN,0.1
labeled-data\\clip1\\img0001.png,22.5,266.4,1,3.0,4.0,1
"""
XY = [[[21.5, 265.4], [np.nan, np.nan]], [[22.5, 266.4], [3, 4]]]
COLUMNS = [("Ann", part, axis) for part in ("snout", "tail") for axis in "xy"]


def read(path: Path, content: str) -> Any:
    path.write_text(content)
    return read_pose_labels(path)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (OLD, ["snout", "tail"]),
        (OLD.replace("/", "\\"), ["snout", "tail"]),
        ("\ufeff" + OLD, ["snout", "tail"]),
        (NEW, ["snout", "tail"]),
        (SEVERAL, ["cow/nose", "calf/nose"]),
        (LIKELY, ["snout", "tail"]),
    ],
)
def test_csv(tmp_path: Path, content: str, names: list[str]) -> None:
    found = read(tmp_path / "CollectedData_Ann.csv", content)
    assert (found.images, found.folder, found.names) == (["img0000.png", "img0001.png"], "clip1", names)
    np.testing.assert_allclose(found.xy, XY, rtol=1e-6)


def test_a_file_that_names_images_alone(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", OLD.replace("labeled-data/clip1/", "")).folder == ""


def test_half_a_point_is_none(tmp_path: Path) -> None:
    assert np.isnan(read(tmp_path / "a.csv", OLD.replace("21.5,", ",")).xy[0, 0]).all()


def test_places_beyond_the_edges_are_taken(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", OLD.replace("21.5", "-21.5")).xy[0, 0].tolist() == pytest.approx([-21.5, 265.4])


def write_table(path: Path, columns: bytes, values: int = 4) -> None:
    """As PyTables writes it for pandas, when the index is one string."""
    import h5py

    rows = np.zeros(2, np.dtype([("index", "S30"), ("values_block_0", "<f8", (values,))]))
    rows["index"] = [f"labeled-data/clip1/img000{n}.png".encode() for n in (0, 1)]
    rows["values_block_0"] = np.reshape(XY, (2, 4))[:, :values]
    with h5py.File(path, "w") as file:
        table = file.create_dataset("df_with_missing/table", data=rows)
        table.attrs["values_block_0_kind"] = np.bytes_(columns)


def write_arrays(path: Path, rows: int = 2) -> None:
    """As pandas writes its fixed format, when the index has three levels."""
    import h5py

    index = [("labeled-data", "clip1", f"img000{n}.png") for n in (0, 1)]
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["nblocks"] = 1
        group["block0_values"] = np.reshape(XY, (2, 4))[:rows]
        for name, entries in (("block0_items", COLUMNS), ("axis1", index)):
            group.attrs[f"{name}_nlevels"] = 3
            for level in range(3):
                values = sorted({entry[level] for entry in entries})
                group[f"{name}_level{level}"] = np.array(values, dtype="S")
                group[f"{name}_label{level}"] = np.array([values.index(e[level]) for e in entries], np.int8)


def test_both_kinds_of_hdf5(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    write_table(tmp_path / "old.h5", pickle.dumps(COLUMNS, protocol=0))
    write_arrays(tmp_path / "new.h5")
    for name in ("old.h5", "new.h5"):
        found = read_pose_labels(tmp_path / name)
        assert (found.images, found.names) == (["img0000.png", "img0001.png"], ["snout", "tail"])
        assert found.folder == "clip1"
        np.testing.assert_allclose(found.xy, XY, rtol=1e-6)


def test_hdf5_under_another_name(tmp_path: Path) -> None:
    """The newer labelling window writes `keypoints`."""
    h5py = pytest.importorskip("h5py")
    write_arrays(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.move("df_with_missing", "keypoints")
    np.testing.assert_allclose(read_pose_labels(tmp_path / "a.h5").xy, XY, rtol=1e-6)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["other"] = [1]
    with pytest.raises(BenchmarkError, match="under df_with_missing"):
        read_pose_labels(tmp_path / "a.h5")


def test_hdf5_that_cannot_be_read(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    write_table(path, b"cos\nsystem\n(Vtouch x\ntR.")
    with pytest.raises(BenchmarkError, match=r"a\.h5: this pickle asks for os\.system"):
        read_pose_labels(path)
    path.write_text("no hdf5")
    with pytest.raises(BenchmarkError, match=r"a\.h5: no labels of DeepLabCut .* take the CSV file") as error:
        read_pose_labels(path)
    assert "\n" not in str(error.value)
    with h5py.File(path, "w") as file:
        file["other"] = [1]
    with pytest.raises(BenchmarkError, match="under df_with_missing"):
        read_pose_labels(path)


@pytest.mark.parametrize(
    ("columns", "values", "message"),
    [
        (COLUMNS, 2, r"names 2 rows and 4 columns .* holds values \(2, 2\)"),
        (COLUMNS[:2], 4, r"names 2 rows and 2 columns .* holds values \(2, 4\)"),
        ([(), (), (), ()], 4, r"scorer, body part, coordinate"),
    ],
)
def test_hdf5_whose_columns_are_not_its_values(tmp_path: Path, columns: Any, values: int, message: str) -> None:
    pytest.importorskip("h5py")
    write_table(tmp_path / "a.h5", pickle.dumps(columns, protocol=0), values)
    with pytest.raises(BenchmarkError, match=rf"a\.h5: .*{message}.* take the CSV file beside it"):
        read_pose_labels(tmp_path / "a.h5")


def test_hdf5_of_fewer_values_than_rows(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    write_arrays(tmp_path / "a.h5", rows=1)
    with pytest.raises(BenchmarkError, match=r"a\.h5: names 2 rows and 4 columns .* holds values \(1, 4\)"):
        read_pose_labels(tmp_path / "a.h5")


def test_hdf5_with_a_damaged_group(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    write_arrays(path)
    before, _, after = path.read_bytes().rpartition(b"HEAP")
    path.write_bytes(before + b"HEAD" + after)
    with pytest.raises(BenchmarkError, match=r"a\.h5: no labels of DeepLabCut .* \(Unable to .*heap") as error:
        read_pose_labels(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has not the header rows"),
        ("a,b\n1,2\n", "has not the header rows"),
        ("\n".join(OLD.splitlines()[:3]), "labels no frame"),
        (OLD.replace("coords,x,y,x,y", "coords,x,y,x,z"), "tail has no x and y"),
        (OLD.replace("21.5", "left"), "row of labeled-data/clip1/img0000.png has 'left'"),
        (OLD.replace("3.0,4.0", "3.0,4.0,5.0"), "has more cells than the header"),
        # Cut off within a row, at a cell or in one.
        (NEW[: -len(",clip1,img0001.png,22.5,266.4,3.0,4.0\n")], "row of labeled-data has fewer cells"),
        (NEW[: -len("1,img0001.png,22.5,266.4,3.0,4.0\n")], "row of labeled-data/clip has fewer cells"),
        (NEW[: -len(",4.0\n")], "row of labeled-data/clip1/img0001.png has fewer cells"),
        (OLD[: -len("1.png,22.5,266.4,3.0,4.0\n")], "row of labeled-data/clip1/img000 has fewer cells"),
        (OLD[: -len(",3.0,4.0\n")], "row of labeled-data/clip1/img0001.png has fewer cells"),
        (OLD.replace("snout,tail,tail", "snout,tail"), "row of bodyparts has fewer cells"),
        (OLD + '"labeled\ndata",1\n', "row of labeled data has fewer cells"),
        (OLD.replace("3.0", "inf"), "img0001.png: tail is at no finite place"),
        (OLD.replace("266.4", "-1e300"), "img0001.png: snout is at no finite place"),
        # Half a point is none, but not when it lies nowhere.
        (OLD.replace("21.5,265.4", "inf,"), "img0000.png: snout is at no finite place"),
        (OLD.replace("img0001", "img0000"), "labels the image img0000.png twice"),
        (OLD.replace("clip1/img0001", "clip2/img0001"), "labels images of several videos, clip1 and clip2; give"),
        (NEW.replace("clip1,img0001", "clip2,img0001"), "labels images of several videos, clip1 and clip2; give"),
        (OLD.replace("Ann,Ann,Ann,Ann", "Ann,Ann,Bob,Bob"), "labels of several people, Ann, Bob; leave one"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_csv_that_cannot_be_read(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message) as error:
        read(tmp_path / "a.csv", content)
    assert "\n" not in str(error.value)


def project(root: Path, picture: Any, points: dict[int, list[tuple[float, float] | None]], frames: int) -> Path:
    """Frames of 128 x 96, of which some are labelled."""
    folder = root / "labeled-data/horse1"
    for number in range(frames):
        picture(folder / f"img{number}.png", number, (128, 96))
    count = len(next(iter(points.values())))
    lines = [
        ",".join(["scorer", *["Ann"] * 2 * count]),
        ",".join(["bodyparts", *(f"p{n}" for n in range(count) for _ in "xy")]),
        ",".join(["coords", *"xy" * count]),
    ]
    for number, places in points.items():
        cells = [str(v) for place in places for v in (place or ("", ""))]
        lines.append(",".join([f"labeled-data/horse1/img{number}.png", *cells]))
    (folder / "CollectedData_Ann.csv").write_text("\n".join(lines))
    return root


def test_clean(tmp_path: Path, picture, moves) -> None:
    # Rows out of order, and "img10" sorts behind "img9". The last point is marked once.
    points = {
        10: [(39.0, 20.0), (30.0, 30.0), None],
        2: [(24.0, 20.0), None, (9.0, 9.0)],
        9: [None, (28.0, 30.0), None],
    }
    root = project(tmp_path, picture, points, frames=12)
    (video,) = DeepLabCut(str(root)).videos()
    assert (video.name, video.size, len(video.xy)) == ("horse1", (96, 128), 9)
    assert [int(frame[0, 0, 0]) for frame in video.frames()] == list(range(2, 11))
    # Each point from the first frame in which it is marked; that frame is not scored.
    assert video.queries.tolist() == [[0, 24, 20], [7, 28, 30]]
    assert video.points.tolist() == [0, 1]
    assert torch.nonzero(video.truth()[2]).tolist() == [[8, 0], [8, 1]]
    table = evaluate_tracks(moves(1), DeepLabCut(str(root)), progress=False)
    scores = table.rows[0].scores
    # Off by 15 - 8 and 2 - 1 px; at 256 x 256 these are 14 and 2 px.
    assert scores["ate"] == pytest.approx(4)
    assert scores["d_avg"] == pytest.approx((0 + 0 + 0.5 + 0.5 + 1) / 5)
    assert scores["survival_50"] == 1


def test_frames_of_another_size(tmp_path: Path, picture) -> None:
    root = project(tmp_path, picture, {0: [(31.5, 31.5)], 1: [(31.5, 31.5)]}, frames=2)
    (video,) = DeepLabCut(str(root), size=(48, 256)).videos()
    assert video.queries.tolist() == [[0, 63.5, 15.5]]
    assert next(iter(video.frames())).shape == (3, 48, 256)


@pytest.mark.parametrize("size", [(0, 0), (-4, 3), (256, 0)])
def test_a_size_without_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"data\.size must be .* got \["):
        DeepLabCut("here", size=size)


def test_rule_of_the_paper(tmp_path: Path, picture) -> None:
    points: dict[int, list[tuple[float, float] | None]] = {}
    for number in range(70):
        inside, used = (50.0, 50.0), number % 32 in range(0, 32, 4)
        points[number] = [
            inside,
            # Nearer than 8 px to the edge in the second frame used, of the first clip.
            (7.0, 50.0) if number == 4 else inside,
            # Seen in three of the eight frames used, which are too few, and in all the others.
            inside if not used or number % 32 < 12 else None,
            # Seen in just four of them, the border counting as inside.
            (8.0, 88.0) if number % 32 < 13 else None,
        ]
        if number >= 32:
            points[number] = [None] * 4
    # The rows of a file need not be in the order of the frames.
    shuffled = dict(reversed(points.items()))
    benchmark = DeepLabCut(str(project(tmp_path, picture, shuffled, frames=70)), preset="paper")
    (video,) = benchmark.videos()
    assert (video.name, video.unit) == ("horse1/000000", "horse1")
    assert video.points.tolist() == [0, 3]
    assert [int(frame[0, 0, 0]) for frame in video.frames()] == list(range(0, 32, 4))
    assert benchmark.skipped == {
        "clips without a point that fits the rule": 1,
        "labelled frames at the ends of videos, which are no clip of 32": 6,
    }
    (leak,) = (note for note in benchmark.notes if "hand-picked" in note)
    assert "true visibility" in leak
    assert "start at their true places" in leak
    assert "weights chosen by these very scores" in leak


def test_videos_that_are_too_short_for_a_clip(tmp_path: Path, picture, moves) -> None:
    root = project(tmp_path, picture, {n: [(50.0, 50.0)] for n in range(31)}, frames=31)
    with pytest.raises(BenchmarkError, match="nothing to score: 31 labelled frames at the ends of videos"):
        evaluate_tracks(moves(), DeepLabCut(str(root), preset="paper"), progress=False)


def test_what_is_missing(tmp_path: Path, picture) -> None:
    with pytest.raises(BenchmarkError, match="holds no CollectedData_"):
        list(DeepLabCut(str(tmp_path)).videos())
    root = project(tmp_path, picture, {0: [(1.0, 1.0)], 1: [(1.0, 1.0)]}, frames=2)
    folder = root / "labeled-data/horse1"
    (folder / "CollectedData_Bob.csv").write_text("")
    with pytest.raises(BenchmarkError, match=r"several people, CollectedData_Ann\.csv, CollectedData_Bob\.csv"):
        list(DeepLabCut(str(root)).videos())
    (folder / "CollectedData_Bob.csv").unlink()
    picture(folder / "img1.png", 1, (64, 96))
    (video,) = DeepLabCut(str(root)).videos()
    with pytest.raises(BenchmarkError, match=r"img1\.png: 64 x 96 pixels, but img0\.png has 128 x 96"):
        list(video.frames())
    (folder / "img1.png").unlink()
    with pytest.raises(BenchmarkError, match=r"img1\.png: missing, but CollectedData_Ann\.csv labels it"):
        list(DeepLabCut(str(root)).videos())


def test_a_folder_of_another_name_is_told(tmp_path: Path, picture, moves) -> None:
    root = project(tmp_path, picture, {0: [(31.0, 31.0)], 1: [(32.0, 31.0)]}, frames=2)
    assert not evaluate_tracks(moves(), DeepLabCut(str(root)), progress=False).notes[1:]
    (root / "labeled-data/horse1").rename(root / "labeled-data/mare")
    table = evaluate_tracks(moves(), DeepLabCut(str(root)), progress=False)
    assert table.notes[1:] == ("mare: its labels are of a folder horse1; taken for one that was renamed.",)


def test_labels_of_larger_images(tmp_path: Path, picture) -> None:
    root = project(tmp_path, picture, {0: [(31.0, 31.0)], 1: [(2000.0, 31.0)]}, frames=2)
    with pytest.raises(BenchmarkError, match=r"CollectedData_Ann\.csv: a point at x 2000, y 31, .* 128 x 96 pixels"):
        list(DeepLabCut(str(root)).videos())


def test_a_folder_with_hdf5_alone(tmp_path: Path, picture) -> None:
    pytest.importorskip("h5py")
    folder = tmp_path / "labeled-data/clip1"
    for number in (0, 1):
        picture(folder / f"img000{number}.png", number, (64, 300))
    write_table(folder / "CollectedData_Ann.h5", pickle.dumps(COLUMNS, protocol=0))
    (video,) = DeepLabCut(str(tmp_path)).videos()
    assert video.queries.tolist() == [[0, 21.5, pytest.approx(265.4)]]
