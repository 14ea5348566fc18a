"""The rows that measurements give, and the two files that hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict

from refine_motion.files import replacing


class Row(TypedDict):
    """One comparison; see :func:`row`."""

    what: str
    this: float
    against: float | None
    unit: str
    ratio: float | None
    wanted: float | None
    conditions: str


def row(
    what: str,
    this: float,
    unit: str,
    against: float | None = None,
    conditions: str = "",
    more_is_better: bool = False,
    wanted: float | None = None,
) -> Row:
    """One line of the table.

    Args:
        what: is measured.
        this: value of this code.
        unit: of both values.
        against: value of what it is compared with.
        conditions: under which, and what the comparison is with.
        more_is_better: which way the ratio goes: above 1 it is always in favour of this code.
        wanted: the smallest ratio that is accepted.
    """
    ratio = None
    if against is not None and this and against:
        ratio = this / against if more_is_better else against / this
    return Row(what=what, this=this, against=against, unit=unit, ratio=ratio, wanted=wanted, conditions=conditions)


def load(path: Path) -> dict[str, Any]:
    """What an earlier run stored; empty where there is none."""
    return json.loads(path.read_text()) if path.is_file() else {}


def store(folder: Path, results: dict[str, Any]) -> None:
    """Write ``results.json`` and ``results.md``, each in one step."""
    for name, text in (("results.json", json.dumps(results, indent=1)), ("results.md", to_markdown(results))):
        with replacing(folder / name) as partial:
            partial.write_text(text)


def to_markdown(results: dict[str, Any]) -> str:
    """The table for people: a section for each measurement, with what it did, when and with which code."""
    facts = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    lines = [
        "# Measurements",
        "",
        f"Machine: {facts}.",
        f"Command: `{results['command']}`.",
        "Both values of a row come from one run; a ratio above 1 is in favour of this code.",
    ]
    for name, found in results["measurements"].items():
        when = f"{found['date']}, {found['seconds']:.0f} s, code {found['code']}"
        lines += ["", f"## {name}", "", found["about"], "", f"({when})", ""]
        if "rows" in found:
            lines += ["| measurement | this | against | ratio | conditions |", "|---|---|---|---|---|"]
            lines += [_line(r) for r in found["rows"]]
        else:
            lines.append(f"**Failed:** {found['failed']}" if "failed" in found else f"Skipped: {found['skipped']}.")
    return "\n".join(lines) + "\n"


def _line(r: Row) -> str:
    against = "" if r["against"] is None else f"{number(r['against'])} {r['unit']}"
    ratio = "" if r["ratio"] is None else f"{r['ratio']:.2f}"
    if r["ratio"] is not None and r["wanted"] is not None:
        ratio += f" ({'wanted' if r['ratio'] >= r['wanted'] else 'MISSED'}: at least {r['wanted']:g})"
    return f"| {r['what']} | {number(r['this'])} {r['unit']} | {against} | {ratio} | {r['conditions']} |"


def number(value: float) -> str:
    """Three digits that count, never in powers of ten above 1."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
