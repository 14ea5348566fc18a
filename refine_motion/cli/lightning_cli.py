"""``fit``, ``validate`` and ``label``: LightningCLI over one YAML file."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

from jsonargparse import set_parsing_settings
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from refine_motion.errors import ConfigError
from refine_motion.labels.select import ColourRule, CycleRule, MinSpeed, SpeedStratifiedCap
from refine_motion.labels.teacher import FlowTeacher, LabelSettings
from refine_motion.models.weights import read_weights
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.module import RefineModule
from refine_motion.refine.run import RefineResult, refine_once
from refine_motion.refine.runs import RefinePlan, Run, refine_all
from refine_motion.refine.stage1 import label_videos
from refine_motion.refine.trainer import RefineTrainer
from refine_motion.viz.wandb_report import report_to_wandb

# Imported so that YAML files may give these class names without their modules.
__all__ = ["ColourRule", "CycleRule", "MinSpeed", "SpeedStratifiedCap", "run"]


class SaveConfig(SaveConfigCallback):
    """Writes the resolved configuration to the run's own folders: with W&B every run shares one log folder."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write ``<subcommand>.yaml`` into the work folder; with W&B also among the run's files and its settings."""
        self._save(Path(self.config.workdir))
        for run in _wandb_runs(trainer):
            self._save(Path(run.dir))
            run.config.update(self.config.as_dict(), allow_val_change=True)

    def _save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.parser.save(self.config, folder / self.config_filename, skip_unset=False, multifile=False, overwrite=True)


class RefineCLI(LightningCLI):
    """Adds the work folder, the settings of stage 1 and the plan, and makes ``fit`` the whole refinement."""

    result: RefineResult

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """``--workdir`` and ``--label.*`` for every subcommand."""
        parser.add_argument("--workdir", type=str, default="runs/refine", help="folder for everything this run writes")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=_data_seed)
        parser.add_argument("--label", type=LabelSettings, default=LabelSettings(), help="how stage 1 makes labels")
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
        self, model: RefineModule, datamodule: VideoLabelDataModule, ckpt_path: str | None = None, **_: Any
    ) -> None:
        """The whole refinement in place of the trainer's bare ``fit``; several of them where the plan says so."""
        _check_checkpoint(ckpt_path)
        plan, workdir = self._get(self.config_init, "refine"), self._get(self.config, "workdir")
        if plan == RefinePlan():
            settings = self._get(self.config_init, "label")
            self.result = refine_once(self.trainer, model, datamodule, settings, workdir, ckpt_path)
            for run in _wandb_runs(self.trainer):
                model.to(self.trainer.strategy.root_device)
                report_to_wandb(run, model, datamodule, self.result.labels, self.result.held_out)
                # Or a second fit of this process would go on in the same run.
                run.finish()
            return
        if ckpt_path is not None:
            raise ConfigError("--ckpt_path is of one run; several (refine.unit, refine.rounds) go on by themselves")
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
        label_videos(
            self.trainer, FlowTeacher(self.model.teacher, self._get(self.config_init, "label")), self.datamodule
        )

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


def _wandb_runs(trainer: Trainer) -> list[Any]:
    """The W&B runs that this process writes to: none on any process but the first."""
    loggers = trainer.loggers if trainer.is_global_zero else []
    return [logger.experiment for logger in loggers if isinstance(logger, WandbLogger)]


def _check_checkpoint(path: str | None) -> None:
    if path is None or path in ("best", "last", "hpc", "registry"):
        return
    if not Path(path).is_file():
        raise ConfigError(f"{path}: no such checkpoint; --ckpt_path is a .ckpt file of an earlier fit")
    if Path(path).suffix == ".safetensors":
        raise ConfigError(f"{path}: plain weights, not a checkpoint; pass them as --model.weights")
    # Refused here in one line, and before any labelling, where it holds more than tensors and plain values.
    read_weights(path)


def _data_seed(seed_everything: bool | int) -> int:
    """The seed of order, crops and augmentation: that of the run where it is a number, else 0."""
    return 0 if isinstance(seed_everything, bool) else seed_everything


def run(args: list[str]) -> int:
    """Run one LightningCLI subcommand.

    Args:
        args: the subcommand and its options.

    Raises:
        RefineMotionError: an error that the user can mend.
    """
    # Interpolations such as ${workdir} are written from the root of a file; the parser needs them relative.
    set_parsing_settings(omegaconf_absolute_to_relative_paths=True)
    # Processes that Lightning starts for more devices run the command line that this process seems to have.
    own, sys.argv = sys.argv, [sys.argv[0], *args]
    try:
        _cli(args)
    except MisconfigurationException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    finally:
        sys.argv = own
    return 0


def _cli(args: list[str]) -> RefineCLI:
    with warnings.catch_warnings():
        # That the process has arguments too is meant.
        warnings.filterwarnings("ignore", message=".*args parameter is intended to run from within Python.*")
        return RefineCLI(
            RefineModule,
            VideoLabelDataModule,
            args=args,
            trainer_class=RefineTrainer,
            save_config_callback=SaveConfig,
            save_config_kwargs={"save_to_log_dir": False},
            seed_everything_default=0,
            parser_kwargs={"parser_mode": "omegaconf+"},
            auto_configure_optimizers=False,
        )
