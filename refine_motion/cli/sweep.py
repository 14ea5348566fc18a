"""``refine-motion sweep``: the trials of a W&B sweep file on this machine, without an account."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from refine_motion.errors import ConfigError
from refine_motion.sweeps.file import read_sweep
from refine_motion.sweeps.report import draw_sweep, ranked, sweep_table
from refine_motion.sweeps.run import LOG, folder_of, run_sweep
from refine_motion.sweeps.suggest import count_trials


def main(args: list[str]) -> int:
    """Run the command.

    Args:
        args: the words after ``sweep``; those behind ``--`` go to every trial.

    Returns:
        The exit status.

    Raises:
        RefineMotionError: an error that the user can mend, or no trial came to an end; the caller prints it.
    """
    own, extra = (args[: args.index("--")], args[args.index("--") + 1 :]) if "--" in args else (args, [])
    options = _parser().parse_args(own)
    sweep = read_sweep(options.file)
    out = options.out or Path("runs/sweeps") / sweep.path.stem
    trials = run_sweep(sweep, out, count_trials(sweep, options.trials), options.seed, extra)
    console = Console()
    console.print(sweep_table(sweep, trials))
    best = ranked(sweep, trials)[0]
    if best.value is None:
        log = folder_of(out, best.number) / LOG
        raise ConfigError(f"no trial came to an end; trial {best.number}: {best.error} (see {log})")
    draw_sweep(out / "sweep.png", sweep, trials)
    flags = " ".join(f"--{name}={value}" for name, value in best.parameters.items())
    told = f"picture: {out / 'sweep.png'}\nbest: {folder_of(out, best.number)} with {flags}"
    console.print(told, markup=False, highlight=False, soft_wrap=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="refine-motion sweep",
        usage="refine-motion sweep FILE [--trials N] [--out FOLDER] [--seed N] [-- options of every trial]",
        description="Run a W&B sweep file here, without an account. Run again, it goes on where it was stopped.",
    )
    parser.add_argument("file", metavar="FILE", help="a sweep file such as configs/sweeps/cycle_threshold.yaml")
    parser.add_argument("--trials", type=_positive, metavar="N", help="how many (default: the whole grid, or run_cap)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for everything (default: runs/sweeps/NAME)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the choice of values (%(default)s)")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} trials; at least 1 is needed")
    return number
