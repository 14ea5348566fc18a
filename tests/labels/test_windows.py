from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from refine_motion.errors import VideoError
from refine_motion.labels.windows import plan_windows, thin_out
from refine_motion.video.info import VideoInfo


def video(name: str, frames: int, cuts: tuple[int, ...] = ()) -> VideoInfo:
    times = tuple(i / 10 for i in range(frames))
    return VideoInfo(Path(name), name, frames, 96, 72, 10.0, times, (0,), cuts, "decord", ())


@given(
    frames=st.integers(2, 60),
    cut=st.integers(1, 59),
    length=st.integers(2, 9),
    steps=st.sets(st.integers(1, 4), min_size=1),
)
def test_every_pair_of_a_shot_occurs_once(frames: int, cut: int, length: int, steps: set[int]) -> None:
    info = video("a", frames, (cut,) if cut < frames else ())
    expected = sorted((i, i + s) for s in steps for start, stop in info.shots for i in range(start, stop - s))
    try:
        planned = plan_windows([info], length, sorted(steps))
    except VideoError:
        planned = []
    assert sorted((k.frame_a, k.frame_b) for w in planned for k in w.label_keys()) == expected


@given(counts=st.lists(st.integers(2, 80), min_size=1, max_size=5), limit=st.integers(1, 120))
def test_thinning_keeps_as_many_pairs_as_asked_for(counts: list[int], limit: int) -> None:
    planned = plan_windows([video(str(i), n) for i, n in enumerate(counts)], 4, [1])
    total = sum(len(w.pairs) for w in planned)
    kept = thin_out(planned, limit)
    keys = [k for w in kept for k in w.label_keys()]
    assert len(set(keys)) == len(keys)
    assert min(limit, total) * 0.6 - 3 <= len(keys) <= min(limit, total)
    assert all(w.pairs for w in kept)


def test_thinning_reaches_all_videos() -> None:
    planned = plan_windows([video(str(i), 100) for i in range(5)], 4, [1])
    kept = thin_out(planned, 30)
    assert {w.clip.video.key for w in kept} == {"0", "1", "2", "3", "4"}
    assert sum(len(w.pairs) for w in kept) == 30


def test_only_the_wanted_pairs() -> None:
    window = plan_windows([video("a", 4)], 4, [1, 2])[0]
    wanted = window.label_keys()[1]
    assert window.only({wanted}).label_keys() == [wanted]
