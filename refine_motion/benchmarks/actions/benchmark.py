"""The contract of a collection of videos of actions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_motion.benchmarks.root import existing_root
from refine_motion.errors import BenchmarkError


@dataclass(frozen=True)
class ActionVideo:
    """A video and what is done in it.

    Attributes:
        path: of the file, or of the folder of its frames.
        label: number of its class, from 0.
        group: videos with the same one show the same people at the same place, so that they must stay together;
            ``None`` where nothing is known of that.
    """

    path: Path
    label: int
    group: str | None = None


class ActionBenchmark(ABC):
    """Videos of actions in two parts; the arguments of a subclass are the keys of ``data`` in YAML.

    Args:
        root: folder of the collection in its official layout.
    """

    def __init__(self, root: str | None = None):
        self.root = root

    @property
    @abstractmethod
    def title(self) -> str:
        """The collection and the split, in one line."""

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Names by label.

        Raises:
            BenchmarkError: the folder is not that of the collection, or what names the classes is missing or damaged.
        """

    @abstractmethod
    def train(self) -> list[ActionVideo]:
        """The videos to learn from.

        Raises:
            BenchmarkError: there are none, or a list or a video is missing or does not fit.
        """

    @abstractmethod
    def test(self) -> list[ActionVideo]:
        """The videos to test on; errors as of :meth:`train`."""

    def _folder(self, *parts: str) -> Path:
        """A folder of the collection, which exists."""
        root = existing_root(self.root, type(self).__name__)
        folder = root.joinpath(*parts)
        if not folder.is_dir():
            raise BenchmarkError(f"{root}: has no {'/'.join(parts)}/; give the folder of {type(self).__name__}")
        return folder


def read_lines(file: Path) -> list[tuple[int, str]]:
    """Number, from 1, and text of each line that is not empty, without the blanks around it.

    Raises:
        BenchmarkError: the file is missing or is no text.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BenchmarkError(f"{file}: cannot be read ({reason}); get the lists of the collection again") from error
    return [(number, text) for number, line in enumerate(lines, start=1) if (text := line.strip())]


def check_there(videos: Sequence[ActionVideo], source: Path) -> None:
    """Refuse videos that are not there.

    Args:
        videos: one part of a collection.
        source: what names them.

    Raises:
        BenchmarkError: there are none, one is missing, or one is named twice.
    """
    if not videos:
        raise BenchmarkError(f"{source}: names no video; get the lists of the collection again")
    missing = [video.path for video in videos if not video.path.is_file()]
    if missing:
        others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise BenchmarkError(f"{missing[0]}: missing{others}, but {source} names it; complete the videos")
    seen: set[Path] = set()
    for video in videos:
        if video.path in seen:
            raise BenchmarkError(f"{source}: names {video.path.name} twice; get the lists of the collection again")
        seen.add(video.path)
