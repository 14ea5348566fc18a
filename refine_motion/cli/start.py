"""How every LightningCLI of ours is started: one parser mode, safe class paths, errors of one line."""

from __future__ import annotations

import os
import re
import sys
import warnings
from argparse import ArgumentError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import set_parsing_settings
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from refine_motion.errors import ConfigError
from refine_motion.refine.trainer import RefineTrainer
from refine_motion.training.pieces import CHECKPOINTS

# A class path in a configuration makes the parser import it, which runs code.
ALLOWED_PACKAGES = ("refine_motion", "lightning.pytorch", "lightning.fabric")
ALLOW_VARIABLE = "REFINE_MOTION_ALLOW_CLASSES"

_CLI = TypeVar("_CLI", bound=LightningCLI)


class SaveConfig(SaveConfigCallback):
    """Writes the resolved configuration to the run's own folders: with W&B every run shares one log folder."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write ``<subcommand>.yaml`` into the work folder; with W&B also among the run's files and its settings."""
        self._save(Path(self.config.workdir))
        for run in wandb_runs(trainer):
            self._save(Path(run.dir))
            run.config.update(self.config.as_dict(), allow_val_change=True)

    def _save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.parser.save(self.config, folder / self.config_filename, skip_unset=False, multifile=False, overwrite=True)


def wandb_runs(trainer: Trainer) -> list[Any]:
    """The W&B runs that this process writes to: none on any process but the first."""
    loggers = trainer.loggers if trainer.is_global_zero else []
    return [logger.experiment for logger in loggers if isinstance(logger, WandbLogger)]


@contextmanager
def command_line(args: list[str]) -> Iterator[None]:
    """Run the body as the command line ``args``, with the parser set up and the complaints of others as ours.

    Processes that Lightning starts for more devices run the command line that this process seems to have.

    Raises:
        ConfigError: the parser or Lightning refuses the configuration.
    """
    set_parsing_settings(
        # Interpolations such as ${workdir} are written from the root of a file; the parser needs them relative.
        omegaconf_absolute_to_relative_paths=True,
        instantiate_subclass_spec_in_any=False,
        import_path_denylist=["*"],
        import_path_allowlist=[*ALLOWED_PACKAGES, *filter(None, os.environ.get(ALLOW_VARIABLE, "").split(","))],
    )
    own, sys.argv = sys.argv, [sys.argv[0], *args]
    try:
        yield
    except ArgumentError as error:
        raise ConfigError(_advice(str(error), args)) from error
    except MisconfigurationException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    finally:
        sys.argv = own


def _advice(complaint: str, args: list[str]) -> str:
    """The parser's complaint in one line, with what to do."""
    denied = re.search(r"Importing '([^']+)' is not allowed", complaint)
    if denied:
        package = denied[1].split(".")[0]
        return (
            f"class {denied[1]} is not of an allowed package ({', '.join(ALLOWED_PACKAGES)}); if you trust it, "
            f"set {ALLOW_VARIABLE}={package}"
        )
    return f"{' '.join(complaint.split())} (refine-motion {args[0]} --help lists all settings)"


def data_seed(seed_everything: bool | int) -> int:
    """The seed of order, crops and augmentation: that of the run where it is a number, else 0."""
    return 0 if isinstance(seed_everything, bool) else seed_everything


def checkpoints_in(workdir: str) -> str:
    """The folder of checkpoints of a training in pieces."""
    return str(Path(workdir) / CHECKPOINTS)


def build(
    cli: type[_CLI],
    module: type[LightningModule],
    data: type[LightningDataModule],
    args: list[str],
    save: type[SaveConfigCallback] = SaveConfig,
    **settings: Any,
) -> _CLI:
    """Parse a command line and run its subcommand, inside :func:`command_line`.

    Args:
        cli: class of the command line.
        module: what is trained or tested.
        data: what serves the data.
        args: the subcommand and its options.
        save: writes the configuration.
        **settings: more arguments of ``cli``.
    """
    with warnings.catch_warnings():
        # That the process has arguments too is meant.
        warnings.filterwarnings("ignore", message=".*args parameter is intended to run from within Python.*")
        return _alone(cli, args[0])(
            module,
            data,
            args=args,
            trainer_class=RefineTrainer,
            save_config_callback=save,
            save_config_kwargs={"save_to_log_dir": False},
            seed_everything_default=0,
            parser_kwargs={"parser_mode": "omegaconf+", "exit_on_error": False},
            auto_configure_optimizers=False,
            **settings,
        )


def _alone(cli: type[_CLI], subcommand: str) -> type[_CLI]:
    """The same command line without its other subcommands: to set up the parser of each takes a tenth of a second."""
    known = cli.subcommands()
    kept = {subcommand: known[subcommand]} if subcommand in known else known
    return type(cli.__name__, (cli,), {"subcommands": staticmethod(lambda: kept), "__module__": cli.__module__})
