"""``refine-motion test``: a model on a benchmark in its official layout."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from refine_motion.benchmarks.datamodule import FlowBenchmark, FlyingChairs, Kitti2015, Middlebury, Sintel, Spring
from refine_motion.benchmarks.module import FlowBenchmarkModule
from refine_motion.cli.start import SaveConfig, build, command_line

# Imported so that YAML files may give these class names without their modules.
__all__ = ["FlyingChairs", "Kitti2015", "Middlebury", "Sintel", "Spring", "run"]


class SaveBenchmark(SaveConfig):
    """Writes the table beside the configuration, and prints it."""

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """On the first process: the table on the screen, and as ``table.csv`` and ``table.json`` in the work folder."""
        if not (trainer.is_global_zero and isinstance(pl_module, FlowBenchmarkModule) and pl_module.table):
            return
        folder = Path(self.config.workdir)
        pl_module.table.print()
        pl_module.table.to_csv(folder / "table.csv")
        pl_module.table.to_json(folder / "table.json")
        print(f"table.csv and table.json are in {folder}")


class BenchmarkCLI(LightningCLI):
    """The subcommand ``test`` alone, with a work folder."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """``--workdir``."""
        parser.add_argument(
            "--workdir", type=str, default="runs/benchmark", help="folder for everything this run writes"
        )

    def before_instantiate_classes(self) -> None:
        """The name that the configuration is saved under."""
        self.save_config_kwargs["config_filename"] = f"{self.subcommand}.yaml"

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The subcommand and the arguments that it gets from elsewhere."""
        return {"test": LightningCLI.subcommands()["test"] | {"ckpt_path", "weights_only", "verbose"}}


def run(args: list[str]) -> int:
    """Run the subcommand.

    Args:
        args: ``test`` and its options.

    Raises:
        RefineMotionError: an error that the user can mend.
    """
    with command_line(args):
        build(BenchmarkCLI, FlowBenchmarkModule, FlowBenchmark, args, SaveBenchmark, subclass_mode_data=True)
    return 0
