"""What pre-trained weights of a track model are worth on clips that they have not seen, and their model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from refine_motion.benchmarks.synthetic.domains import DOMAINS
from refine_motion.benchmarks.synthetic.stream import TrackClips
from refine_motion.metrics.tracks import TapVid, TrackErrors
from refine_motion.models.pips import Pips
from refine_motion.pretrain.card import CardSettings, table, training_section
from refine_motion.pretrain.datamodule import HELD_OUT_SEED

# Clips are three windows long, so that the chain is measured as well as the network.
_FRAMES, _POINTS, _SURVIVAL = 24, 64, 16.0
_SHOWN = ("delta_avg", "still_delta_avg", "aj", "oa", f"survival_{_SURVIVAL:g}", "median_error", "still_median_error")


def measure(model: Pips, settings: CardSettings) -> dict[str, Any]:
    """TAP-Vid's scores of tracks that begin in the first frame, in pixels of the clips, and those of standing still.

    Args:
        model: in eval mode.
        settings: on what, but for ``pairs``, which are for flow models.

    Returns:
        ``domains`` (``source`` first): by name, ``clips``, the scores of :class:`TapVid` in 0..1, survival and median
        error, and the same of no motion under ``still_``.
    """
    model.iters = settings.iters
    names = sorted(DOMAINS, key=lambda name: name != "source")
    return {"domains": {name: _domain(model, name, settings) for name in names}}


def _domain(model: Pips, name: str, settings: CardSettings) -> dict[str, float]:
    clips = TrackClips(settings.per_domain, settings.size, _FRAMES, _POINTS, settings.max_speed, HELD_OUT_SEED, name)
    scores = {prefix: (TapVid("first"), TrackErrors(_SURVIVAL)) for prefix in ("", "still_")}
    for number in range(len(clips)):
        clip = clips[number]
        xy, visible = clip["xy"], clip["visible"]
        frames = torch.zeros(_POINTS)
        found = model.track(clip["frames"], torch.cat((frames[:, None], xy[0]), dim=1), confidence=False)
        for prefix, places, seen in (
            ("", found.xy, found.visible),
            ("still_", xy[:1].expand_as(xy), torch.ones_like(visible)),
        ):
            tap, errors = scores[prefix]
            tap.update(places, seen, xy, visible, frames)
            errors.update(places, xy, visible, visible)
    values = {
        prefix + key: round(value.item(), 4)
        for prefix, metrics in scores.items()
        for metric in metrics
        for key, value in metric.compute().items()
    }
    return {"clips": len(clips), **values}


def model_card(weights: Path, facts: dict[str, Any], metrics: dict[str, Any], settings: CardSettings) -> str:
    """The card as Markdown.

    Args:
        weights: the file.
        facts: how it came about, from its header.
        metrics: what :func:`measure` gave.
        settings: how that was measured.
    """
    made = facts["settings"]
    height, width = settings.size
    rows = [
        (name, row["clips"], *(f"{row[key]:.2f}" if "median" in key else f"{100 * row[key]:.1f}" for key in _SHOWN))
        for name, row in metrics["domains"].items()
    ]
    sections = [
        f"# {made['network']}, pre-trained on procedural scenes",
        f"`{weights.name}` ({weights.stat().st_size / 1e6:.1f} MB, float16): weights of {made['network']} (PIPs, "
        "Harley et al., ECCV 2022, arXiv 2204.04153, at a tenth of its size; the code is this project's own) for "
        "tracks of points, trained from nothing by this project. They load into the float32 model.",
        *training_section(
            facts,
            "PIPs' (places, visibility at weight 1, score maps), matching of features; with 0 iterations that alone",
            "none",
        ),
        "## Metrics",
        f"Of the file as saved, on {settings.per_domain} clips of {_FRAMES} frames of {height}x{width} for each domain "
        f"(`max_speed` {settings.max_speed:g} px a frame), {_POINTS} points from the first frame, {settings.iters} "
        f"iterations, windows chained, from a seed that training never takes ({HELD_OUT_SEED}). delta_avg, AJ and OA "
        "as in TAP-Vid (per cent, thresholds in pixels of the clips), survival at 16 px (per cent), median trajectory "
        "error in pixels over frames in which the point is seen; still: a point that does not move.",
        table(
            ("clips of", "n", "delta_avg", "still", "AJ", "OA", "survival", "median error", "still"),
            rows,
        ),
        "## Intended use",
        "A first track model that needs no download: to try the tools out, and as the start of a refinement on your "
        "own videos, whose result should be compared on true tracks.",
        "## Limits",
        "It has never seen a real image, and was trained on frames much smaller than those of videos. Where the table "
        "shows a gain over standing still, it follows; where it shows none, it is worth nothing. The published PIPs "
        "(`--model pips`) and linked optical flow (`refine-motion track --weights raft-small.pth`) are better on real "
        "video. No claim is made for uses in which a wrong motion does harm.",
    ]
    return "\n\n".join(sections) + "\n"
