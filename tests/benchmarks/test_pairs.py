from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from refine_motion.benchmarks.flow_files import write_flo, write_kitti_png
from refine_motion.benchmarks.pairs import find_pairs, read_pair
from refine_motion.errors import BenchmarkError


def picture(path: Path, grey: int = 0, size: tuple[int, int] = (12, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path)


def truth(path: Path, value: float = 0.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write = write_flo if path.suffix == ".flo" else write_kitti_png
    write(path, torch.full((2, 8, 12), value))


def relative(folder: Path) -> list[tuple[str, ...]]:
    return [
        (p.sequence, *(path.relative_to(folder).as_posix() for path in (p.image_a, p.image_b, p.flow)))
        for p in find_pairs(folder)
    ]


class TestOfficialLayouts:
    def test_middlebury(self, tmp_path: Path):
        for name in ("Venus", "Grove2", "Walking"):
            for number in (9, 10, 11, 12):
                picture(tmp_path / f"other-data/{name}/frame{number:02d}.png")
        for name in ("Venus", "Grove2"):
            truth(tmp_path / f"other-gt-flow/{name}/flow10.flo")
        assert relative(tmp_path) == [
            (n, f"other-data/{n}/frame10.png", f"other-data/{n}/frame11.png", f"other-gt-flow/{n}/flow10.flo")
            for n in ("Grove2", "Venus")
        ]

    @pytest.mark.parametrize("images", ["image_2", "colored_0"])
    @pytest.mark.parametrize("inside", ["", "training/"])
    def test_kitti(self, tmp_path: Path, images: str, inside: str):
        for number in ("000000", "000007"):
            for time in (10, 11):
                picture(tmp_path / f"{inside}{images}/{number}_{time}.png")
            truth(tmp_path / f"{inside}flow_occ/{number}_10.png", 3.0)
            truth(tmp_path / f"{inside}flow_noc/{number}_10.png")
        assert relative(tmp_path) == [
            (n, f"{inside}{images}/{n}_10.png", f"{inside}{images}/{n}_11.png", f"{inside}flow_occ/{n}_10.png")
            for n in ("000000", "000007")
        ]
        assert read_pair(find_pairs(tmp_path)[0])[2].unique().tolist() == [3.0]

    @pytest.mark.parametrize("inside", ["", "training/"])
    def test_sintel(self, tmp_path: Path, inside: str):
        root = tmp_path / inside
        for name in ("clean", "final"):
            for number in (1, 2, 3):
                picture(root / name / "alley_1" / f"frame_{number:04d}.png")
        for number in (1, 2):
            truth(root / "flow/alley_1" / f"frame_{number:04d}.flo")
        pairs = find_pairs(tmp_path)
        assert [p.name for p in pairs] == [
            *("clean/alley_1/frame_0001", "clean/alley_1/frame_0002"),
            *("final/alley_1/frame_0001", "final/alley_1/frame_0002"),
        ]
        assert pairs[3].image_b == root / "final/alley_1/frame_0003.png"
        assert {p.sequence for p in pairs} == {"clean/alley_1", "final/alley_1"}
        assert [p.sequence for p in find_pairs(root / "final")] == ["final/alley_1"] * 2

    def test_a_missing_frame_is_named(self, tmp_path: Path):
        picture(tmp_path / "other-data/Venus/frame10.png")
        truth(tmp_path / "other-gt-flow/Venus/flow10.flo")
        with pytest.raises(BenchmarkError, match=r"frame11\.png: missing"):
            find_pairs(tmp_path)


class TestBesideFrames:
    @pytest.mark.parametrize(
        ("flow", "first", "second", "others"),
        [
            ("flow10.flo", "frame10.png", "frame11.png", ["frame09.png", "frame12.png"]),
            ("frame_0009.flo", "frame_0009.jpg", "frame_0010.jpg", ["left_0009.jpg", "left_0010.jpg"]),
            ("00001_flow.flo", "00001_img1.ppm", "00001_img2.ppm", ["00002_img1.ppm", "00002_img2.ppm"]),
            ("horse.flo", "horse_1.png", "horse_2.png", ["cow_1.png", "cow_2.png"]),
            ("flow_horse.flo", "horse_a.png", "horse_b.png", ["horse.png"]),
            ("flow_03.png", "img_03.png", "img_04.png", ["img_05.png"]),
            ("flow.flo", "img9.png", "img10.png", []),
            ("truth_flow.png", "before1.png", "before2.png", []),
        ],
    )
    def test_frames_by_name(self, tmp_path: Path, flow: str, first: str, second: str, others: list[str]):
        truth(tmp_path / "seq" / flow)
        for name in (first, second, *others):
            picture(tmp_path / "seq" / name)
        assert relative(tmp_path) == [("seq", f"seq/{first}", f"seq/{second}", f"seq/{flow}")]

    def test_several_folders_and_the_folder_itself(self, tmp_path: Path):
        folder = tmp_path / "mine"
        for place in ("", "b/deep/", "a/"):
            picture(folder / f"{place}frame1.png")
            picture(folder / f"{place}frame2.png")
            truth(folder / f"{place}flow1.flo")
        assert [p.sequence for p in find_pairs(folder)] == ["a", "b/deep", "mine"]
        assert [p.name for p in find_pairs(folder)] == ["a/flow1", "b/deep/flow1", "mine/flow1"]

    def test_frames_that_could_be_either_are_not_guessed(self, tmp_path: Path):
        truth(tmp_path / "flow1.flo")
        for name in ("left1.png", "left2.png", "right1.png", "right2.png"):
            picture(tmp_path / name)
        with pytest.raises(BenchmarkError, match=r"flow1\.flo: its two frames were not found"):
            find_pairs(tmp_path)

    def test_real_folder(self, real_data: Path):
        assert relative(real_data / "flow") == [
            (n, f"{n}/frame10.png", f"{n}/frame11.png", f"{n}/flow10.flo") for n in ("grove2", "rubberwhale")
        ]


class TestErrors:
    def test_no_truth(self, tmp_path: Path):
        picture(tmp_path / "frame1.png")
        with pytest.raises(
            BenchmarkError, match=r"no true flow found; accepted are Middlebury .*KITTI .*Sintel"
        ) as error:
            find_pairs(tmp_path)
        assert str(tmp_path) in str(error.value)
        assert "\n" not in str(error.value)

    def test_no_folder(self, tmp_path: Path):
        with pytest.raises(BenchmarkError, match="no such folder"):
            find_pairs(tmp_path / "nothing")

    def test_frame_of_another_size(self, tmp_path: Path):
        truth(tmp_path / "flow1.flo")
        picture(tmp_path / "frame1.png")
        picture(tmp_path / "frame2.png", size=(12, 9))
        with pytest.raises(BenchmarkError, match=r"frame2\.png has 12 x 9 pixels .*flow1\.flo has 12 x 8"):
            read_pair(find_pairs(tmp_path)[0])

    def test_frame_that_is_no_picture(self, tmp_path: Path):
        truth(tmp_path / "flow1.flo")
        picture(tmp_path / "frame1.png")
        (tmp_path / "frame2.png").write_text("no picture")
        with pytest.raises(BenchmarkError, match=r"frame2\.png: cannot be read as a picture"):
            read_pair(find_pairs(tmp_path)[0])
        Image.fromarray(np.zeros((8, 12), np.float32)).save(tmp_path / "frame2.png", "TIFF")
        with pytest.raises(BenchmarkError, match=r"frame2\.png: .*floating-point"):
            read_pair(find_pairs(tmp_path)[0])


def test_frames_are_rgb_planes(tmp_path: Path):
    truth(tmp_path / "flow1.flo")
    picture(tmp_path / "frame1.png")
    pixels = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
    Image.fromarray(pixels).save(tmp_path / "frame2.png")
    frame = read_pair(find_pairs(tmp_path)[0])[1]
    assert frame.dtype == torch.uint8
    assert np.array_equal(frame.numpy(), pixels.transpose(2, 0, 1))


def test_read_pair(tmp_path: Path):
    truth(tmp_path / "flow1.flo", 2.5)
    picture(tmp_path / "frame1.png", 10)
    picture(tmp_path / "frame2.png", 20)
    a, b, flow, valid = read_pair(find_pairs(tmp_path)[0])
    assert a.shape == b.shape == (3, 8, 12)
    assert (a.unique().tolist(), b.unique().tolist()) == ([10], [20])
    assert flow.unique().tolist() == [2.5]
    assert valid.shape == (8, 12)
    assert valid.all()
