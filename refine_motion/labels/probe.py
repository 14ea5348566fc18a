"""Which views of the teacher a video needs, by a look at a few of its pairs: expensive ones only where they help.

A view's share in the blend says how far it is trusted; it needs no ground truth. Noted in the label store, so that an
interrupted labelling goes on with the same choice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from refine_motion.files import replacing
from refine_motion.labels.opened import evenly
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.windows import PairWindow
from refine_motion.video.info import VideoInfo

# Measured with 3x beside five views. Particles: shares of 0.26 to 0.45, and labels up to 46 % nearer to the truth with
# it. Of seven other kinds of video most have at most 0.25. But a share is trust, not truth: labels of a thermal clip
# with 0.35 became 19 % worse, those of a clip of tissue with 0.31 5 % worse. So nothing is tried unless asked for.
_JOINS = 1.6  # times an even share, from which on an extra view joins, and
_LEAVES = 1 / 3  # below which a listed one leaves.
_PAIRS = 3


@dataclass(frozen=True)
class Probe:
    """What was found out about one video.

    Attributes:
        views: those that its labels blend.
        shares: mean weight of each view that was tried: of extra ones in the blend with all listed ones, of listed ones
            in the blend with the extra ones that joined. Empty where no pair could be read.
    """

    views: tuple[str, ...]
    shares: dict[str, float]


def choose_views(
    listed: Sequence[str], extra: Sequence[str], shares: Callable[[Sequence[str]], Sequence[float]]
) -> Probe:
    """Take in extra views that are trusted far above an even share, and leave out listed ones that are far below it.

    Args:
        listed: views that are blended by default; the most trusted of them always stays, to check the others.
        extra: views to try, each beside the listed ones.
        shares: the mean weight of each of some views in their blend.
    """
    tried = {view: shares((*listed, view))[-1] for view in extra}
    joined = [view for view in extra if tried[view] >= _JOINS / (len(listed) + 1)]
    together = (*listed, *joined)
    found = dict(zip(listed, shares(together), strict=False))
    least = min(_LEAVES / len(together), max(found.values()))
    return Probe((*(view for view in listed if found[view] >= least), *joined), found | tried)


@dataclass(frozen=True)
class ProbedVideo:
    """A video and the pairs by which its views are chosen.

    Attributes:
        video: the video.
        pairs: at most three, evenly spread.
    """

    video: VideoInfo
    pairs: tuple[PairKey, ...]


def plan_probe(windows: Iterable[PairWindow]) -> list[ProbedVideo]:
    """What to look at of each video.

    Args:
        windows: all that is labelled or will be, so that it does not matter how much is labelled already.
    """
    videos: dict[str, VideoInfo] = {}
    pairs: dict[str, list[PairKey]] = {}
    for window in windows:
        videos.setdefault(window.clip.video.key, window.clip.video)
        pairs.setdefault(window.clip.video.key, []).extend(window.label_keys())
    return [ProbedVideo(video, tuple(evenly(pairs[key], _PAIRS))) for key, video in videos.items()]


def _path(store: LabelStore, video: str) -> Path:
    return store.folder / "probe" / f"{video}.json"


def note_probe(store: LabelStore, video: str, probe: Probe) -> None:
    """Write what was found beside the labels; a readable note that is there already stays, so that all go by one."""
    if noted_probe(store, video) is None:
        with replacing(_path(store, video)) as partial:
            partial.write_text(json.dumps(asdict(probe), indent=1))


def noted_probe(store: LabelStore, video: str) -> Probe | None:
    """What was noted about a video; None where there is no note, or a damaged one."""
    try:
        note = json.loads(_path(store, video).read_text())
        return Probe(tuple(note["views"]), dict(note["shares"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def probe_table(probes: Iterable[tuple[str, Probe]]) -> Table:
    """The views of each video and how far each that was tried is trusted.

    Args:
        probes: name of each video, and what was found.
    """
    table = Table("video", "views of its labels", "shares", title="Views of the teacher", box=SIMPLE_HEAD)
    for name, probe in probes:
        told = ", ".join(f"{view} {share:.0%}" for view, share in probe.shares.items())
        table.add_row(escape(name), " + ".join(probe.views), told or "no pair could be read")
    return table
