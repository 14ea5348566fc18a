from __future__ import annotations

import csv
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from refine_motion.benchmarks.actions.class_folders import ClassFolders
from refine_motion.benchmarks.synthetic.actions import CLASSES, ActionSet, action_scene, write_actions
from refine_motion.errors import ConfigError
from refine_motion.video.index import build_index

SIZE, FRAMES, SPEED = (64, 64), 32, 4.0


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_actions(tmp_path_factory.mktemp("actions"), ActionSet(labelled=16, unlabelled=9, test=8, frames=6))


def test_layout(small: Path) -> None:
    found = ClassFolders(str(small))
    assert found.classes == tuple(sorted(CLASSES))
    assert Counter(video.label for video in found.train()) == dict.fromkeys(range(8), 2)
    assert Counter(video.label for video in found.test()) == dict.fromkeys(range(8), 1)
    with (small / "unlabelled.csv").open() as file:
        rows = {row["video"]: row["class"] for row in csv.DictReader(file)}
    assert sorted(rows) == sorted(path.name for path in (small / "unlabelled").iterdir())
    assert Counter(rows.values()) == {**dict.fromkeys(CLASSES, 1), "left": 2}
    turns = [CLASSES[number % 8] for number in range(9)]
    assert [rows[name] for name in sorted(rows)] != turns
    index = build_index(small / "unlabelled", progress=False)
    assert {(video.frames, video.width, video.height, video.fps) for video in index.videos} == {(6, 64, 64, 12.0)}
    # No two videos are the same.
    assert len(index.videos) == 9


def test_what_is_there_stays_and_what_is_missing_is_made_alike(small: Path) -> None:
    first, second, *_ = sorted((small / "unlabelled").iterdir())
    kept, wanted = second.stat().st_mtime_ns, first.read_bytes()
    first.unlink()
    write_actions(small, ActionSet(labelled=16, unlabelled=9, test=8, frames=6))
    assert second.stat().st_mtime_ns == kept
    assert first.read_bytes() == wanted


def test_another_collection_needs_another_folder(small: Path) -> None:
    with pytest.raises(ConfigError, match="other settings"):
        write_actions(small, ActionSet(labelled=16, unlabelled=9, test=8, frames=6, seed=1))


def test_at_a_time_that_is_not_known_places_tell_nothing() -> None:
    """Over all frames, what goes left is as often on the left as what goes right."""
    places = {}
    for motion in ("left", "right"):
        paths = [action_scene(seed, motion, SIZE, FRAMES, SPEED).surfaces[1].trajectories[0] for seed in range(40)]
        places[motion] = torch.tensor([path.x(t) for path in paths for t in range(FRAMES)])
    assert abs(places["left"].mean() - places["right"].mean()) < 3
    assert (places["left"] < 0).float().mean().item() == pytest.approx(0.5, abs=0.12)


def motion_of_the_object(motion: str, seed: int) -> tuple[torch.Tensor, float, float]:
    """Over the clip: shift of the object's middle against the background, its turn in radians, and its growth."""
    scene = action_scene(seed, motion, SIZE, FRAMES, SPEED)
    own = torch.tensor([[0.0, 0.0, 1.0], [8.0, 0.0, 1.0]], dtype=torch.float64).T
    (path,) = scene.surfaces[1].trajectories
    places = [(path.matrix(t) @ own)[:2] for t in range(FRAMES)]
    arms = [place[:, 1] - place[:, 0] for place in places]
    turn = sum(torch.atan2(a[0] * b[1] - a[1] * b[0], a @ b).item() for a, b in pairwise(arms))
    return places[-1][:, 0] - places[0][:, 0], turn, (arms[-1].norm() / arms[0].norm()).log().item()


@pytest.mark.parametrize("seed", range(5))
def test_objects_move_as_their_class_says(seed: int) -> None:
    shifts = {name: motion_of_the_object(name, seed) for name in CLASSES}
    for name, axis, sign in (("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)):
        shift, turn, growth = shifts[name]
        assert sign * shift[axis] > 8
        assert sign * shift[axis] > abs(shift[1 - axis])
        assert abs(turn) < 0.6
        assert abs(growth) < 0.25
    assert shifts["clockwise"][1] > 1
    assert shifts["anticlockwise"][1] < -1
    assert shifts["grow"][2] > 0.2
    assert shifts["shrink"][2] < -0.2


def test_no_point_is_faster_than_allowed() -> None:
    for number, motion in enumerate(CLASSES):
        scene = action_scene(100 + number, motion, SIZE, FRAMES, SPEED)
        assert scene.motion_class == motion
        for t in (0, 15, 30):
            assert scene.flow(t, t + 1)[0].norm(dim=0).max() < SPEED + 1e-3


@pytest.mark.parametrize(
    "wrong", [{"labelled": 7}, {"test": 0}, {"unlabelled": -1}, {"size": (63, 64)}, {"frames": 1}, {"max_speed": 0.0}]
)
def test_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        ActionSet(**wrong)
