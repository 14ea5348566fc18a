from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from refine_motion.files import remove_abandoned, replacing


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with replacing(target) as aside:
        aside.write_text("new")
        assert target.read_text() == "old"
        assert aside.parent == tmp_path
        assert list(tmp_path.glob("*.txt")) == [target]
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    with replacing(tmp_path / "new" / "folder" / "a.txt") as aside:
        aside.write_text("new")
    assert (tmp_path / "new" / "folder" / "a.txt").read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with replacing(target) as aside:
            aside.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), replacing(tmp_path / "file" / "a.txt"):
        pass


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    killed = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\n"
            "from refine_motion.files import remove_abandoned, replacing\n"
            "with replacing(sys.argv[1]) as partial:\n"
            "    partial.write_text('half'); print(flush=True); time.sleep(60)\n",
            str(tmp_path / "ab" / "label"),
        ],
        stdout=subprocess.PIPE,
    )
    assert killed.stdout is not None
    killed.stdout.readline()
    assert remove_abandoned(tmp_path) == 0
    killed.kill()
    killed.wait()
    elsewhere = tmp_path / "ab" / ".label.another machine.1.partial"
    elsewhere.touch()
    with replacing(tmp_path / "mine") as partial:
        partial.touch()
        assert remove_abandoned(tmp_path) == 1
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"mine", elsewhere.name}
