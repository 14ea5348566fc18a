"""What is compared: each row is a configuration, built from the row before it where it says so."""

from __future__ import annotations

from dataclasses import dataclass

PAPER = "configs/refine/flow_paper_cpu.yaml"
BEST = "configs/refine/flow.yaml"
# What the paper's recipe lacks, one after the other; together they are the preset `flow.yaml`.
_VIEWS = [
    "--label.views=[1x flip, 1.5x, 1.5x flip, 2x, 2x flip]",
    "--label.ceiling=5",
    "--data.filters={cycle: {class_path: CycleRule, init_args: {alpha: 0.01, beta: 0.5}}}",
]
_GENTLE = [
    "--model.augment.jitter_probability=0.1",
    "--model.augment.asymmetric_probability=0",
    "--model.augment.hflip_probability=0",
    "--model.augment.vflip_probability=0",
    "--model.learning_rate=2e-4",
]
_WHOLE = ["--data.crop=[544, 960]", "--data.batch_size=1", "--model.iters=12"]
_MADE = ["--data.made_share=0.33"]
_CYCLE = "cycle: {class_path: CycleRule, init_args: {alpha: 0.01, beta: 0.5}}"
_BALANCE = "balance: {class_path: MotionBalance}"
_BALANCED = [f"--data.filters={{{_CYCLE}, {_BALANCE}}}", "--data.crop_candidates=4"]
_ADAPTIVE = [f"--data.filters={{cycle: {{class_path: AdaptiveCycle}}, {_BALANCE}}}"]
_DENSIFY = [f"--data.filters={{cycle: {{class_path: AdaptiveCycle}}, densify: {{class_path: Densify}}, {_BALANCE}}}"]
_UNCHECKED = ["--selection.enabled=false"]


@dataclass(frozen=True)
class Row:
    """One way to refine.

    Attributes:
        name: in the table.
        configs: files, each on top of those before it.
        options: on top of all files.
        seeds: how many are run.
    """

    name: str
    configs: tuple[str, ...] = (PAPER,)
    options: tuple[str, ...] = ()
    seeds: int = 1


def _paper(name: str, *options: list[str], baseline: str | None = None, seeds: int = 1) -> Row:
    overlay = () if baseline is None else (f"configs/refine/baselines/{baseline}.yaml",)
    return Row(name, (PAPER, *overlay), (*(part for group in options for part in group), *_UNCHECKED), seeds)


ROWS = (
    _paper("warp error, L1", baseline="warp_l1"),
    _paper("warp error, census", baseline="warp_census"),
    _paper("cycle consistency", baseline="cycle"),
    _paper("self-training", baseline="self_training"),
    _paper("paper, leaking mask", baseline="leaking_mask"),
    _paper("paper", seeds=3),
    _paper("+ views", _VIEWS),
    _paper("+ gentle augmentation", _VIEWS, _GENTLE),
    _paper("+ whole frames", _VIEWS, _GENTLE, _WHOLE),
    _paper("+ made motion", _VIEWS, _GENTLE, _WHOLE, _MADE),
    _paper("+ balance by motion", _VIEWS, _GENTLE, _WHOLE, _MADE, _BALANCED),
    _paper("with adaptive thresholds", _VIEWS, _GENTLE, _WHOLE, _MADE, _BALANCED, _ADAPTIVE),
    _paper("with adaptive thresholds, densified", _VIEWS, _GENTLE, _WHOLE, _MADE, _BALANCED, _DENSIFY),
    Row("best: + mean of weights, choice", (BEST,), (), seeds=3),
)
