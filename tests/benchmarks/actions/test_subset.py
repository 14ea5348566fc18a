from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.benchmarks.actions.benchmark import ActionVideo
from refine_motion.benchmarks.actions.subset import labelled_subset
from refine_motion.errors import ConfigError

SHARES = st.floats(0.001, 1, allow_subnormal=False)


@st.composite
def some_videos(draw) -> list[ActionVideo]:
    """Some classes of some groups; one class has none. In any order."""
    sizes = draw(st.lists(st.lists(st.integers(1, 7), min_size=1, max_size=8), min_size=1, max_size=4))
    videos = [
        ActionVideo(Path(f"{label}/g{group}_c{clip}.avi"), label, f"{label}/g{group}" if label else None)
        for label, groups in enumerate(sizes)
        for group, size in enumerate(groups)
        for clip in range(size)
    ]
    return draw(st.permutations(videos))


@given(some_videos(), SHARES, st.integers(0, 5))
def test_groups_stay_together(videos: list[ActionVideo], share: float, seed: int) -> None:
    taken = labelled_subset(videos, share, seed)
    assert taken == [video for video in videos if video in taken]
    assert {video.label for video in taken} == {video.label for video in videos}
    groups = {video.group for video in taken if video.group}
    assert all((video in taken) == (video.group in groups) for video in videos if video.group)


@given(some_videos(), SHARES, st.integers(0, 5))
def test_as_close_to_the_share_as_groups_allow(videos: list[ActionVideo], share: float, seed: int) -> None:
    count = Counter(video.label for video in videos)
    for label, found in Counter(video.label for video in labelled_subset(videos, share, seed)).items():
        sizes = Counter(video.group or str(video.path) for video in videos if video.label == label)
        # Or it is one group, since that is the least.
        assert abs(found - share * count[label]) <= max(sizes.values()) / 2 + 1e-9 or found <= max(sizes.values())


@given(some_videos(), SHARES, SHARES, st.integers(0, 5))
def test_more_labels_hold_the_fewer(videos: list[ActionVideo], one: float, two: float, seed: int) -> None:
    fewer, more = (labelled_subset(videos, share, seed) for share in sorted((one, two)))
    assert set(fewer) <= set(more)


@given(some_videos(), SHARES, st.integers(0, 5))
def test_the_draw_is_by_class_and_seed(videos: list[ActionVideo], share: float, seed: int) -> None:
    taken = set(labelled_subset(videos, share, seed))
    assert set(labelled_subset(sorted(videos, key=lambda video: str(video.path)), share, seed)) == taken
    alone = [video for video in videos if video.label == 0]
    assert set(labelled_subset(alone, share, seed)) == {video for video in taken if video.label == 0}
    assert labelled_subset(videos, 1, seed) == videos


def test_seeds_differ() -> None:
    videos = [ActionVideo(Path(f"{number}.avi"), number % 2) for number in range(40)]
    draws = [labelled_subset(videos, 0.25, seed) for seed in range(3)]
    assert [len(draw) for draw in draws] == [10, 10, 10]
    assert draws[0] != draws[1] != draws[2]


def test_one_per_cent_of_ucf101_is_a_group_of_each_class() -> None:
    videos = [
        ActionVideo(Path(f"{name}/g{group}_c{clip}.avi"), label, f"{name}/g{group}")
        for label, name in enumerate("ab")
        for group in range(8, 26)
        for clip in range(5)
    ]
    assert Counter(video.group[0] for video in labelled_subset(videos, 0.01)) == {"a": 5, "b": 5}
    assert Counter(video.group[0] for video in labelled_subset(videos, 0.1)) == {"a": 10, "b": 10}


@pytest.mark.parametrize("share", [0.0, -0.5, 1.01, float("nan")])
def test_shares_that_are_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"data\.labelled_share must be more than 0 and at most 1"):
        labelled_subset([], share)
