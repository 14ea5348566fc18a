from __future__ import annotations

from pathlib import Path

import pytest

from refine_motion.benchmarks.flow_pair import read_sample
from refine_motion.benchmarks.scores import score_pair, tabulate
from refine_motion.benchmarks.sintel import find_sintel
from refine_motion.errors import BenchmarkError


@pytest.fixture
def root(tmp_path: Path, picture, truth) -> Path:
    """Scenes of 3 and 2 frames with 2 and 50 px of flow; the upper 4 of 16 rows are occluded, the upper 2 invalid."""
    for scene, frames, speed in (("cave_2", 3, 2.0), ("alley_1", 2, 50.0)):
        for number in range(1, frames + 1):
            for name in ("clean", "final"):
                picture(tmp_path / f"training/{name}/{scene}/frame_{number:04d}.png", grey=number)
        for number in range(1, frames):
            truth(tmp_path / f"training/flow/{scene}/frame_{number:04d}.flo", speed)
            picture(tmp_path / f"training/occlusions/{scene}/frame_{number:04d}.png", marked=4)
            picture(tmp_path / f"training/invalid/{scene}/frame_{number:04d}.png", marked=2)
    return tmp_path


class TestFinding:
    def test_pairs_are_sorted_by_pass_scene_and_frame(self, root: Path):
        names = ["alley_1/frame_0001", "cave_2/frame_0001", "cave_2/frame_0002"]
        assert [p.name for p in find_sintel(root)] == [f"{p}/{n}" for p in ("clean", "final") for n in names]
        pair = find_sintel(root, passes=["final"])[2]
        assert pair.image_a == root / "training/final/cave_2/frame_0002.png"
        assert pair.image_b == root / "training/final/cave_2/frame_0003.png"
        assert pair.flow == root / "training/flow/cave_2/frame_0002.flo"
        assert (pair.sequence, pair.scene) == ("final/cave_2", "cave_2")

    def test_training_folder_and_folder_of_one_pass(self, root: Path):
        assert len(find_sintel(root / "training")) == 6
        assert {p.sequence for p in find_sintel(root / "training/clean")} == {"clean/alley_1", "clean/cave_2"}

    def test_there_must_be_a_flow_for_every_frame_but_the_last(self, root: Path, picture):
        picture(root / "training/clean/cave_2/frame_0004.png")
        with pytest.raises(BenchmarkError, match=r"clean/cave_2: 4 frames, and 2 flow files"):
            find_sintel(root)
        # The right number of files, but not of the same frames.
        (root / "training/clean/cave_2/frame_0001.png").unlink()
        with pytest.raises(BenchmarkError, match=r"clean/cave_2: 3 frames, and 2 flow files"):
            find_sintel(root)

    def test_a_missing_map_is_named(self, root: Path):
        (root / "training/occlusions/cave_2/frame_0002.png").unlink()
        with pytest.raises(BenchmarkError, match=r"occlusions/cave_2/frame_0002\.png: missing"):
            find_sintel(root)

    def test_another_layout_gives_nothing(self, tmp_path: Path):
        assert find_sintel(tmp_path) == []


class TestValues:
    def test_occluded_and_invalid_pixels_count_by_default(self, root: Path):
        sample = read_sample(find_sintel(root)[0])
        assert sample["valid"].all()
        assert sample["matched"].sum(dim=1).tolist() == [0] * 4 + [24] * 12
        left_out = read_sample(find_sintel(root, leave_out_invalid=True)[0])
        assert left_out["valid"].sum(dim=1).tolist() == [0] * 2 + [24] * 14

    def test_table_of_one_pass(self, root: Path, constant):
        model, before = constant(1.0), constant(0.0)
        scores = [score_pair(read_sample(pair), model, before, 32) for pair in find_sintel(root, ["clean"])]
        table = tabulate(scores, 32)
        assert [(row.name, row.pairs) for row in table.rows] == [("clean/alley_1", 1), ("clean/cave_2", 2)]
        # Errors of 49 px once and 1 px twice; before, 50 px and 2 px.
        assert table.pooled.epe == pytest.approx((49 + 2 * 1) / 3)
        assert table.pooled.change_percent == pytest.approx(100 * (51 / 54 - 1))
        assert [row.change_percent for row in table.rows] == pytest.approx([-2, -50])
        assert table.mean.change_percent == pytest.approx(-26)
        assert (table.pooled.epe_s0_10, table.pooled.epe_s40) == (1, 49)
        assert (table.pooled.epe_matched, table.pooled.epe_unmatched) == pytest.approx((17, 17))
        assert (table.intervals.unit, table.intervals.units) == ("scenes", 2)
        assert table.intervals.mean == pytest.approx((-50, -2))

    def test_both_passes_of_a_scene_are_one_unit(self, root: Path, constant):
        scores = [score_pair(read_sample(pair), constant(1.0), constant(0.0), 32) for pair in find_sintel(root)]
        table = tabulate(scores, 32)
        assert len(table.rows) == 4
        assert table.intervals.units == 2

    def test_a_map_of_another_size_is_refused(self, root: Path, picture):
        picture(root / "training/occlusions/alley_1/frame_0001.png", size=(24, 15))
        with pytest.raises(BenchmarkError, match="24 x 16 pixels of flow and 24 x 15"):
            read_sample(find_sintel(root)[0])
