"""``refine-motion fit`` with ``task: corrflow``: LightningCLI over one YAML file, without subcommands."""

from __future__ import annotations

from lightning.pytorch.cli import LightningArgumentParser

from refine_motion.benchmarks.source_domain import ProceduralClips
from refine_motion.cli.piece_cli import PieceCLI
from refine_motion.cli.start import build
from refine_motion.corrflow.datamodule import CorrFlowDataModule
from refine_motion.corrflow.module import CorrFlowModule
from refine_motion.corrflow.run import train_once
from refine_motion.errors import ConfigError
from refine_motion.motion.full_attention import FullAttention
from refine_motion.motion.local_attention import LocalAttention

# Imported so that YAML files may give these class names without their modules.
__all__ = ["FullAttention", "LocalAttention", "ProceduralClips", "run"]

TASK = "corrflow"


class CorrFlowCLI(PieceCLI):
    """See :class:`PieceCLI`."""

    workdir = "runs/corrflow"

    def train(self, command: str) -> None:
        """See :class:`PieceCLI`."""
        train_once(self.trainer, self.model, self.datamodule, self.config["workdir"], command)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """``--task`` as well."""
        super().add_arguments_to_parser(parser)
        parser.add_argument("--task", type=str, default=TASK, help="corrflow")


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
