from __future__ import annotations

from pathlib import Path

import pytest

from refine_motion.errors import VideoError
from refine_motion.video.sources import find_videos, list_images, natural_sort


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "clip10.mp4", "clip2.MP4", "notes.md", ".hidden.mp4", "poster.jpg",
        "deep/er/a.mkv",
        "frames/seq1/00000.jpg", "frames/seq1/00001.jpg", "frames/seq2/0.png",
        ".trash/b.mp4",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def names(tree: Path, found: list[Path]) -> list[str]:
    return [path.relative_to(tree).as_posix() for path in found]


def test_folder_is_searched_with_frame_folders(tree: Path) -> None:
    assert names(tree, find_videos(tree)) == ["clip2.MP4", "clip10.mp4", "deep/er/a.mkv", "frames/seq1", "frames/seq2"]


def test_a_folder_of_frames_is_one_video(tree: Path) -> None:
    assert names(tree, find_videos(str(tree / "frames/seq1"))) == ["frames/seq1"]
    assert [image.name for image in list_images(tree / "frames/seq1")] == ["00000.jpg", "00001.jpg"]


def test_a_named_file_is_taken_whatever_its_extension(tree: Path) -> None:
    assert names(tree, find_videos(tree / "notes.md")) == ["notes.md"]


def test_patterns(tree: Path) -> None:
    assert names(tree, find_videos(str(tree / "clip*"))) == ["clip2.MP4", "clip10.mp4"]
    assert names(tree, find_videos(str(tree / "**" / "*.mkv"))) == ["deep/er/a.mkv"]
    assert names(tree, find_videos(str(tree / "frames" / "seq*"))) == ["frames/seq1", "frames/seq2"]
    assert names(tree, find_videos(str(tree / "*.md"))) == ["notes.md"]


def test_a_name_with_brackets_is_a_name_first(tree: Path) -> None:
    odd = tree / "take[1].mp4"
    odd.touch()
    assert find_videos(odd) == [odd]


def test_list_file_is_relative_to_itself(tree: Path) -> None:
    listing = tree / "deep" / "list.txt"
    listing.write_text(f"# mine\n../clip10.mp4\n\n../frames  # both\n{tree / 'clip2.MP4'}\n")
    found = [path.resolve() for path in find_videos(listing)]
    assert names(tree.resolve(), found) == ["clip10.mp4", "frames/seq1", "frames/seq2", "clip2.MP4"]


def test_list_names_the_line_that_is_wrong(tree: Path) -> None:
    listing = tree / "list.txt"
    listing.write_text("clip10.mp4\nmissing.mp4\n")
    with pytest.raises(VideoError, match=r"list\.txt, line 2: .*missing\.mp4: no such file"):
        find_videos(listing)


def test_sequence_keeps_order_and_drops_repeats(tree: Path) -> None:
    found = find_videos([tree / "clip10.mp4", tree / "frames", str(tree / "clip10.mp4")])
    assert names(tree, found) == ["clip10.mp4", "frames/seq1", "frames/seq2"]


def test_a_link_to_a_folder_above_does_not_loop(tree: Path) -> None:
    (tree / "deep" / "loop").symlink_to(tree, target_is_directory=True)
    assert len(find_videos(tree)) == 5


@pytest.mark.parametrize("source", ["missing", "missing*.mp4", "poster.jpg", "empty", "empty.txt"])
def test_nothing_found_names_the_source(tree: Path, source: str) -> None:
    (tree / "empty").mkdir()
    (tree / "empty.txt").write_text("# nothing\n")
    with pytest.raises(VideoError, match=source.replace("*", r"\*")) as caught:
        find_videos(str(tree / source))
    assert "\n" not in str(caught.value)


def test_an_empty_sequence_is_an_error() -> None:
    with pytest.raises(VideoError, match="empty"):
        find_videos([])


def test_natural_order() -> None:
    shuffled = [Path(name) for name in ("b/1", "a/frame10", "a/frame9", "a/2x", "a/x2")]
    assert [p.as_posix() for p in natural_sort(shuffled)] == ["a/2x", "a/frame9", "a/frame10", "a/x2", "b/1"]
