"""LightningCLI of a training that is made in pieces, and starts when it is made."""

from __future__ import annotations

import shlex
import sys
from abc import abstractmethod
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from refine_motion.cli.start import checkpoints_in, data_seed
from refine_motion.training.checkpoint import PieceCheckpoint


class PieceCLI(LightningCLI):
    """Adds the work folder and the checkpoints in it.

    Args:
        module: what is trained.
        data: what serves the data.
        **settings: as of ``LightningCLI``.

    Attributes:
        workdir: the default work folder.
        seed_key: setting of the data that is seeded as the run is.
        config_filename: under which the configuration is saved.
    """

    workdir: str
    seed_key = "data.seed"
    config_filename = "fit.yaml"

    def __init__(self, module: type[LightningModule], data: type[LightningDataModule], **settings: Any):
        super().__init__(module, data, run=False, **settings)
        self.train(f"refine-motion {shlex.join(sys.argv[1:])}")

    @abstractmethod
    def train(self, command: str) -> None:
        """Train, or go on.

        Args:
            command: how it was started.
        """

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """``--workdir`` and ``--checkpoint.every``."""
        parser.add_argument("--workdir", type=str, default=self.workdir, help="folder for everything this run writes")
        parser.add_lightning_class_args(PieceCheckpoint, "checkpoint")
        parser.link_arguments("workdir", "checkpoint.folder", compute_fn=checkpoints_in)
        parser.link_arguments("seed_everything", self.seed_key, compute_fn=data_seed)

    def before_instantiate_classes(self) -> None:
        """The name that the configuration is saved under."""
        self.save_config_kwargs["config_filename"] = self.config_filename
