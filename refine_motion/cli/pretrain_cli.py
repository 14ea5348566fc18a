"""``refine-motion pretrain``: LightningCLI over one YAML file, without subcommands."""

from __future__ import annotations

import shlex
import sys
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from refine_motion.cli.start import build, checkpoints_in, command_line, data_seed
from refine_motion.pretrain.card import CardSettings
from refine_motion.pretrain.datamodule import PretrainDataModule
from refine_motion.pretrain.module import PretrainModule
from refine_motion.pretrain.run import pretrain_once
from refine_motion.training.checkpoint import PieceCheckpoint


class PretrainCLI(LightningCLI):
    """Adds the work folder, the checkpoints in it and what the model card measures; runs when it is made.

    Args:
        module: what is trained.
        data: what serves the data.
        **settings: as of ``LightningCLI``.
    """

    def __init__(self, module: type[LightningModule], data: type[LightningDataModule], **settings: Any):
        super().__init__(module, data, run=False, **settings)
        command = f"refine-motion {shlex.join(sys.argv[1:])}"
        card, workdir = self.config_init["card"], self.config["workdir"]
        pretrain_once(self.trainer, self.model, self.datamodule, workdir, card, command)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """``--workdir``, ``--checkpoint.every`` and ``--card.*``."""
        parser.add_argument(
            "--workdir", type=str, default="runs/pretrain", help="folder for everything this run writes"
        )
        parser.add_argument("--card", type=CardSettings, default=CardSettings(), help="what the model card measures")
        parser.add_lightning_class_args(PieceCheckpoint, "checkpoint")
        parser.link_arguments("workdir", "checkpoint.folder", compute_fn=checkpoints_in)
        parser.link_arguments("seed_everything", "data.seed", compute_fn=data_seed)

    def before_instantiate_classes(self) -> None:
        """The name that the configuration is saved under."""
        self.save_config_kwargs["config_filename"] = "pretrain.yaml"


def run(args: list[str]) -> int:
    """Run the command.

    Args:
        args: ``pretrain`` and its options.

    Raises:
        RefineMotionError: an error that the user can mend.
    """
    with command_line(args):
        build(PretrainCLI, PretrainModule, PretrainDataModule, args[1:])
    return 0
