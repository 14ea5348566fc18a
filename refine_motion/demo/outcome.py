"""The table that a demonstration ends with."""

from __future__ import annotations

from rich.table import Table

from refine_motion.demo.job import DemoResult
from refine_motion.demo.page import result_rows


def outcome(result: DemoResult) -> Table:
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
    table.caption = (
        f"labels: {quality.kept_share:.1%} of the pixels kept, with an error of {quality.error:.3f} px "
        f"where the motion is {quality.speed:.2f} px\n{times}; in all {sum(result.seconds.values()):.0f} s"
    )
    return table
