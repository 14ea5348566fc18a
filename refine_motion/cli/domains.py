"""``refine-motion domains``: the demonstration on several domains and seeds, as one table."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from refine_motion.benchmarks.synthetic.domains import TARGETS
from refine_motion.cli.demo import start_anew
from refine_motion.demo.domain_table import DomainScore, domain_table, note_score, noted_score, score
from refine_motion.demo.job import run_demo
from refine_motion.demo.page import write_page
from refine_motion.demo.plan import DemoPlan


def main(args: list[str]) -> int:
    """Run the command. What an earlier run finished is not done again.

    Args:
        args: ``--domain NAME ...``, ``--seeds N ...``, ``--minutes M``, ``--weights FILE``, ``--out FOLDER``.
    """
    parser = argparse.ArgumentParser(prog="refine-motion domains", description=__doc__)
    parser.add_argument("--domain", nargs="+", choices=TARGETS, default=list(TARGETS), help="which (all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of scenes and training (0)")
    parser.add_argument("--minutes", type=float, default=5.0, help="of each, on two CPU cores (%(default)g)")
    parser.add_argument("--weights", default="embedded", help="what to refine: a path or a name (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/domains"), help="folder for everything (%(default)s)")
    options = parser.parse_args(args)
    console = Console()
    scores: list[DomainScore] = []
    plans = [
        DemoPlan(domain, seed, options.minutes, options.weights) for domain in options.domain for seed in options.seeds
    ]
    for number, plan in enumerate(plans, start=1):
        folder = options.out / f"{plan.domain}_{plan.seed}"
        console.rule(f"{plan.domain}, seed {plan.seed} ({number} of {len(plans)})")
        found = noted_score(folder, plan)
        if found is None:
            start_anew(folder)
            result = run_demo(plan, folder, lambda title, sentence: console.print(f"{title}: {sentence}"))
            write_page(result, folder / "report.html")
            found = score(result)
            note_score(folder, plan, found)
        scores.append(found)
    console.print(domain_table(scores))
    return 0
