"""Render a domain, label it, refine on it, and judge by clips with exact truth that nothing was learnt from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refine_motion.benchmarks.estimate import ZeroFlow
from refine_motion.benchmarks.flow_evaluation import evaluate_flow
from refine_motion.benchmarks.flow_table import FlowTable
from refine_motion.demo.labels import LabelQuality, label_quality
from refine_motion.demo.plan import DemoPlan
from refine_motion.demo.stages import DemoFolder, Stages, render
from refine_motion.labels.balance import MotionBalance
from refine_motion.labels.select import CycleRule, LabelRule
from refine_motion.labels.teacher import LabelSettings
from refine_motion.models.load import load_flow_model
from refine_motion.models.weights import locate_weights
from refine_motion.refine.api import label, refine
from refine_motion.refine.augment import Augmentation
from refine_motion.refine.run import RefineResult

# The recipe of `configs/refine/flow.yaml`, whose file does not come with the package.
FILTERS: dict[str, LabelRule] = {"cycle": CycleRule(alpha=0.01, beta=0.5), "balance": MotionBalance()}
CEILING = 5.0
AUGMENT = Augmentation(jitter_probability=0.1, asymmetric_probability=0, hflip_probability=0, vflip_probability=0)
TRAINING: dict[str, Any] = {"learning_rate": 2e-4, "ema": 0.95}
DATA: dict[str, Any] = {"crop": (544, 960), "crop_candidates": 4, "made_share": 0.33, "num_workers": 1}


@dataclass(frozen=True)
class DemoResult:
    """What a demonstration found.

    Attributes:
        plan: what was done.
        folder: where its files are.
        before: file of the weights that were refined.
        refined: labels, weights and what is known without truth.
        table: scores on the held-out clips, before and after.
        labels: how good the labels are, by the truth that training never saw.
        zero: mean end-point error of zero flow on the held-out clips in pixels.
        seconds: time of each stage by its name, in order.
    """

    plan: DemoPlan
    folder: DemoFolder
    before: Path
    refined: RefineResult
    table: FlowTable
    labels: LabelQuality
    zero: float
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def epe(self) -> tuple[float, float]:
        """Mean end-point error over the held-out clips before and after, in pixels."""
        mean = self.table.mean
        assert mean.epe_against is not None  # The table compares two models.
        return mean.epe_against, mean.epe

    @property
    def change(self) -> float:
        """Relative change of the mean end-point error; -0.15 is 15 % lower."""
        before, after = self.epe
        return after / before - 1


def run_demo(plan: DemoPlan, root: Path, say: Callable[[str, str], None]) -> DemoResult:
    """Do the whole job.

    Args:
        plan: what to do.
        root: an empty folder.
        say: told the title of each stage as it begins, and a sentence on what it does.

    Raises:
        RefineMotionError: one line on what is wrong with the plan.
    """
    folder, stage = DemoFolder(root), Stages(say)
    before = locate_weights(plan.weights)

    render(plan, folder, stage, plan.pairs)
    videos = str(folder.videos)
    settings = LabelSettings(iters=plan.label_iters, ceiling=CEILING, views=plan.label_views)
    with stage(
        "Label",
        f"The frozen model looks at the frames in {len(plan.label_views)} views, there and back; where the frames "
        "speak for a view, it counts, and what returns to where it started is kept.",
    ):
        label(videos, None, before, folder.run / "labels", settings, accelerator="cpu", filters=FILTERS, num_workers=1)
    with stage(
        "Refine",
        f"A copy of the model learns to reproduce the kept labels in one look at native size: {plan.steps} steps. Then "
        "the better weights are chosen by clips that it was not trained on, without their truth.",
    ):
        refined = refine(
            videos,
            None,
            before,
            folder.run,
            steps=plan.steps,
            iters=plan.iters,
            augment=AUGMENT,
            filters=FILTERS,
            settings=settings,
            seed=plan.seed,
            accelerator="cpu",
            batch_size=plan.batch_size,
            **TRAINING,
            **DATA,
        )
    with stage("Judge", "Both models on the held-out clips, and the labels, by the exact flow."):
        model = load_flow_model(None, before)
        table = evaluate_flow(load_flow_model(None, refined.weights), folder.truth, against=model, iters=plan.iters)
        quality = label_quality(plan, folder.videos, refined.store, FILTERS)
        zero = evaluate_flow(ZeroFlow(), folder.truth, iters=plan.iters, progress=False).mean.epe
    return DemoResult(plan, folder, before, refined, table, quality, zero, stage.seconds)
