"""The table that a demonstration ends with."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from refine_motion.demo.job import DemoResult
from refine_motion.demo.page import result_rows


def outcome(result: DemoResult) -> Group:
    """Error before and after on each held-out clip, what the labels are like, and the time of each stage."""
    plan, quality = result.plan, result.labels
    table = Table(title=f"{plan.domain}, seed {plan.seed}: end-point error on held-out clips, {plan.iters} iterations")
    table.add_column("clip")
    for heading in ("before", "after", "change"):
        table.add_column(heading, justify="right")
    rows = result_rows(result)
    for number, (name, before, after, change) in enumerate(rows, start=1):
        style = "bold" if number == len(rows) else ""
        table.add_row(name, f"{before:.3f} px", f"{after:.3f} px", f"{change:+.1%}", style=style)
        if number == len(rows) - 1:
            table.add_section()
    times = ", ".join(f"{title.lower()} {seconds:.0f} s" for title, seconds in result.seconds.items())
    labels = (
        f"labels: {quality.kept_share:.1%} of the pixels kept, with an error of {quality.error:.3f} px where the "
        f"motion is {quality.speed:.2f} px"
    )
    # Below the table and not its caption, which would be broken at the table's width.
    estimate = Text(f"without truth: {result.refined.outcome.line()}")
    return Group(table, Text(labels), estimate, Text(f"time: {times}; in all {sum(result.seconds.values()):.0f} s"))
