"""``python -m tests.ablation.track_labels``: which pseudo-tracks each rule keeps, by exact truth on made clips.

A track is good where it is never farther off than so many pixels in the frames in which the point is seen. Of each rule
the table tells precision (good ones among the kept) and recall (kept ones among the good), for all tracks and for those
that move fast or are hidden for a while. Below it stands by how much of their way tracks fall short, by its length:
points that hardly move are tracked as if they moved less, there and back alike, so that no cycle error tells.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.files import replacing
from refine_motion.labels.select import ColourRule, LabelRule, SpreadRule, select
from refine_motion.labels.track_codec import TrackLabel
from refine_motion.labels.track_rules import (
    PAPER_SIZE,
    AllFrames,
    LeastKnown,
    MinTrackSpeed,
    VisibilityAgreement,
    pixels_at,
)
from refine_motion.labels.track_teacher import TrackLabelSettings, TrackTeacher
from refine_motion.models.load import load_model, load_track_model
from refine_motion.models.pips import Pips

DOMAINS = ("source", "particles", "tissue", "fog")
TEACHERS: Mapping[str, tuple[str, ...]] = {
    "PIPs": ("1x",),
    "PIPs at 1.5x": ("1.5x",),
    "PIPs at 1.5x, back in time": ("1.5x reversed",),
    "PIPs at 1.5x, by 4 frames": ("1.5x 4 frames",),
    "linked flow": ("linked",),
    "where 1.5x and 1.5x flip agree": ("1.5x", "1.5x flip"),
    "where 1.5x, 1.5x flip and linked flow agree": ("1.5x", "1.5x flip", "linked"),
    "and 1.5x back in time": ("1.5x", "1.5x flip", "linked", "1.5x reversed"),
    "and 1.5x by 4 frames": ("1.5x", "1.5x flip", "linked", "1.5x 4 frames"),
}
RULES: Mapping[str, list[LabelRule]] = {
    "none": [],
    "3 px in all frames": [AllFrames(3.0)],
    "1.5 px in all frames": [AllFrames(1.5)],
    "3 px, agreeing visibility": [AllFrames(3.0), VisibilityAgreement()],
    "3 px, known 3 times": [AllFrames(3.0), LeastKnown(3)],
    "3 px, views within 1 px": [AllFrames(3.0), SpreadRule(0.0, 1.0)],
    "3 px, colour": [AllFrames(3.0), ColourRule(20.0)],
    "3 px, faster than 5 px": [AllFrames(3.0), MinTrackSpeed(5.0)],
}
# Lengths of way, from and to, in pixels of the paper's frames; and errors that are no mere shortfall.
WAYS, _LOST = ((1.0, 3.0), (3.0, 8.0), (8.0, 1000.0)), 6.0
# Pixels of the paper's frames of 256x448 that a good track is never off by; and its mean step where it is fast.
GOOD, FAST = 2.0, 2.0
_SIZE, _FRAMES, _FIRST_SEED = (192, 256), 8, 700_000


@dataclass(frozen=True)
class Judged:
    """Tracks of several windows.

    Attributes:
        kept: by rule ``(N,)`` bool.
        groups: by name ``(N,)`` bool: which tracks belong to it.
        good: ``(N,)`` bool.
        lags: of each of :data:`WAYS`, what tracks within 3 px there and back fall short of in the direction of their
            way, and that way, in pixels, as sums over frames and tracks.
    """

    kept: Mapping[str, Tensor]
    groups: Mapping[str, Tensor]
    good: Tensor
    lags: Sequence[tuple[float, float]]


def judged(label: TrackLabel, places: Tensor, visible: Tensor) -> Judged:
    """Tracks against the truth.

    Args:
        label: of one window.
        places: ``(S, N, 2)`` true places.
        visible: ``(S, N)`` whether they are seen.
    """
    off = torch.where(label.known & visible, (label.places - places).norm(dim=-1), 0.0).amax(dim=0)
    # Said to be seen where it is not, a track is on something else.
    wrong = (label.known & ~visible).sum(dim=0) > 1
    step = places.diff(dim=0).norm(dim=-1).mean(dim=0)
    kept = {name: select(rules, label, seed=0) > 0 for name, rules in RULES.items()}
    return Judged(
        kept,
        {
            "all": torch.ones_like(wrong),
            "fast": step > pixels_at(FAST, PAPER_SIZE, label.size),
            "hidden at times": ~visible.all(dim=0),
        },
        (off < pixels_at(GOOD, PAPER_SIZE, label.size)) & ~wrong,
        _lags(label.keep(kept["3 px in all frames"]), *(of[:, kept["3 px in all frames"]] for of in (places, visible))),
    )


def _lags(label: TrackLabel, places: Tensor, visible: Tensor) -> list[tuple[float, float]]:
    """See :class:`Judged`."""
    way, error = places - places[:1], label.places - places
    length = way.norm(dim=-1)
    lost = error.norm(dim=-1) > pixels_at(_LOST, PAPER_SIZE, label.size)
    short = -(error * way).sum(dim=-1) / length.clamp(min=1e-6)
    found = []
    for limits in WAYS:
        low, high = (pixels_at(limit, PAPER_SIZE, label.size) for limit in limits)
        counted = label.known & visible & ~lost & (length >= low) & (length < high)
        found.append((short[counted].sum().item(), length[counted].sum().item()))
    return found


def lag(found: Sequence[Judged]) -> str:
    """Shares of their way that tracks fall short of, in a line."""
    parts = []
    for number, (low, high) in enumerate(WAYS):
        short, way = (sum(one.lags[number][part] for one in found) for part in (0, 1))
        parts.append(f"{low:g} to {high:g} px" if high < WAYS[-1][1] else f"{low:g} px and more")
        parts[-1] += f" {short / way:.0%}" if way else " none"
    return "Short of their way: " + ", ".join(parts)


def windows(teacher: TrackTeacher, domain: str, count: int) -> Iterator[Judged]:
    """Judged windows of clips of a domain."""
    for number in range(count):
        scene = random_scene(_FIRST_SEED + number, _SIZE, None, _FRAMES, domain)
        frames = torch.stack([scene.render(t) for t in range(_FRAMES)])
        label = teacher.label(frames, number)
        truth = scene.tracks(torch.cat((torch.zeros(len(label.xy), 1), label.xy), dim=1), range(_FRAMES))
        yield judged(label, truth.xy, truth.visible)


def rows(found: list[Judged]) -> list[list[str]]:
    """Of each rule: its name, tracks kept, and precision and recall of each group."""
    good = torch.cat([one.good for one in found])
    groups = {name: torch.cat([one.groups[name] for one in found]) for name in found[0].groups}
    table = []
    for rule in RULES:
        kept = torch.cat([one.kept[rule] for one in found])
        row = [rule, f"{kept.float().mean():.0%}"]
        for group in groups.values():
            hits = (kept & good & group).sum().item()
            precision, recall = (hits / max((mask & group).sum().item(), 1) for mask in (kept, good))
            row.append(f"{precision:.0%} / {recall:.0%}")
        table.append(row)
    return table


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0; a wrong call exits with 2."""
    parser = argparse.ArgumentParser(prog="python -m tests.ablation.track_labels", description=__doc__)
    parser.add_argument("--weights", default="embedded_pips")
    parser.add_argument("--linked", default="embedded")
    parser.add_argument("--windows", type=int, default=4, help="of each domain (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation/track_labels.md"))
    chosen = parser.parse_args(arguments)
    torch.set_flush_denormal(True)
    model, linked = load_model(None, chosen.weights), load_track_model(None, chosen.linked)
    assert isinstance(model, Pips)
    lines = [f"A good track is never off by {GOOD:g} px of 256x448 where it is seen; precision / recall.", ""]
    for name, views in TEACHERS.items():
        # A ceiling that stores everything, so that recall is of all tracks.
        teacher = TrackTeacher(model, TrackLabelSettings(iters=4, views=views, dense=0, ceiling=1e6), linked)
        domains = track(DOMAINS, name, transient=True)
        jobs = [one for domain in domains for one in windows(teacher, domain, chosen.windows)]
        lines += [f"**{name}**", "", f"| rule | kept | {' | '.join(jobs[0].groups)} |", "|---" * 5 + "|"]
        lines += [f"| {' | '.join(row)} |" for row in rows(jobs)] + ["", lag(jobs), ""]
    with replacing(chosen.out) as partial:
        partial.write_text("\n".join(lines))
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
