from __future__ import annotations

import copy
import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from refine_motion.benchmarks.tracks.evaluation import evaluate_tracks
from refine_motion.benchmarks.tracks.tap_vid import TapVid, tap_video
from refine_motion.errors import BenchmarkError


@pytest.fixture
def entry() -> dict[str, Any]:
    """12 frames of 10 x 20, each of its own grey; one point moves 0.01 of the width a frame, one is never seen."""
    video = np.stack([np.full((10, 20, 3), number, np.uint8) for number in range(12)])
    points = np.zeros((2, 12, 2), np.float32)
    points[0] = np.stack([0.25 + 0.01 * np.arange(12), np.full(12, 0.5)], axis=-1)
    occluded = np.ones((2, 12), bool)
    # Seen from frame 3 on, hidden in frame 10.
    occluded[0, 3:] = False
    occluded[0, 10] = True
    return {"video": video, "points": points, "occluded": occluded}


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.mark.parametrize("mode", ["first", "strided"])
def test_the_official_reader(reference: Path, mode: Any) -> None:
    z = np.load(reference / "tapvid_reader.npz")
    raw = {name: z[name] for name in ("video", "points", "occluded")}
    video = tap_video("a", raw, mode, (12, 20), "a")
    t, y, x = z[f"{mode}_query_points"][0].T
    # Official places are raster coordinates: half a pixel more than ours.
    expected = torch.from_numpy(np.stack([t, x - 0.5, y - 0.5], axis=1)).float()
    torch.testing.assert_close(video.queries, expected, atol=1e-5, rtol=0)
    target, visible, _ = video.truth()
    torch.testing.assert_close(
        target + 0.5, torch.from_numpy(z[f"{mode}_target_points"][0]).float().transpose(0, 1), atol=1e-5, rtol=0
    )
    assert torch.equal(visible, torch.from_numpy(~z[f"{mode}_occluded"][0]).T)
    if mode == "strided":
        assert torch.equal(video.points, torch.from_numpy(z["strided_trackgroup"][0]))
    frames = torch.stack(list(video.frames())).permute(0, 2, 3, 1)
    decoded = np.round((z["video_decoded"] + 1) / 2 * 255).astype(np.uint8)
    np.testing.assert_array_equal(frames.numpy(), decoded)


def test_a_second_pass_says_the_same(tmp_path: Path, entry: dict[str, Any]) -> None:
    before = copy.deepcopy(entry)
    once, twice = (tap_video("a", entry, "first", (256, 256), "a") for _ in range(2))
    assert torch.equal(once.xy, twice.xy)
    np.testing.assert_array_equal(entry["points"], before["points"])
    write(tmp_path / "tapvid_davis.pkl", {"a": entry})
    benchmark = TapVid(str(tmp_path))
    first, second = ([video.xy for video in benchmark.videos()] for _ in range(2))
    assert torch.equal(first[0], second[0])


def test_places_at_256(entry: dict[str, Any]) -> None:
    video = tap_video("a", entry, "first", (256, 256), "a")
    assert video.queries.tolist() == [[3, pytest.approx(256 * 0.28 - 0.5), pytest.approx(127.5)]]
    frames = list(video.frames())
    assert [tuple(frame.shape) for frame in frames] == [(3, 256, 256)] * 12
    assert [int(frame[0, 128, 128]) for frame in frames] == list(range(12))
    wide = tap_video("a", entry, "first", (32, 64), "a")
    assert next(iter(wide.frames())).shape == (3, 32, 64)
    assert wide.queries.tolist() == [[3, pytest.approx(64 * 0.28 - 0.5), pytest.approx(15.5)]]


def test_first_and_strided_queries(entry: dict[str, Any]) -> None:
    assert tap_video("a", entry, "first", (256, 256), "a").points.tolist() == [0]
    strided = tap_video("a", entry, "strided", (256, 256), "a")
    # Of frames 0, 5 and 10 the point is seen in the second alone.
    assert (strided.queries[:, 0].tolist(), strided.points.tolist()) == ([5], [0])


def test_a_perfect_tracker(tmp_path: Path, entry: dict[str, Any], moves) -> None:
    root = write(tmp_path / "tapvid_davis.pkl", {"a": entry})
    step = 0.01 * 256
    table = evaluate_tracks(moves(step), TapVid(str(root)), against=moves(), progress=False)
    scores = table.rows[0].scores
    # After frame 3, eight frames count, in one of which the point is hidden though it is said to be seen.
    assert (scores["delta_avg"], scores["oa"]) == (1, 7 / 8)
    assert scores["aj"] == pytest.approx(7 / 8)
    # Standing still it is off by 2.56 px more each frame; by less than 1, 2, 4, 8, 16 px in 0, 0, 1, 3 and 6 of seven.
    assert table.rows[0].still["delta_avg"] == pytest.approx((0 + 0 + 1 + 3 + 6) / 7 / 5)
    assert table.rows[0].against == table.rows[0].still


def test_strided_queries_are_followed_both_ways(tmp_path: Path, entry: dict[str, Any], moves) -> None:
    root = write(tmp_path / "tapvid_davis.pkl", {"a": entry})
    model = moves(0.01 * 256)
    table = evaluate_tracks(model, TapVid(str(root), queries="strided"), progress=False)
    # Forwards, and through the reversed video from the reversed frame.
    assert model.shown == [list(range(12)), list(range(11, -1, -1))]
    assert [asked[0, 0].item() for asked in model.asked] == [5, 6]
    # Backwards the constant velocity is wrong: frame 4 is off by 5.12 px, frame 3 by 10.24 px; frames 6 to 9 and 11
    # are right. All eleven other frames count for OA, in four of which the point is hidden.
    scores = table.rows[0].scores
    assert scores["delta_8"] == pytest.approx(6 / 7)
    assert scores["delta_16"] == 1
    assert scores["delta_4"] == pytest.approx(5 / 7)
    assert scores["oa"] == pytest.approx(7 / 11)


def test_full_resolution_is_scored_at_256(tmp_path: Path, entry: dict[str, Any], moves) -> None:
    root = write(tmp_path / "tapvid_davis.pkl", {"a": entry})
    # In frames of 20 px a hundredth of the width is 0.2 px.
    model = moves(0.2)
    table = evaluate_tracks(model, TapVid(str(root), full_resolution=True), progress=False)
    assert model.sizes == [(3, 10, 20)]
    assert model.asked[0].tolist() == [[3, pytest.approx(0.28 * 20 - 0.5, abs=1e-5), pytest.approx(4.5)]]
    assert table.rows[0].scores["delta_avg"] == 1
    assert "scored at 256 x 256" in table.title


def test_lists_without_names_and_jpegs(tmp_path: Path, entry: dict[str, Any]) -> None:
    jpegs = []
    for frame in entry["video"]:
        buffer = BytesIO()
        Image.fromarray(frame).save(buffer, format="JPEG")
        jpegs.append(buffer.getvalue())
    for shard in ("0000_of_0010", "0001_of_0010"):
        write(tmp_path / f"shards/{shard}.pkl", [entry, entry | {"video": jpegs}])
    benchmark = TapVid(str(tmp_path), subset="kinetics")
    videos = list(benchmark.videos())
    assert benchmark.skipped == {"files of the set, which are not there": 8}
    alone = TapVid(str(tmp_path / "shards/0001_of_0010.pkl"), subset="kinetics")
    assert (len(list(alone.videos())), alone.skipped) == (2, {})
    picture = BytesIO()
    Image.fromarray(entry["video"][0]).save(picture, format="GIF")
    other = write(tmp_path / "gif.pkl", [entry | {"video": [picture.getvalue()]}])
    with pytest.raises(BenchmarkError, match="its JPEG cannot be read"):
        list(TapVid(str(other)).videos())
    assert [video.name for video in videos] == [f"000{s}_of_0010/00{n}" for s in (0, 1) for n in (0, 1)]
    for plain, decoded in zip(videos[0].frames(), videos[1].frames(), strict=True):
        assert (plain.int() - decoded.int()).abs().max() <= 2
    jpegs[4] = b"no jpeg"
    root = write(tmp_path / "broken.pkl", [entry | {"video": jpegs}])
    with pytest.raises(BenchmarkError, match=r"broken\.pkl: broken/000: frame 4: its JPEG cannot be read"):
        list(next(TapVid(str(root)).videos()).frames())


def test_shards_as_the_official_script_writes_them(tmp_path: Path, entry: dict[str, Any]) -> None:
    """Its frames are an array of the bytes of JPEGs, all as long as the longest."""
    jpegs = []
    for frame in entry["video"]:
        buffer = BytesIO()
        Image.fromarray(np.repeat(np.repeat(frame, 3, 0), 1 + int(frame[0, 0, 0]), 1)).save(buffer, format="JPEG")
        jpegs.append(buffer.getvalue())
    assert len({len(jpeg) for jpeg in jpegs}) > 1
    write(tmp_path / "0000_of_0001.pkl", [entry | {"video": np.array(tuple(jpegs))}])
    (video,) = TapVid(str(tmp_path), subset="kinetics").videos()
    assert [int(frame[0, 128, 128]) for frame in video.frames()] == pytest.approx(range(12), abs=2)


def test_frames_are_scaled_by_lanczos_as_officially(entry: dict[str, Any]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 10, 20, 3), np.uint8)
    found = next(iter(tap_video("a", entry | {"video": noise}, "first", (256, 256), "a").frames())).permute(1, 2, 0)
    # The middle pixels of a picture that grows 12.8 times from 20 columns, by the definition of the kernel.
    at = (128 + 0.5) / 12.8 - 0.5
    columns = np.arange(20)
    weights = np.sinc(at - columns) * np.sinc((at - columns) / 3) * (np.abs(at - columns) < 3)
    at = (128 + 0.5) / 25.6 - 0.5
    rows = np.sinc(at - np.arange(10)) * np.sinc((at - np.arange(10)) / 3) * (np.abs(at - np.arange(10)) < 3)
    mixed = np.einsum("r,c,rcd->d", rows / rows.sum(), weights / weights.sum(), noise[0].astype(float))
    assert found[128, 128].tolist() == pytest.approx(mixed.clip(0, 255).round().tolist(), abs=2)


def test_a_name_of_two_lines_is_told_in_one(tmp_path: Path, entry: dict[str, Any]) -> None:
    del entry["points"]
    root = write(tmp_path / "a.pkl", {"goat\nb": entry})
    with pytest.raises(BenchmarkError, match=r"a\.pkl: goat b: has no 'points'"):
        list(TapVid(str(root)).videos())


def test_a_query_at_the_outer_edge_is_moved_for_the_model_alone(entry: dict[str, Any], moves) -> None:
    from refine_motion.benchmarks.tracks.follow import follow

    entry["points"][0] = (0.0, 1.0)
    video = tap_video("a", entry, "first", (256, 256), "a")
    assert video.queries.tolist() == [[3, -0.5, 255.5]]
    model = moves()
    follow(model, video)
    assert model.asked[0].tolist() == [[3, 0, 255]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": np.zeros((2, 11, 2), np.float32)}, r"12 frames, points \(2, 11, 2\) and occluded \(2, 12\)"),
        ({"occluded": np.zeros((3, 12), bool)}, r"points \(2, 12, 2\) and occluded \(3, 12\)"),
        ({"points": np.full((2, 12, 2), 100.0, np.float32)}, "places beyond 2; TAP-Vid's are shares"),
        ({"points": "none"}, "'points' holds no table of numbers"),
        ({"points": [[[0.5, 0.5]] * 12, [[0.5, 0.5]]]}, "'points' holds no table of numbers"),
        ({"points": np.full((2, 12, 2), 1e300)}, "places beyond 2"),
        ({"occluded": np.full((2, 12), "no")}, "'occluded' holds no table of numbers"),
        ({"occluded": [[True] * 12, [True]]}, "'occluded' holds no table of numbers"),
        ({"video": None}, "its video holds no frame; it must be"),
        ({"video": 5}, "its video holds no frame"),
        ({"video": "frames of it"}, "its video holds no frame"),
        ({"video": np.zeros(())}, "its video holds no frame"),
        ({"video": []}, "its video holds no frame"),
        (
            {
                "video": np.zeros((0, 16, 16, 3), np.uint8),
                "points": np.zeros((2, 0, 2)),
                "occluded": np.zeros((2, 0), bool),
            },
            "its video holds no frame",
        ),
        ({"video": np.zeros((12, 0, 16, 3), np.uint8)}, r"frame 0: uint8 of \(0, 16, 3\); it must be uint8"),
        ({"video": np.zeros((12, 16, 16, 3))}, r"frame 0: float64 of \(16, 16, 3\); it must be uint8"),
        ({"video": ["frame"] * 12}, "frame 0: str; it must be uint8"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_does_not_fit(tmp_path: Path, entry: dict[str, Any], change: dict[str, Any], message: str) -> None:
    root = write(tmp_path / "tapvid_davis.pkl", {"bear": entry, "goat": entry | change})
    # Told when the file is opened, before the first video is scored.
    with pytest.raises(BenchmarkError, match=rf"tapvid_davis\.pkl: goat: .*{message}") as error:
        next(iter(TapVid(str(root)).videos()))
    assert "\n" not in str(error.value)


def test_frames_of_several_sizes(tmp_path: Path, entry: dict[str, Any]) -> None:
    frames = [*entry["video"][:11], np.zeros((9, 20, 3), np.uint8)]
    root = write(tmp_path / "tapvid_davis.pkl", {"goat": entry | {"video": frames}})
    (video,) = TapVid(str(root), full_resolution=True).videos()
    with pytest.raises(BenchmarkError, match=r"goat: frame 11 has another size than the first"):
        list(video.frames())


def test_what_is_missing(tmp_path: Path, entry: dict[str, Any]) -> None:
    with pytest.raises(BenchmarkError, match=r"holds no tapvid_davis\*\.pkl"):
        list(TapVid(str(tmp_path)).videos())
    with pytest.raises(BenchmarkError, match=r"pass that of TapVid as --data\.root"):
        list(TapVid().videos())
    del entry["occluded"]
    root = write(tmp_path / "a.pkl", {"goat": entry})
    with pytest.raises(BenchmarkError, match=r"a\.pkl: goat: has no 'occluded'"):
        list(TapVid(str(root)).videos())
    root = write(tmp_path / "b.pkl", "text")
    with pytest.raises(BenchmarkError, match=r"b\.pkl: holds str"):
        list(TapVid(str(root)).videos())


@pytest.mark.parametrize(
    ("subset", "names", "missing"),
    [
        ("davis", ["tapvid_davis.pkl"], {"of the 30 videos of the set, which are not there": 28}),
        ("rgb_stacking", ["tapvid_rgb_stacking.pkl"], {"of the 50 videos of the set, which are not there": 48}),
        ("robotap", ["robotap_split0", "robotap_split3"], {"of the 265 videos of the set, which are not there": 261}),
        ("kinetics", ["0001_of_0002"], {"files of the set, which are not there": 1}),
    ],
)
def test_a_set_that_is_not_whole_is_told(
    tmp_path: Path, entry: dict[str, Any], subset: Any, names: list[str], missing: dict[str, int]
) -> None:
    for name in names:
        write(tmp_path / "deep" / f"{name.removesuffix('.pkl')}.pkl", {f"{name} {n}": entry for n in (0, 1)})
    benchmark = TapVid(str(tmp_path), subset=subset)
    assert len(list(benchmark.videos())) == 2 * len(names)
    assert benchmark.skipped == missing


@pytest.mark.parametrize(
    ("subset", "names"),
    [
        ("davis", ["tapvid_davis.pkl", "tapvid_davis_backup.pkl"]),
        ("rgb_stacking", ["tapvid_rgb_stacking.pkl", "old/tapvid_rgb_stacking.pkl"]),
        ("robotap", ["robotap_split0.pkl", "old/robotap_split0.pkl"]),
        ("kinetics", ["0000_of_0010.pkl", "0000_of_0002.pkl", "0001_of_0002.pkl"]),
        ("kinetics", ["0000_of_0010.pkl", "0001_of_0002.pkl"]),
    ],
)
def test_files_that_hold_the_same_videos_are_refused(
    tmp_path: Path, entry: dict[str, Any], subset: Any, names: list[str]
) -> None:
    for name in names:
        write(tmp_path / name, [entry])
    with pytest.raises(BenchmarkError, match="stale") as error:
        list(TapVid(str(tmp_path), subset=subset).videos())
    assert "\n" not in str(error.value)
