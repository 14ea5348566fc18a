"""``refine-motion demo``: the whole main job on a made domain, judged by exact truth, with a table and a page."""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

from rich.console import Console

from refine_motion.benchmarks.synthetic.domains import TARGETS
from refine_motion.demo import tracks
from refine_motion.demo.job import run_demo
from refine_motion.demo.outcome import outcome
from refine_motion.demo.page import write_page
from refine_motion.demo.plan import DEFAULT_MINUTES, DemoPlan
from refine_motion.demo.tracks import TrackPlan
from refine_motion.errors import ConfigError

DEFAULT_DOMAIN = "particles"
_MARK = ".made_by_refine_motion_demo"


def main(args: list[str]) -> int:
    """Run the demo.

    Args:
        args: ``--task NAME``, ``--domain NAME``, ``--minutes M``, ``--seed N``, ``--weights FILE``, ``--out FOLDER``.
    """
    parser = argparse.ArgumentParser(prog="refine-motion demo", description=__doc__)
    parser.add_argument("--task", choices=("flow", "tracks"), default="flow", help="what is refined (%(default)s)")
    parser.add_argument("--domain", choices=TARGETS, default=DEFAULT_DOMAIN, help="what to refine on (%(default)s)")
    parser.add_argument(
        "--minutes",
        type=float,
        help=f"about how long, on two CPU cores ({DEFAULT_MINUTES:g}; for tracks {tracks.DEFAULT_MINUTES:g})",
    )
    parser.add_argument("--seed", type=int, default=0, help="of scenes and training (%(default)s)")
    parser.add_argument("--weights", help="what to refine: a path or a name (embedded; for tracks embedded_pips)")
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder for everything (%(default)s)")
    options = parser.parse_args(args)
    out: Path = options.out
    console = Console()
    given = {name: getattr(options, name) for name in ("minutes", "weights") if getattr(options, name) is not None}
    if options.task == "tracks":
        _track_demo(TrackPlan(options.domain, options.seed, **given), out, console)
        return 0
    plan = DemoPlan(options.domain, options.seed, **given)
    start_anew(out)
    console.print(f"About {plan.minutes:g} minutes on two CPU cores, in {len(_STAGES)} stages.")

    def say(title: str, sentence: str) -> None:
        console.rule(f"{_STAGES.index(title) + 1}  {title}")
        console.print(sentence, markup=False)

    result = run_demo(plan, out, say)
    started = time.monotonic()
    say("Show", "A page with pictures, curves and the command for your own videos.")
    page = write_page(result, out / "report.html")
    result.seconds["Show"] = time.monotonic() - started
    console.print(outcome(result))
    console.print(f"page: {page}\nrefined weights: {result.refined.weights}", markup=False, soft_wrap=True)
    return 0


def _track_demo(plan: TrackPlan, out: Path, console: Console) -> None:
    start_anew(out)
    console.print(f"About {plan.minutes:g} minutes on two CPU cores, in {len(_TRACK_STAGES)} stages.")

    def say(title: str, sentence: str) -> None:
        console.rule(f"{_TRACK_STAGES.index(title) + 1}  {title}")
        console.print(sentence, markup=False)

    result = tracks.run_track_demo(plan, out, say)
    console.print(result.table())
    console.print(
        f"before and after, side by side: {result.overlay}\nrefined weights: {result.refined.weights}",
        markup=False,
        soft_wrap=True,
    )


_TRACK_STAGES = ("Render", "Refine", "Judge")
_STAGES = ("Render", "Label", "Refine", "Judge", "Show")


def start_anew(out: Path) -> None:
    """Empty the folder of an earlier demo.

    Raises:
        ConfigError: the folder holds what no demo wrote.
    """
    if out.exists():
        if not (out / _MARK).is_file() and any(out.iterdir()):
            raise ConfigError(f"{out}: holds files that the demo did not write; choose another folder with --out")
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / _MARK).touch()
