"""The contract of a benchmark of tracked points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from refine_motion.benchmarks.tracks.video import TrackVideo
from refine_motion.errors import BenchmarkError
from refine_motion.types import Tracks


@dataclass(frozen=True)
class Column:
    """A score that is printed.

    Attributes:
        score: its name among those of :meth:`TrackBenchmark.scores`.
        heading: of the column.
        factor: what the score is multiplied by to be printed: 100 for shares in 0..1.
        lower_is_better: as of errors; ``None`` where neither is.
    """

    score: str
    heading: str
    factor: float = 1.0
    lower_is_better: bool | None = False


class TrackBenchmark(ABC):
    """Videos with true tracks, and how they are scored; the arguments of a subclass are the keys of ``data`` in YAML.

    Args:
        root: folder or file of the benchmark in its official layout.

    Attributes:
        columns: what is printed, the main score first.
        skipped: what was left out, by reason; counted anew whenever ``videos`` is gone through.
    """

    columns: tuple[Column, ...]

    def __init__(self, root: str | None = None):
        self.root = root
        self.skipped: Counter[str] = Counter()

    @property
    @abstractmethod
    def title(self) -> str:
        """What is scored and by which protocol, in one line."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the table has to know, one line each."""
        return ()

    @abstractmethod
    def videos(self) -> Iterable[TrackVideo]:
        """The videos, one after the other; their frames are read when they are asked for.

        Raises:
            BenchmarkError: there are none, or a file is missing or damaged.
        """

    @abstractmethod
    def scores(self, video: TrackVideo, tracks: Tracks) -> dict[str, float]:
        """Scores of one video by name; not a number where there is nothing to score.

        Args:
            video: one of ``videos``.
            tracks: ``(T, M)``, one for each of its queries, in pixels of ``video.size``.
        """

    def place(self) -> Path:
        """The root, which exists.

        Raises:
            BenchmarkError: it is not given or not there.
        """
        name = type(self).__name__
        if self.root is None:
            raise BenchmarkError(f"no folder given: pass that of {name} as --data.root")
        root = Path(self.root).expanduser()
        if not root.exists():
            raise BenchmarkError(f"{root}: no such file or folder; give that of {name} as --data.root")
        return root
