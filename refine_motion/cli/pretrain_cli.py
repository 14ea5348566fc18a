"""``refine-motion pretrain``: LightningCLI over one YAML file, without subcommands."""

from __future__ import annotations

from lightning.pytorch.cli import LightningArgumentParser

from refine_motion.cli.piece_cli import PieceCLI
from refine_motion.cli.start import build, command_line
from refine_motion.pretrain.card import CardSettings
from refine_motion.pretrain.datamodule import PretrainDataModule
from refine_motion.pretrain.module import PretrainModule
from refine_motion.pretrain.run import pretrain_once


class PretrainCLI(PieceCLI):
    """Adds what the model card measures; see :class:`PieceCLI`."""

    workdir = "runs/pretrain"
    config_filename = "pretrain.yaml"

    def train(self, command: str) -> None:
        """See :class:`PieceCLI`."""
        card, workdir = self.config_init["card"], self.config["workdir"]
        pretrain_once(self.trainer, self.model, self.datamodule, workdir, card, command)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """``--card.*`` as well."""
        super().add_arguments_to_parser(parser)
        parser.add_argument("--card", type=CardSettings, default=CardSettings(), help="what the model card measures")


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
