"""``fit``, ``validate`` and ``label``: LightningCLI over one YAML file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from jsonargparse import set_parsing_settings
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from refine_motion.errors import ConfigError
from refine_motion.labels.select import ColourRule, CycleRule, MinSpeed, SpeedStratifiedCap
from refine_motion.labels.teacher import FlowTeacher, LabelSettings
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.module import RefineModule
from refine_motion.refine.stage1 import label_videos
from refine_motion.refine.stage2 import finish
from refine_motion.refine.trainer import RefineTrainer

# Imported so that YAML files may give these class names without their modules.
__all__ = ["ColourRule", "CycleRule", "MinSpeed", "SpeedStratifiedCap", "run"]


class SaveConfig(SaveConfigCallback):
    """Writes the resolved configuration to the run's own folder: with W&B every run shares one log folder."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write ``<subcommand>.yaml`` into the work folder and, where W&B is used, into the run's configuration."""
        folder = Path(self.config.workdir)
        folder.mkdir(parents=True, exist_ok=True)
        self.parser.save(self.config, folder / self.config_filename, skip_unset=False, multifile=False, overwrite=True)
        if isinstance(trainer.logger, WandbLogger):
            trainer.logger.experiment.config.update(self.config.as_dict(), allow_val_change=True)


class RefineCLI(LightningCLI):
    """Adds the work folder and the settings of stage 1, and runs stage 1 before ``fit``."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """``--workdir`` and ``--label.*`` for every subcommand."""
        parser.add_argument("--workdir", type=str, default="runs/refine", help="folder for everything this run writes")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=_data_seed)
        parser.add_argument("--label", type=LabelSettings, default=LabelSettings(), help="how stage 1 makes labels")

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

    def before_fit(self) -> None:
        """Stage 1 with the same trainer; it skips what is labelled already."""
        self._stage1()

    def before_validate(self) -> None:
        """Held-out labels are needed here too."""
        self._stage1()

    def after_fit(self) -> None:
        """Save the student as plain weights and compare it with the teacher."""
        finish(self.trainer, self.model, self.datamodule, self._get(self.config, "workdir"))

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

    def _stage1(self) -> None:
        checkpoint = self._get(self.config, "ckpt_path")
        if checkpoint is not None and checkpoint not in ("best", "last", "hpc", "registry"):
            if not Path(checkpoint).is_file():
                raise ConfigError(f"{checkpoint}: no such checkpoint; --ckpt_path is a .ckpt file of an earlier fit")
            if Path(checkpoint).suffix == ".safetensors":
                raise ConfigError(f"{checkpoint}: plain weights, not a checkpoint; pass them as --model.weights")
        teacher = FlowTeacher(self.model.teacher, self._get(self.config_init, "label"))
        label_videos(self.trainer, teacher, self.datamodule)


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
    return start(RefineCLI, RefineModule, VideoLabelDataModule, SaveConfig, args)


def start(
    cli: type[LightningCLI],
    module: type[LightningModule],
    data: type[LightningDataModule],
    save: type[SaveConfigCallback],
    args: list[str],
    **settings: Any,
) -> int:
    """Run a subcommand of a LightningCLI as all of ours are run.

    Args:
        cli: its class.
        module: what is trained or tested.
        data: what serves the data.
        save: writes the configuration.
        args: the subcommand and its options.
        **settings: more arguments of ``cli``.

    Raises:
        RefineMotionError: an error that the user can mend.
    """
    # Interpolations such as ${workdir} are written from the root of a file; the parser needs them relative.
    set_parsing_settings(omegaconf_absolute_to_relative_paths=True)
    # LightningCLI warns when it gets arguments while the process has some too, so the process gets these.
    own, sys.argv = sys.argv, [sys.argv[0], *args]
    try:
        cli(
            module,
            data,
            trainer_class=RefineTrainer,
            save_config_callback=save,
            save_config_kwargs={"save_to_log_dir": False},
            seed_everything_default=0,
            parser_kwargs={"parser_mode": "omegaconf+"},
            auto_configure_optimizers=False,
            **settings,
        )
    except MisconfigurationException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    finally:
        sys.argv = own
    return 0
