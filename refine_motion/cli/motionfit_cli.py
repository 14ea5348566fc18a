"""``refine-motion fit`` and ``label`` with ``task: motionfit``: networks of clips, and pseudo-labels by one of them."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from pathlib import Path

import torch
from jsonargparse import ArgumentParser
from lightning.pytorch.cli import LightningArgumentParser
from rich.console import Console
from rich.table import Table

from refine_motion.benchmarks.actions.class_folders import ClassFolders
from refine_motion.benchmarks.actions.hmdb51 import Hmdb51
from refine_motion.benchmarks.actions.ucf101 import Ucf101
from refine_motion.cli.piece_cli import PieceCLI
from refine_motion.cli.start import build
from refine_motion.errors import ConfigError
from refine_motion.motionfit.datamodule import ActionDataModule, ClipDataModule, PseudoLabelDataModule
from refine_motion.motionfit.label import PseudoLabelSettings, label_cells
from refine_motion.motionfit.label_store import LabelTable
from refine_motion.motionfit.module import ClipModule
from refine_motion.motionfit.run import train_clips
from refine_motion.motionfit.trained import load_trained
from refine_motion.video.index import build_index

# Imported so that YAML files may give these class names without their modules.
__all__ = ["ActionDataModule", "ClassFolders", "Hmdb51", "PseudoLabelDataModule", "Ucf101", "run"]

TASK = "motionfit"


class MotionFitCLI(PieceCLI):
    """See :class:`PieceCLI`."""

    workdir = "runs/motionfit"
    seed_key = "data.init_args.seed"

    def train(self, command: str) -> None:
        """See :class:`PieceCLI`."""
        workdir, crops = self.config["workdir"], self.config["test_crops"]
        train_clips(self.trainer, self.model, self.datamodule, workdir, command, crops)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """``--task`` and ``--test_crops`` as well."""
        super().add_arguments_to_parser(parser)
        parser.add_argument("--task", type=str, default=TASK, help="motionfit")
        parser.add_argument("--test_crops", type=int, default=3, help="crops of each clip to test on: 1 or 3")


def run(args: list[str]) -> None:
    """Train or label, inside :func:`refine_motion.cli.start.command_line`.

    Args:
        args: ``fit`` or ``label`` and its options.

    Raises:
        RefineMotionError: an error that the user can mend.
    """
    if args[0] == "label":
        _label(args[1:])
    elif args[0] == "fit":
        build(MotionFitCLI, ClipModule, ClipDataModule, args[1:], subclass_mode_data=True)
    else:
        raise ConfigError(f"task {TASK} has no command {args[0]}: `refine-motion fit` trains, `label` makes labels")


def _label(args: list[str]) -> None:
    parser = _label_parser()
    config = parser.instantiate(parser.parse_args(args))
    for name, what in (("videos", "the unlabelled videos"), ("teacher", "the weights of a finished teacher")):
        if config[name] is None:
            raise ConfigError(f"no {name} given: pass {what} as --{name}")
    teacher, folder = load_trained(config.teacher), Path(config.workdir)
    index = build_index(config.videos, Path(config.cache) / "index")
    if index.rejected:
        Console().print(index.table())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    facts: dict[str, object] = {
        "teacher": str(config.teacher),
        "videos": str(config.videos),
        "command": f"refine-motion {shlex.join(sys.argv[1:])}",
    }
    table = label_cells(teacher, index.videos, config.label, folder, Path(config.cache) / "flow", device, facts)
    Console().print(_summary(table))
    print(f"{folder / 'labels.csv'}; learn from it with --data.init_args.labels {folder}")


def _label_parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="refine-motion label",
        description="Pseudo-labels of unlabelled videos by a trained network of clips: clusters of its features, or "
        "its own classes.",
        parser_mode="omegaconf+",
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="configs/motionfit/pseudo_labels.yaml")
    parser.add_argument("--task", type=str, default=TASK, help="motionfit")
    parser.add_argument("--workdir", type=str, default="runs/motionfit/labels", help="folder of labels and features")
    parser.add_argument("--videos", type=str | None, default=None, help="a folder, a glob pattern or a list file")
    parser.add_argument("--teacher", type=str | None, default=None, help="weights.safetensors of a finished training")
    parser.add_argument("--cache", type=str, default="runs/motionfit/cache", help="folder of video index and flow")
    parser.add_argument("--label", type=PseudoLabelSettings, default=PseudoLabelSettings(), help="how labels are made")
    return parser


def _summary(table: LabelTable) -> Table:
    """How many cells have a label, and how evenly the labels are shared out."""
    counts = Counter(row.label for row in table.rows).values()
    shown = Table(title="pseudo-labels")
    for heading in ("videos", "cells", "classes in use", "cells of the largest", "of the smallest", "mean confidence"):
        shown.add_column(heading, justify="right")
    shown.add_row(
        str(len({row.cell.video for row in table.rows})),
        str(len(table.rows)),
        f"{len(counts)} of {len(table.classes)}",
        str(max(counts)),
        str(min(counts)),
        f"{sum(row.confidence for row in table.rows) / len(table.rows):.2f}",
    )
    return shown
