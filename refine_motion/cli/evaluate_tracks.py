"""``refine-motion evaluate tracks``: a model on a benchmark of tracked points, from one YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jsonargparse import ArgumentParser

from refine_motion.benchmarks.tracks.badja import Badja
from refine_motion.benchmarks.tracks.benchmark import TrackBenchmark
from refine_motion.benchmarks.tracks.crohd import Crohd
from refine_motion.benchmarks.tracks.davis_masks import DavisMasks
from refine_motion.benchmarks.tracks.deeplabcut import DeepLabCut
from refine_motion.benchmarks.tracks.evaluation import evaluate_tracks
from refine_motion.benchmarks.tracks.table_csv import TracksCsv
from refine_motion.benchmarks.tracks.tap_vid import TapVid
from refine_motion.benchmarks.tracks.track_table import TrackTable
from refine_motion.cli.start import command_line
from refine_motion.errors import BenchmarkError, RefineMotionError
from refine_motion.models.load import load_track_model
from refine_motion.models.track_base import TrackModel

# Imported so that YAML files may give these class names without their modules.
__all__ = ["Badja", "Crohd", "DavisMasks", "DeepLabCut", "TapVid", "TracksCsv", "main"]


@dataclass
class Models:
    """What is scored.

    Attributes:
        network: registered model name; None recognises it from the weights. Flow models are linked over time.
        weights: path or name of the weights to score.
        against: weights to compare with, usually those before refinement.
    """

    network: str | None = None
    weights: str | None = None
    against: str | None = None

    def load(self) -> tuple[TrackModel, TrackModel | None]:
        """Both, on the GPU where there is one.

        Raises:
            ConfigError: no weights are given.
            WeightsError: weights are missing, unreadable or of another architecture.
        """
        paths = [self.weights] if self.against is None else [self.weights, self.against]
        models = [load_track_model(self.network, path) for path in paths]
        if torch.cuda.is_available():
            for model in models:
                model.cuda()
        return models[0], models[1] if len(models) > 1 else None


def main(args: list[str]) -> int:
    """Run the command.

    Args:
        args: the words after ``evaluate tracks``.

    Returns:
        The exit status.

    Raises:
        RefineMotionError: an error that the user can mend; the caller prints it.
    """
    with command_line(["evaluate tracks", *args]):
        parser = _parser()
        config = parser.instantiate(parser.parse_args(args))
    model, against = config.model.load()
    folder = Path(config.workdir)
    table = _evaluated(model, config.data, against, folder / "table.partial.csv")
    table.print()
    table.to_csv(folder / "table.csv")
    table.to_json(folder / "table.json")
    print(f"table.csv and table.json are in {folder}")
    return 0


def _evaluated(model: TrackModel, benchmark: TrackBenchmark, against: TrackModel | None, partial: Path) -> TrackTable:
    """The table; where a video cannot be scored, the scores of those before it stay in a file ``partial``."""
    partial.unlink(missing_ok=True)
    try:
        table = evaluate_tracks(model, benchmark, against, so_far=lambda found: found.to_csv(partial))
    except RefineMotionError as error:
        if not partial.is_file():
            raise
        raise BenchmarkError(f"{error} (the scores of the videos before it are in {partial})") from error
    partial.unlink(missing_ok=True)
    return table


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="refine-motion evaluate tracks",
        description="Score a track model, or a flow model linked over time, on a benchmark of tracked points.",
        parser_mode="omegaconf+",
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="one of configs/benchmarks/, e.g. tapvid_davis.yaml")
    parser.add_argument("--workdir", type=str, default="runs/benchmark_tracks", help="folder for the table")
    parser.add_argument("--model", type=Models, default=Models(), help="what is scored")
    parser.add_subclass_arguments(TrackBenchmark, "data", required=True, help="what it is scored on")
    return parser
