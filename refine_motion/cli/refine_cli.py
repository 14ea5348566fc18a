"""``fit``, ``validate`` and ``label``: LightningCLI over one YAML file."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from omegaconf import OmegaConf
from yaml import YAMLError

from refine_motion.benchmarks.source_domain import FlowFolder, ProceduralPairs
from refine_motion.cli import corrflow_cli, motionfit_cli
from refine_motion.cli.start import build, command_line, data_seed, wandb_runs
from refine_motion.errors import ConfigError
from refine_motion.labels.adaptive import AdaptiveCycle
from refine_motion.labels.balance import Balance, MotionBalance
from refine_motion.labels.densify import Densify
from refine_motion.labels.select import (
    ColourRule,
    CycleRule,
    EmbeddingRule,
    MinSpeed,
    SoftWeight,
    SpeedStratifiedCap,
    SpreadRule,
)
from refine_motion.labels.summary import LabelSummary
from refine_motion.labels.teacher import LabelSettings
from refine_motion.labels.track_rules import AllFrames, LeastKnown, MinTrackSpeed, VisibilityAgreement
from refine_motion.labels.track_teacher import TrackLabelSettings
from refine_motion.models.weights import read_weights
from refine_motion.refine.baselines import CycleLoss, WarpLoss
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.label_data import LabelDataModule
from refine_motion.refine.module import RefineModule
from refine_motion.refine.objectives import PseudoLabels
from refine_motion.refine.run import RefineResult, refine_once
from refine_motion.refine.runs import RefinePlan, Run, refine_all
from refine_motion.refine.selection import SelectionSettings
from refine_motion.refine.stage1 import label_videos
from refine_motion.refine.student import StudentModule
from refine_motion.refine.track_datamodule import TrackDataModule
from refine_motion.refine.track_module import TrackRefineModule

# Imported so that YAML files may give these class names without their modules.
__all__ = [
    "AdaptiveCycle",
    "AllFrames",
    "Balance",
    "ColourRule",
    "CycleLoss",
    "CycleRule",
    "Densify",
    "EmbeddingRule",
    "FlowFolder",
    "LeastKnown",
    "MinSpeed",
    "MinTrackSpeed",
    "MotionBalance",
    "ProceduralPairs",
    "PseudoLabels",
    "SoftWeight",
    "SpeedStratifiedCap",
    "SpreadRule",
    "VisibilityAgreement",
    "WarpLoss",
    "run",
]


# Trainings that are no refinement, with command lines of their own.
_OTHER_TASKS = {corrflow_cli.TASK: corrflow_cli.run, motionfit_cli.TASK: motionfit_cli.run}


class RefineCLI(LightningCLI):
    """Adds the work folder, the settings of stage 1 and the plan, and makes ``fit`` the whole refinement.

    Attributes:
        task: what is refined: a model of ``flow`` or of ``tracks``.
        labelling: the settings of stage 1.
    """

    task = "flow"
    labelling: type = LabelSettings
    result: RefineResult

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """``--workdir`` and ``--label.*`` for every subcommand."""
        parser.add_argument("--workdir", type=str, default="runs/refine", help="folder for everything this run writes")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=data_seed)
        parser.add_argument("--task", type=str, default=self.task, help="what is refined: flow or tracks")
        parser.add_argument("--label", type=self.labelling, default=self.labelling(), help="how stage 1 makes labels")
        parser.add_argument(
            "--selection", type=SelectionSettings, default=SelectionSettings(), help="how the weights are chosen"
        )
        parser.add_argument("--refine", type=RefinePlan, default=RefinePlan(), help="how many models come out of `fit`")

    def before_instantiate_classes(self) -> None:
        """One configuration file per subcommand, so that ``label`` does not overwrite that of ``fit``."""
        self.save_config_kwargs["config_filename"] = f"{self.subcommand}.yaml"

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The subcommands and the arguments that they get from elsewhere."""
        kept = {name: skip for name, skip in LightningCLI.subcommands().items() if name in ("fit", "validate")}
        return {**kept, "label": {"model", "datamodule", "settings"}}

    def _parse_ckpt_path(self) -> None:
        """Leave the configuration as given: LightningCLI would let the settings in a checkpoint override it."""

    def fit(
        self,
        model: StudentModule[Any],
        datamodule: LabelDataModule[Any, Any],
        ckpt_path: str | None = None,
        **_: Any,
    ) -> None:
        """The whole refinement in place of the trainer's bare ``fit``; several of them where the plan says so."""
        _check_checkpoint(ckpt_path)
        plan, workdir = self._get(self.config_init, "refine"), self._get(self.config, "workdir")
        if plan == RefinePlan():
            settings, selection = self._get(self.config_init, "label"), self._get(self.config_init, "selection")
            self.result = refine_once(self.trainer, model, datamodule, settings, workdir, ckpt_path, selection)
            # Where the refinement was finished already, nothing new can be told, and the student is untrained.
            for run in wandb_runs(self.trainer) if self.trainer.global_step else []:
                # W&B takes a second to load, which a run without it need not wait for.
                from refine_motion.viz.wandb_report import report_to_wandb

                model.to(self.trainer.strategy.root_device)
                if isinstance(model, RefineModule) and isinstance(datamodule, VideoLabelDataModule):
                    labels = self.result.labels
                    assert isinstance(labels, LabelSummary)  # Of flow, as its videos are.
                    report_to_wandb(run, model, datamodule, labels, self.result.held_out)
                # Or a second fit of this process would go on in the same run.
                run.finish()
            return
        if ckpt_path is not None:
            raise ConfigError("--ckpt_path is of one run; several (refine.unit, refine.rounds) go on by themselves")
        if plan.unit == "video" and datamodule.asked_for:
            raise ConfigError("data.own_points are of one video: leave refine.unit at folder, and give that video")
        shared = ["--data.labels", str(datamodule.labels), "--data.cache", str(datamodule.cache)]

        def one(run: Run) -> RefineResult:
            own = ["--workdir", str(run.folder), "--data.videos", run.videos, "--model.weights", run.weights]
            single = ["--refine.unit", "folder", "--refine.rounds", "1"]
            return _cli([*sys.argv[1:], *own, *shared, *single]).result

        weights = str(model.hparams["weights"])
        refine_all(plan, datamodule.videos, weights, workdir, datamodule.cache, one)

    def before_validate(self) -> None:
        """Held-out labels are needed here too."""
        _check_checkpoint(self._get(self.config, "ckpt_path"))
        label_videos(self.trainer, self.model.labelling(self._get(self.config_init, "label")), self.datamodule)

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        """Without a group for the trainer's method ``label``, whose name the settings of stage 1 have."""
        if subcommand != "label":
            return super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser = self.init_parser(**kwargs)
        self._add_arguments(parser)
        self._subcommand_method_arguments[subcommand] = []
        return parser

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand == "label":
            kwargs["settings"] = self._get(self.config_init, "label")
        return kwargs


class TrackRefineCLI(RefineCLI):
    """As :class:`RefineCLI`, for a model of tracks."""

    task = "tracks"
    labelling = TrackLabelSettings


def _check_checkpoint(path: str | None) -> None:
    if path is None or path in ("best", "last", "hpc", "registry"):
        return
    if not Path(path).is_file():
        raise ConfigError(f"{path}: no such checkpoint; --ckpt_path is a .ckpt file of an earlier fit")
    if Path(path).suffix == ".safetensors":
        raise ConfigError(f"{path}: plain weights, not a checkpoint; pass them as --model.weights")
    # Refused here in one line, and before any labelling, where it holds more than tensors and plain values.
    read_weights(path)


def run(args: list[str]) -> int:
    """Run one LightningCLI subcommand.

    Args:
        args: the subcommand and its options.

    Raises:
        RefineMotionError: an error that the user can mend.
    """
    with command_line(args):
        task = _task(args)
        if task in _OTHER_TASKS:
            _OTHER_TASKS[task](args)
        else:
            _cli(args)
    return 0


def _cli(args: list[str]) -> RefineCLI:
    if _task(args) == TrackRefineCLI.task:
        return build(TrackRefineCLI, TrackRefineModule, TrackDataModule, args)
    return build(RefineCLI, RefineModule, VideoLabelDataModule, args)


def _task(args: list[str]) -> str:
    """What is refined or trained, by the command line or else by the last configuration file that says it.

    Raises:
        ConfigError: there is no such task.
    """
    chooser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    chooser.add_argument("--task")
    chooser.add_argument("--config", action="append", default=[])
    known, _ = chooser.parse_known_args(args)
    task = known.task
    for path in reversed(known.config) if task is None else ():
        with contextlib.suppress(OSError, ValueError, YAMLError):
            content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
            task = content.get("task") if isinstance(content, dict) else None
        if task is not None:
            break
    task = task or RefineCLI.task
    tasks = (RefineCLI.task, TrackRefineCLI.task, *_OTHER_TASKS)
    if task not in tasks:
        raise ConfigError(f"task {task!r}: it is one of {', '.join(tasks)}")
    return str(task)
