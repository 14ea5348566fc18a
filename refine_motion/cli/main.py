"""``refine-motion``: every command, dispatched to LightningCLI or to a file of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

import torch

from refine_motion.errors import RefineMotionError

# Commands of LightningCLI, which share one YAML file.
LIGHTNING_COMMANDS = {
    "fit": "label what is missing, then fine-tune on the labels and save the refined weights",
    "validate": "measure a checkpoint (--ckpt_path) on the held-out windows",
    "test": "score weights on a benchmark in its official layout (configs/benchmarks/), alone or against others",
    "label": "stage 1 alone: make and cache the pseudo-labels, and print their yield",
    "pretrain": "train a model from nothing on procedural scenes with exact flow (configs/pretrain/), in pieces",
}
# Those of them with a class of their own.
_CLI_MODULES = {"test": "benchmark_cli", "pretrain": "pretrain_cli"}
# Commands with a module of their own, ``refine_motion.cli.<name>``, each with ``main(args) -> exit status``.
OWN_COMMANDS = {
    "evaluate": "measure models or predictions by ground truth: evaluate flow, tracks, masks, keypoints or actions",
    "track": "follow points through a video: a table, and the video with the tracks drawn over it",
    "propagate": "carry the mask or the points of the first frame through a video: a mask for each frame, and a video",
    "centroids": "fit the colours that CorrFlow learns by to videos (--model.centroids)",
    "export": "write weights as safetensors with our own, official or torchvision's parameter names",
    "sweep": "try settings of a W&B sweep file here, without an account: table and picture of the trials",
    "demo": "the main job from start to end on a made domain, judged by exact truth: table and page",
    "domains": "the demo on all made domains, as one table",
}


def usage() -> str:
    """The main help text: every command with one line."""
    commands = LIGHTNING_COMMANDS | OWN_COMMANDS
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {what}" for name, what in commands.items()]
    return "\n".join(
        [
            "usage: refine-motion COMMAND [options]",
            "",
            "Refine a pre-trained motion model on your own unlabelled videos.",
            "",
            "commands:",
            *lines,
            "",
            "  refine-motion COMMAND --help               options of a command",
            "  refine-motion fit --config FILE --print_config  all settings and their values",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        0 when it worked, 2 when the user has something to mend (one line on standard error says what).
    """
    # Denormal numbers make convolutions on CPUs more than a hundred times slower.
    torch.set_flush_denormal(True)
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        print(usage())
        return 0
    command, rest = args[0], args[1:]
    if command not in LIGHTNING_COMMANDS | OWN_COMMANDS:
        known = ", ".join(LIGHTNING_COMMANDS | OWN_COMMANDS)
        print(f"refine-motion: no command is called {command!r}; commands: {known}", file=sys.stderr)
        return 2
    try:
        return _command(command)(rest)
    except (RefineMotionError, ValueError) as error:
        # A setting that is refused while the configuration is turned into objects arrives inside a ValueError.
        mendable = _mendable(error)
        if mendable is None:
            raise
        print(f"refine-motion: {_one_line(mendable)}", file=sys.stderr)
    except OSError as error:
        print(f"refine-motion: {error.filename or 'file system'}: {error.strerror or error}", file=sys.stderr)
    return 2


def _mendable(error: BaseException | None) -> RefineMotionError | None:
    """The error that the user can mend, where it is the given one or its cause."""
    while error is not None and not isinstance(error, RefineMotionError):
        error = error.__cause__
    return error


def _one_line(error: RefineMotionError) -> str:
    """The message; one that crossed from a data-loading process carries a traceback and the type's name before it."""
    return str(error).strip().splitlines()[-1].removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: ")


def _command(name: str) -> Callable[[list[str]], int]:
    if name in OWN_COMMANDS:
        return import_module(f"refine_motion.cli.{name}").main
    module = import_module(f"refine_motion.cli.{_CLI_MODULES.get(name, 'refine_cli')}")
    return lambda rest: module.run([name, *rest])
