"""``refine-motion fit`` with ``task: corrflow``: LightningCLI over one YAML file, without subcommands."""

from __future__ import annotations

import shlex
import sys
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from refine_motion.benchmarks.source_domain import ProceduralClips
from refine_motion.cli.start import build, checkpoints_in, data_seed
from refine_motion.corrflow.datamodule import CorrFlowDataModule
from refine_motion.corrflow.module import CorrFlowModule
from refine_motion.corrflow.run import train_once
from refine_motion.errors import ConfigError
from refine_motion.motion.full_attention import FullAttention
from refine_motion.motion.local_attention import LocalAttention
from refine_motion.training.checkpoint import PieceCheckpoint

# Imported so that YAML files may give these class names without their modules.
__all__ = ["FullAttention", "LocalAttention", "ProceduralClips", "run"]

TASK = "corrflow"


class CorrFlowCLI(LightningCLI):
    """Adds the work folder and the checkpoints in it; trains when it is made.

    Args:
        module: what is trained.
        data: what serves the clips.
        **settings: as of ``LightningCLI``.
    """

    def __init__(self, module: type[LightningModule], data: type[LightningDataModule], **settings: Any):
        super().__init__(module, data, run=False, **settings)
        command = f"refine-motion {shlex.join(sys.argv[1:])}"
        train_once(self.trainer, self.model, self.datamodule, self.config["workdir"], command)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """``--workdir``, ``--task`` and ``--checkpoint.every``."""
        parser.add_argument(
            "--workdir", type=str, default="runs/corrflow", help="folder for everything this run writes"
        )
        parser.add_argument("--task", type=str, default=TASK, help="corrflow")
        parser.add_lightning_class_args(PieceCheckpoint, "checkpoint")
        parser.link_arguments("workdir", "checkpoint.folder", compute_fn=checkpoints_in)
        parser.link_arguments("seed_everything", "data.seed", compute_fn=data_seed)

    def before_instantiate_classes(self) -> None:
        """The name that the configuration is saved under."""
        self.save_config_kwargs["config_filename"] = "fit.yaml"


def run(args: list[str]) -> None:
    """Train, inside :func:`refine_motion.cli.start.command_line`.

    Args:
        args: ``fit`` and its options.

    Raises:
        RefineMotionError: an error that the user can mend.
    """
    if args[0] != "fit":
        raise ConfigError(f"task {TASK} has no command {args[0]}: `refine-motion fit` trains, `evaluate` measures")
    build(CorrFlowCLI, CorrFlowModule, CorrFlowDataModule, args[1:])
