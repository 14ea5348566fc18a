"""How good pseudo-labels are, by a truth that neither labelling nor training sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from refine_motion.benchmarks.synthetic.clip import clip_name
from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.demo.plan import DemoPlan
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.select import LabelRule, select
from refine_motion.labels.store import PairKey
from refine_motion.labels.store_base import SafetensorStore
from refine_motion.video.content import content_key


@dataclass(frozen=True)
class LabelQuality:
    """Pseudo-labels against the truth.

    Attributes:
        kept_share: kept pixels over all pixels.
        error: mean end-point error of the kept labels in pixels.
        speed: mean true speed where labels are kept, in pixels: the error of saying that nothing moves.
    """

    kept_share: float
    error: float
    speed: float


def label_quality(
    plan: DemoPlan,
    videos: Path,
    store: SafetensorStore[PairKey, FlowLabel],
    filters: Mapping[str, LabelRule],
    per_clip: int = 3,
) -> LabelQuality:
    """Compare some labels of every clip with the exact flow of its scene.

    Args:
        plan: tells the scenes of the clips.
        videos: folder of the clips.
        store: their labels.
        filters: what training applies.
        per_clip: pairs looked at in each clip, spread evenly.
    """
    pixels, kept, error, speed = 0, 0, 0.0, 0.0
    for seed in plan.learnt_seeds:
        scene = random_scene(seed, plan.size, None, plan.frames, plan.domain)
        key = content_key(videos / f"{clip_name(plan.domain, seed)}.mp4")
        for number in range(per_clip):
            t = (2 * number + 1) * (plan.frames - 1) // (2 * per_clip)
            label = store.read(PairKey(key, t, t + 1))
            flow, known = label.dense(select(list(filters.values()), label, seed=0) > 0)
            truth, mask = scene.flow(t, t + 1)[0], known[0]
            pixels += mask.numel()
            kept += int(mask.sum())
            error += torch.hypot(*(flow - truth))[mask].sum().item()
            speed += torch.hypot(*truth)[mask].sum().item()
    count = max(kept, 1)
    return LabelQuality(kept / pixels, error / count, speed / count)
