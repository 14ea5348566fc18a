"""What the commands that score predictions share: their options, and the files they write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from refine_motion.benchmarks.score_table import ScoreTable
from refine_motion.cli.start import command_line
from refine_motion.errors import ConfigError
from refine_motion.motion.propagate import Matcher
from refine_motion.propagation.matchers import load_matcher
from refine_motion.propagation.predictors import MaskPropagation, PointPropagation
from refine_motion.propagation.settings import PropagationSettings


@dataclass
class Model:
    """What predicts, where no predictions are given.

    Attributes:
        network: registered model name; None recognises it from the weights.
        weights: path or name of its weights. Features, flow or tracks carry the labels of the first frame.
    """

    network: str | None = None
    weights: str | None = None


def predictions_parser(
    command: str, description: str, preset: str, predictions: str, benchmark: type
) -> ArgumentParser:
    """``--config``, ``--workdir``, ``--predictions``, ``--model``, ``--propagation`` and ``--data``.

    Args:
        command: its words.
        description: for the help.
        preset: a file of ``configs/benchmarks/``, as an example.
        predictions: what is in the folder of predictions.
        benchmark: base class of what is scored on.
    """
    parser = ArgumentParser(
        prog=f"refine-motion {command}", description=description, parser_mode="omegaconf+", exit_on_error=False
    )
    parser.add_argument("--config", action="config", help=f"one of configs/benchmarks/, e.g. {preset}")
    parser.add_argument("--workdir", type=str, default="runs/benchmark", help="folder for the table")
    parser.add_argument("--predictions", type=str | None, default=None, help=predictions)
    parser.add_argument("--model", type=Model, default=Model(), help="what predicts instead")
    parser.add_argument(
        "--propagation", type=PropagationSettings, default=PropagationSettings(), help="how it carries labels"
    )
    parser.add_subclass_arguments(benchmark, "data", required=True, help="what it is scored on")
    return parser


def run(
    command: str,
    args: list[str],
    parser: Callable[[], ArgumentParser],
    evaluate: Callable[[Any, Any], ScoreTable],
    predictor: Callable[[Matcher, Namespace], MaskPropagation | PointPropagation],
) -> int:
    """Score the predictions of a command line, or a model that predicts, print the table and write it.

    Args:
        command: its words.
        args: the words after them.
        parser: makes what reads them.
        evaluate: scores a folder of predictions, or a predictor, on a benchmark.
        predictor: makes one of what carries labels and the configuration.

    Returns:
        The exit status.

    Raises:
        RefineMotionError: an error that the user can mend.
    """
    with command_line([command, *args]):
        reader = parser()
        config = reader.instantiate(reader.parse_args(args))
    if (config.predictions is None) == (config.model.weights is None):
        what = "no predictions given" if config.predictions is None else "predictions and a model are given"
        other = "or" if config.predictions is None else "or else"
        raise ConfigError(
            f"{what}: pass their folder as --predictions, {other} the weights of a model as --model.weights"
        )
    if config.predictions is None:
        carries = predictor(load_matcher(config.model.network, config.model.weights, config.propagation), config)
        table = evaluate(carries, config.data)
        table = replace(table, notes=(*table.notes, f"Carried from the first frame by {carries.about}."))
    else:
        predictions = Path(config.predictions).expanduser()
        if not predictions.is_dir():
            raise ConfigError(f"{predictions}: no such folder; give that of the predictions as --predictions")
        table = evaluate(predictions, config.data)
    table.print()
    folder = Path(config.workdir)
    table.to_csv(folder / "table.csv")
    table.to_json(folder / "table.json")
    table.to_markdown(folder / "table.md")
    print(f"table.csv, table.json and table.md are in {folder}")
    return 0
