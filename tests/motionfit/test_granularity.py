from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from refine_motion.errors import ConfigError
from refine_motion.motionfit.granularity import Cell, Granularity

STRIDES = st.lists(st.sampled_from([1, 2, 3, 4, 8]), min_size=1, max_size=3, unique=True)


@st.composite
def some_clip(draw) -> tuple[Granularity, int, int, int, int]:
    """Cells, frames of a video, and a clip in it for whose stride there are cells: start, stride, length."""
    cells, frames = Granularity(draw(st.integers(1, 12)), draw(STRIDES)), draw(st.integers(1, 150))
    stride = draw(st.sampled_from(list(cells.strides)))
    assume(frames > (cells.length - 1) * stride)
    length = draw(st.one_of(st.just(cells.length), st.integers(1, 1 + (frames - 1) // stride)))
    start = draw(st.integers(0, frames - 1 - (length - 1) * stride))
    return cells, frames, start, stride, length


def held(cells: Granularity, frames: int, stride: int) -> list[range]:
    """Frames that each cell of a stride holds, the last with the remainder."""
    starts = [cell.start for cell in cells.cells("v", frames) if cell.stride == stride]
    return [range(*pair) for pair in zip(starts, [*starts[1:], frames], strict=True)]


@given(some_clip())
def test_every_clip_is_in_exactly_one_cell(clip: tuple[Granularity, int, int, int, int]) -> None:
    cells, frames, start, stride, length = clip
    found = cells.cell_of("v", frames, start, stride, length)
    assert cells.cells("v", frames).count(found) == 1
    assert (found.video, found.stride) == ("v", stride)


@given(some_clip())
def test_cells_share_out_the_video(clip: tuple[Granularity, int, int, int, int]) -> None:
    cells, frames, _, stride, _ = clip
    parts = held(cells, frames, stride)
    assert [frame for part in parts for frame in part] == list(range(frames))
    # Each has room for the teacher's clip from its start, and all but the last have no more.
    assert all(part.start + (cells.length - 1) * stride < frames for part in parts)
    assert {len(part) for part in parts[:-1]} <= {cells.length * stride}
    assert len(parts) == 1 or len(parts[-1]) >= cells.length * stride


@given(some_clip())
def test_no_cell_holds_more_of_the_clip(clip: tuple[Granularity, int, int, int, int]) -> None:
    cells, frames, start, stride, length = clip
    assume(length <= cells.length)
    found = cells.cell_of("v", frames, start, stride, length)
    covered = range(start, min(start + length * stride, frames))
    shared = {part.start: len(set(covered) & set(part)) for part in held(cells, frames, stride)}
    assert shared[found.start] == max(shared.values())


@given(some_clip())
def test_a_teachers_clip_is_in_its_own_cell(clip: tuple[Granularity, int, int, int, int]) -> None:
    cells, frames, *_ = clip
    for cell in cells.cells("v", frames):
        assert cells.cell_of("v", frames, cell.start, cell.stride, cells.length) == cell


@given(some_clip())
def test_later_clips_are_in_no_earlier_cell(clip: tuple[Granularity, int, int, int, int]) -> None:
    cells, frames, start, stride, length = clip
    starts = [
        cells.cell_of("v", frames, later, stride, length).start
        for later in range(start, frames - (length - 1) * stride)
    ]
    assert starts == sorted(starts)


@given(some_clip())
def test_starts_in_a_cell_are_those_of_the_clips_that_get_its_label(
    clip: tuple[Granularity, int, int, int, int],
) -> None:
    cells, frames, _, stride, length = clip
    places = range(frames - (length - 1) * stride)
    labelled = {start: cells.cell_of("v", frames, start, stride, length) for start in places}
    for cell in cells.cells("v", frames):
        if cell.stride == stride:
            found = cells.starts_in(cell, frames, length)
            assert [*found] == [start for start in places if labelled[start] == cell]


def test_starts_by_hand() -> None:
    """Cells of 4 frames in 10: one from 0, and one from 4 with the rest."""
    cells = Granularity(4, (1,))
    first, second = cells.cells("v", 10)
    assert (cells.starts_in(first, 10, 4), cells.starts_in(second, 10, 4)) == (range(2), range(2, 7))
    # Of clips as long as the video, the only one has its middle in the second.
    assert (len(cells.starts_in(first, 10, 10)), cells.starts_in(second, 10, 10)) == (0, range(1))
    assert len(cells.starts_in(second, 10, 11)) == 0


def test_by_hand() -> None:
    """4 frames a clip at strides 1 and 3 in 30 frames: seven cells of 4 frames and the rest, two of 12 and the rest."""
    cells = Granularity(4, (1, 3))
    assert cells.cells("v", 30) == [
        *(Cell("v", start, 1) for start in (0, 4, 8, 12, 16, 20, 24)),
        Cell("v", 0, 3),
        Cell("v", 12, 3),
    ]
    # Halves of it in two cells: the later one.
    starts = [cells.cell_of("v", 30, start, 1, 4).start for start in range(7)]
    assert starts == [0, 0, 4, 4, 4, 4, 8]
    assert [cells.cell_of("v", 30, start, 3, 4).start for start in (0, 5, 6, 20)] == [0, 0, 12, 12]
    # The remainder belongs to the last.
    assert cells.cell_of("v", 30, 26, 1, 4) == Cell("v", 24, 1)
    # A longer clip of the student has its middle somewhere, too.
    assert cells.cell_of("v", 30, 0, 1, 30) == Cell("v", 12, 1)


def test_short_videos() -> None:
    cells = Granularity(4, (1, 2))
    # At stride 2, frames 0, 2, 4 and 6 are a clip.
    assert cells.cells("v", 7) == [Cell("v", 0, 1), Cell("v", 0, 2)]
    assert cells.cells("v", 6) == [Cell("v", 0, 1)]
    assert cells.cells("v", 3) == []
    assert cells.cell_of("v", 7, 0, 2, 4) == Cell("v", 0, 2)
    with pytest.raises(ValueError, match="v: no cell of 4 frames has stride 2 in its 6"):
        cells.cell_of("v", 6, 0, 2, 3)


def test_what_is_refused() -> None:
    cells = Granularity(4, (1, 2))
    for start, length in ((-1, 4), (27, 4), (0, 31), (0, 0)):
        with pytest.raises(ValueError, match="are not within its 30"):
            cells.cell_of("v", 30, start, 1, length)
    with pytest.raises(ValueError, match="no cell of 4 frames has stride 3"):
        cells.cell_of("v", 30, 0, 3, 4)
    with pytest.raises(ConfigError, match=r"granularity\.length must be at least 1 frame, got 0"):
        Granularity(0)
    for strides in ((), (0, 1), (2, 2)):
        with pytest.raises(ConfigError, match=r"granularity\.strides must be different numbers from 1"):
            Granularity(4, strides)
