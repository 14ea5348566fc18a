from __future__ import annotations

from pathlib import Path

import pytest

from refine_motion.benchmarks.tracks.crohd import Crohd, clip_heads, read_heads
from refine_motion.benchmarks.tracks.evaluation import evaluate_tracks
from refine_motion.errors import BenchmarkError

# A fortieth of the protocol's 1280 x 768, so that a pixel of the file is 40 of the score.
WIDTH, HEIGHT = 32, 64
SCALE_X, SCALE_Y = 40, 12
FRAMES = 49


def row(frame: int, head: int, x: float, visibility: float = 1.0) -> str:
    """A box of 4 x 2 px whose centre is at x, 11."""
    return f"{frame},{head},{x - 2},10,4,2,1,1,{visibility}"


@pytest.fixture
def rows() -> list[str]:
    """Two whole clips and a frame; in the first, heads of every kind; in the second, none moves."""
    rows = []
    for frame in range(1, FRAMES + 1):
        first = frame <= 24
        step = frame - 1 if first else 0
        # Moves 10 px a frame: over the eight frames used 30 px more each, 840 in all.
        rows.append(row(frame, 1, 2 + 10 * step))
        # Moves, and is hidden in frame 10 (counted from 1), the fourth of those used.
        rows.append(row(frame, 2, 3 + 10 * step, 0.4 if frame == 10 else 1))
        # Moves, and is hidden in frame 2, which is not used.
        rows.append(row(frame, 3, 4 + 10 * step, 0.0 if frame == 2 else 1))
        # Moves, and is hidden in the second frame used.
        rows.append(row(frame, 4, 5 + 10 * step, 0.0 if frame == 4 else 1))
        # Stands still.
        rows.append(row(frame, 5, 6))
        # Moves, and has no box in the last frame used.
        if frame != 22:
            rows.append(row(frame, 7, 7 + 10 * step))
    # The last row is not the last frame, as in the real files.
    return [*rows[6:], *rows[:6]]


@pytest.fixture(params=["beside", "apart"])
def root(request: pytest.FixtureRequest, tmp_path: Path, rows: list[str], picture) -> Path:
    sequence = tmp_path / "HT21/train/HT21-01"
    for number in range(1, FRAMES + 1):
        picture(sequence / f"img1/{number:06d}.jpg", number, (WIDTH, HEIGHT))
    labels = tmp_path / "HT21Labels/train/HT21-01" if request.param == "apart" else sequence
    write(labels / "gt/gt.txt", rows)
    return tmp_path


def write(file: Path, rows: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(rows) + "\n")


def test_labels(tmp_path: Path, rows: list[str]) -> None:
    write(tmp_path / "gt.txt", rows)
    rows_read = read_heads(tmp_path / "gt.txt")
    assert (rows_read.shape, rows_read[:, 0].max()) == ((len(rows), 9), FRAMES)
    centres, present, seen = clip_heads(rows_read, 0)
    # Six heads, of which the last has the number 7, in frames 1, 4, 7, 10, 13, 16, 19 and 22.
    assert centres.shape == (8, 6, 2)
    assert present[:, 5].tolist() == [True] * 7 + [False]
    assert present[:, :5].all()
    assert seen[:, 1].tolist() == [True] * 3 + [False] + [True] * 4
    # Half a pixel less, as integers are centres of pixels.
    assert centres[1, 0].tolist() == [31.5, 10.5]
    # Of a clip that begins behind the last frame there is nothing.
    assert clip_heads(rows_read, 96)[0].shape == (8, 0, 2)


def test_clean(root: Path) -> None:
    benchmark = Crohd(str(root))
    first, second = benchmark.videos()
    assert [(v.name, v.unit, len(v.xy)) for v in (first, second)] == [
        ("HT21-01/000001", "HT21-01", 8),
        ("HT21-01/000025", "HT21-01", 8),
    ]
    # Every head that is seen in the first frame, moving or not; that frame is not scored.
    assert first.queries.shape == (6, 3)
    assert first.valid[:, 5].tolist() == [False] + [True] * 6 + [False]
    assert first.visible.all(dim=0).tolist() == [True, False, True, False, True, False]
    assert [round(float(frame.float().mean())) for frame in first.frames()] == [1, 4, 7, 10, 13, 16, 19, 22]
    assert next(iter(first.frames())).shape == (3, 768, 1280)
    assert first.queries[0].tolist() == [0, 2 * SCALE_X - 0.5, 11 * SCALE_Y - 0.5]
    assert not benchmark.skipped


def test_rule_of_the_paper(root: Path, moves) -> None:
    benchmark = Crohd(str(root), preset="paper")
    (video,) = benchmark.videos()
    # Heads 1 and 3 are seen in all frames used, head 2 is hidden in one; the second clip has none.
    assert video.queries[:, 1].tolist() == [x * SCALE_X - 0.5 for x in (2, 4, 3)]
    assert benchmark.skipped == {"clips without a head that fits the rule": 1}
    # Truth moves 30 px from one used frame to the next, 1200 px of the score; 1000 are said.
    table = evaluate_tracks(moves(1000), benchmark, progress=False)
    scores = table.rows[0].scores
    assert scores["ate_visible"] == pytest.approx(200 * sum(range(8)) / 8)
    assert scores["ate_occluded"] == pytest.approx(scores["ate_visible"])
    assert table.rows[0].still["ate_visible"] == pytest.approx(1200 * sum(range(8)) / 8)
    assert [column.heading for column in table.columns] == ["ATE vis", "ATE occ"]
    (leak,) = (note for note in table.notes if "hand-picked" in note)
    assert "true motion" in leak
    assert "start at their true places" in leak
    assert "weights were chosen by these very scores" in leak
    assert table.skipped == benchmark.skipped
    assert not any("hand-picked" in note for note in Crohd(str(root)).notes)


def test_heads_without_a_later_box_cannot_survive(root: Path, rows: list[str]) -> None:
    (file,) = root.rglob("gt.txt")
    # Of the frames behind the first, 4 is used and 3 is not.
    write(file, [*rows, *(row(frame, head, 9) for frame, head in ((1, 8), (3, 8), (1, 9), (4, 9)))])
    assert len(next(iter(Crohd(str(root)).videos())).queries) == 7


def test_sequences_without_frames_are_counted(root: Path, rows: list[str]) -> None:
    write(root / "HT21Labels/train/HT21-02/gt/gt.txt", rows)
    benchmark = Crohd(str(root))
    assert len(list(benchmark.videos())) == 2
    assert benchmark.skipped == {"sequence with labels but without HT21/train/HT21-02/img1": 1}


def test_motion_has_to_be_above_150_px(tmp_path: Path, picture) -> None:
    sequence = tmp_path / "HT21/train/HT21-01"
    for number in range(1, 25):
        picture(sequence / f"img1/{number:06d}.jpg", number, (WIDTH, HEIGHT))
    # Once away and staying there, seven frames count: 21.4 px are 149.8 in all, 21.5 are 150.5.
    rows = [row(f, h, 20 + (0 if f == 1 else d)) for f in range(1, 25) for h, d in ((1, 21.4), (2, 21.5))]
    write(sequence / "gt/gt.txt", rows)
    (video,) = Crohd(str(tmp_path), preset="paper").videos()
    assert video.points.tolist() == [0]
    assert video.xy[1, 0, 0].item() == pytest.approx(41.5 * SCALE_X - 0.5)


def test_sixteen_heads_of_each_kind_at_most(tmp_path: Path, picture) -> None:
    sequence = tmp_path / "HT21/train/HT21-01"
    for number in range(1, 25):
        picture(sequence / f"img1/{number:06d}.jpg", number, (WIDTH, HEIGHT))
    heads = range(1, 41)
    rows = [row(f, h, h + 10 * f, 0.5 if h % 2 and f == 7 else 1) for f in range(1, 25) for h in heads]
    write(sequence / "gt/gt.txt", rows)
    (video,) = Crohd(str(tmp_path), preset="paper").videos()
    assert video.visible.all(dim=0).tolist() == [True] * 16 + [False] * 16
    assert len(next(iter(Crohd(str(tmp_path)).videos())).queries) == 40


@pytest.mark.filterwarnings("error")
def test_what_is_missing_or_damaged(root: Path, rows: list[str]) -> None:
    with pytest.raises(BenchmarkError, match=r"has no HT21/train/\*/img1"):
        list(Crohd(str(root / "HT21")).videos())
    (file,) = root.rglob("gt.txt")
    write(file, [*rows, row(FRAMES + 5, 1, 3)])
    with pytest.raises(BenchmarkError, match=r"000050\.jpg: missing, but .*gt\.txt has heads up to frame 54"):
        list(Crohd(str(root)).videos())
    for text, message in (
        ("1,2,three", "cannot be read as a table of numbers"),
        ("1,1,2", "is not frame, head"),
        ("0,1,2,3,4,5,1,1,1", "from 1"),
        ("", "is not frame, head"),
        (" \n\n", "is not frame, head"),
        ("# a table\n", "cannot be read as a table of numbers"),
        ("nan,1,2,3,4,5,1,1,1", "row 1: frame and head must be whole numbers from 1"),
        ("1,1,2,3,4,5,1,1,1\n1.5,1,2,3,4,5,1,1,1", "row 2: frame and head must be whole numbers"),
        ("1,inf,2,3,4,5,1,1,1", "row 1: frame and head must be whole numbers"),
        ("1,1,nan,3,4,5,1,1,1", "row 1: .* box and visibility finite"),
        ("1,1,2,3,4,1e300,1,1,1", "row 1: .* box and visibility finite"),
        ("1,1,2,3,4,5,1,1,nan", "row 1: .* box and visibility finite"),
        ("1,1e12,2,3,4,5,1,1,1", "ends with frame 1, and a clip has 24 frames"),
        ("1e12,1,2,3,4,5,1,1,1", r"000050\.jpg: missing, but .* has heads up to frame 1000000000000"),
        ("1e30,1,2,3,4,5,1,1,1", r"000050\.jpg: missing"),
        ("\n".join(rows)[:-9], "cannot be read as a table of numbers"),
    ):
        file.write_text(text)
        with pytest.raises(BenchmarkError, match=message) as error:
            list(Crohd(str(root)).videos())
        assert "\n" not in str(error.value)
    file.unlink()
    with pytest.raises(BenchmarkError, match=r"HT21Labels/train/HT21-01/gt/gt\.txt: missing, and"):
        list(Crohd(str(root)).videos())


def test_a_missing_frame_does_not_shift_the_labels(root: Path) -> None:
    (root / "HT21/train/HT21-01/img1/000003.jpg").unlink()
    with pytest.raises(BenchmarkError, match=r"000003\.jpg: missing, but .*gt\.txt has heads up to frame 49"):
        list(Crohd(str(root)).videos())


def test_numbers_of_heads_may_be_large(root: Path, rows: list[str]) -> None:
    (file,) = root.rglob("gt.txt")
    write(file, [*rows, row(1, 10**12, 3), row(4, 10**12, 3)])
    first, _ = Crohd(str(root)).videos()
    assert len(first.queries) == 7


def test_labels_that_end_before_the_frames(root: Path, rows: list[str], moves) -> None:
    (file,) = root.rglob("gt.txt")
    early = [line for line in rows if int(line.split(",")[0]) <= 47]
    write(file, early)
    table = evaluate_tracks(moves(), Crohd(str(root)), progress=False)
    assert [row.name for row in table.rows] == ["HT21-01/000001"]
    assert table.skipped == {"clips behind the last frame that has a head": 1}
    write(file, [line for line in rows if int(line.split(",")[0]) <= 23])
    with pytest.raises(
        BenchmarkError, match=r"gt\.txt: ends with frame 23, and a clip has 24 frames; get the whole file"
    ):
        list(Crohd(str(root)).videos())


def test_a_head_that_has_two_boxes_in_a_frame_is_counted_and_the_last_one_taken(root: Path, rows: list[str]) -> None:
    file = next(root.rglob("gt.txt"))
    write(file, [*rows, row(1, 1, 30.0)])
    benchmark = Crohd(str(root))
    first = next(iter(benchmark.videos()))
    assert benchmark.skipped["boxes of heads that have another in the same frame"] == 1
    (before,) = [video for video in [first] if video.name.endswith("000001")]
    assert before.queries[0, 1] == pytest.approx((30.0 * 1280 / WIDTH) - 0.5, abs=1e-3)


def test_a_box_of_less_than_nothing(root: Path, rows: list[str]) -> None:
    write(next(root.rglob("gt.txt")), ["1,1,5,10,-9,2,1,1,1", *rows])
    with pytest.raises(BenchmarkError, match=r"gt\.txt: row 1: .* width and height not negative"):
        list(Crohd(str(root)).videos())
