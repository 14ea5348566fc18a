"""Score a track model on a benchmark, alone or against another, with standing still beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from refine_motion.benchmarks.progress import with_progress
from refine_motion.benchmarks.tracks.benchmark import TrackBenchmark
from refine_motion.benchmarks.tracks.follow import follow, stand_still
from refine_motion.benchmarks.tracks.track_table import TrackRow, TrackTable
from refine_motion.benchmarks.tracks.video import TrackVideo
from refine_motion.errors import BenchmarkError
from refine_motion.models.track_base import TrackModel


def evaluate_tracks(
    model: TrackModel,
    benchmark: TrackBenchmark,
    against: TrackModel | None = None,
    progress: bool = True,
    so_far: Callable[[TrackTable], None] | None = None,
) -> TrackTable:
    """Score a track model on all videos of a benchmark.

    Videos without a point to follow, and those that are shorter than what one of the models looks at, are left out for
    all and counted.

    Args:
        model: in eval mode.
        benchmark: what to score it on.
        against: a second model, usually the one before refinement; the table has the differences and their 95 %
            intervals.
        progress: show a bar on the error stream, when that is a terminal and it takes more than 2 seconds.
        so_far: given the table after every video, for it to be kept where a later one cannot be read.

    Returns:
        A row for each video, and their mean.

    Raises:
        BenchmarkError: the benchmark is missing, damaged or of another layout, two of its videos have one name, or
            nothing of it can be scored.
    """
    shortest = max(each.min_frames for each in (model, against) if each is not None)
    rows: list[TrackRow] = []
    skipped: Counter[str] = Counter()
    videos, names = benchmark.videos(), set[str]()

    def table() -> TrackTable:
        return TrackTable(benchmark.title, benchmark.columns, rows, dict(skipped + benchmark.skipped), benchmark.notes)

    for video in with_progress(videos, benchmark.title) if progress else videos:
        if video.name in names:
            raise BenchmarkError(f"{benchmark.root}: two of its videos are called {video.name}; leave one of them")
        names.add(video.name)
        if not len(video.queries):
            skipped["videos without a point to follow"] += 1
        elif len(video.xy) < shortest:
            skipped[f"videos of fewer than the {shortest} frames that the model looks at"] += 1
        else:
            rows.append(_score(model, benchmark, against, video))
            if so_far is not None:
                so_far(table())
    if not rows:
        found = (skipped + benchmark.skipped).items()
        reasons = "; ".join(f"{count} {reason}" for reason, count in found) or "it holds no video"
        raise BenchmarkError(f"{benchmark.root}: nothing to score: {reasons}; check data.root and the preset")
    return table()


def _score(model: TrackModel, benchmark: TrackBenchmark, against: TrackModel | None, video: TrackVideo) -> TrackRow:
    return TrackRow(
        name=video.name,
        unit=video.unit,
        frames=len(video.xy),
        queries=len(video.queries),
        scores=benchmark.scores(video, follow(model, video)),
        against=None if against is None else benchmark.scores(video, follow(against, video)),
        still=benchmark.scores(video, stand_still(video)),
    )
