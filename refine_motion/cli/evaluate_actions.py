"""``refine-motion evaluate actions``: a network of clips on a collection of videos of actions, from one YAML file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace

from refine_motion.benchmarks.actions.benchmark import ActionBenchmark
from refine_motion.benchmarks.actions.class_folders import ClassFolders
from refine_motion.benchmarks.actions.hmdb51 import Hmdb51
from refine_motion.benchmarks.actions.ucf101 import Ucf101
from refine_motion.cli.start import command_line
from refine_motion.errors import ConfigError
from refine_motion.files import replacing
from refine_motion.motionfit.datamodule import ActionDataModule
from refine_motion.motionfit.judge import judge_actions, judge_retrieval, print_scores
from refine_motion.motionfit.trained import check_flow, load_trained

# Imported so that YAML files may give these class names without their modules.
__all__ = ["ClassFolders", "Hmdb51", "Ucf101", "main"]


def main(args: list[str]) -> int:
    """Run the command.

    Args:
        args: the words after ``evaluate actions``.

    Returns:
        The exit status.

    Raises:
        RefineMotionError: an error that the user can mend; the caller prints it.
    """
    with command_line(["evaluate actions", *args]):
        parser = _parser()
        config = parser.instantiate(parser.parse_args(args))
    _check(config)
    trained, benchmark = load_trained(config.weights), config.data
    difference = _difference(trained.classes, benchmark.classes)
    if difference and not config.retrieval:
        raise ConfigError(
            f"{config.weights}: not trained on the classes of {benchmark.title} ({difference}), so it has no accuracy "
            "there; fine-tune it on them, or pass --retrieval true, which needs no classes"
        )
    # Videos are judged at the first stride alone: no flow is made of the others, and none is too short for them.
    clip = replace(trained.clip, strides=trained.clip.strides[:1])
    data = ActionDataModule(benchmark, clip, test_clips=config.clips, cache=config.cache)
    data.setup()
    check_flow(trained, data.reader)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.retrieval:
        # Accuracy looks at no video to learn from, and their flow would take most of the time.
        data.fill(device)
    data.fill_test(device)
    test, listed = len(data.test_videos), len(benchmark.test())
    facts = {
        "title": benchmark.title,
        "weights": str(config.weights),
        "clips": config.clips,
        "left_out": listed - test,
    }
    of = f"{test} of {listed} videos, {config.clips} clips"
    folder = Path(config.workdir)
    if difference:
        print(f"no accuracy: {config.weights} was not trained on these classes ({difference})")
    else:
        scores = judge_actions(trained, data, config.crops, device)
        scores.print(f"{benchmark.title}: {of}, {config.crops} crops")
        scores.to_csv(folder / "table.csv")
        _write(folder / "table.json", {**facts, "crops": config.crops, **scores.to_dict()})
        print(f"table.csv and table.json are in {folder}")
    if config.retrieval:
        gallery = len(data.train_videos)
        found = judge_retrieval(trained, data, device)
        print_scores(f"{benchmark.title}: {of}, found among {gallery}", found)
        _write(folder / "retrieval.json", {**facts, "scores": found, "videos": test, "gallery": gallery})
        print(f"retrieval.json is in {folder}")
    return 0


def _check(config: Namespace) -> None:
    """Refuse values that cannot work, before anything is looked at."""
    if config.weights is None:
        raise ConfigError("no weights given: pass the weights.safetensors of a finished training as --weights")
    if config.clips < 1:
        raise ConfigError(f"clips must be at least 1 of each video, usually 10, got {config.clips}: set --clips")
    if config.crops not in (1, 3):
        raise ConfigError(
            f"crops must be 1, the middle, or 3, both ends and the middle, got {config.crops}: set --crops"
        )


def _difference(own: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    """How the classes of weights differ from those of a collection, in their order; empty where they do not."""
    if len(own) != len(wanted):
        return f"{len(own)} classes instead of {len(wanted)}"
    for number, (name, right) in enumerate(zip(own, wanted, strict=True), start=1):
        if name != right:
            return f"class {number} is {name!r} instead of {right!r}"
    return ""


def _write(path: Path, values: dict[str, Any]) -> None:
    with replacing(path) as partial:
        partial.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="refine-motion evaluate actions",
        description="Score a network of clips on a collection of videos of actions: accuracy over several clips and "
        "crops of each test video, and retrieval of test videos among those to learn from. What it looks at and its "
        "classes are read from its weights.",
        parser_mode="omegaconf+",
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="one of configs/benchmarks/, e.g. ucf101.yaml")
    parser.add_argument("--workdir", type=str, default="runs/benchmark", help="folder for tables")
    parser.add_argument("--weights", type=str | None, default=None, help="weights.safetensors of a finished training")
    parser.add_argument("--clips", type=int, default=10, help="of each video, spread over it")
    parser.add_argument("--crops", type=int, default=3, help="of each clip, for accuracy: 1 or 3")
    parser.add_argument("--retrieval", type=bool, default=False, help="score retrieval too; needs no classes")
    parser.add_argument("--cache", type=str, default="runs/motionfit/cache", help="folder of video index and flow")
    parser.add_subclass_arguments(ActionBenchmark, "data", required=True, help="what it is scored on")
    return parser
