"""The trials of a sweep as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from rich.table import Table
from rich.text import Text

from refine_motion.refine.stage2 import NO_PROOF
from refine_motion.sweeps.file import Sweep
from refine_motion.sweeps.parameters import Range
from refine_motion.sweeps.trial import Trial


def ranked(sweep: Sweep, trials: Sequence[Trial]) -> list[Trial]:
    """The best first; those without a value last."""
    sign = -1 if sweep.maximise else 1
    return sorted(trials, key=lambda trial: (trial.value is None, sign * (trial.value or 0.0), trial.number))


def sweep_table(sweep: Sweep, trials: Sequence[Trial]) -> Table:
    """The trials, the best first, with their values, metric and yield; under it the teacher's, and why some failed."""
    table = Table(title=f"Sweep {sweep.path.stem}", caption_justify="left")
    for name in ("trial", *_headings(sweep), "labels kept", sweep.metric, "seconds"):
        table.add_column(name, justify="right", overflow="fold")
    better = "more" if sweep.maximise else "less"
    told = [f"{sweep.metric}: {better} is better; measured on held-out windows without ground truth. {NO_PROOF}"]
    order = ranked(sweep, trials)
    if order[0].teacher is not None:
        told.append(f"the teacher, not refined: {order[0].teacher:.4f}")
    for trial in order:
        values = (f"{v:.3g}" if isinstance(v, float) else str(v) for v in trial.parameters.values())
        table.add_row(
            str(trial.number),
            *map(Text, values),
            "" if trial.kept_share is None else f"{trial.kept_share:.1%}",
            "failed" if trial.value is None else f"{trial.value:.4f}",
            f"{trial.seconds:.0f}",
        )
        if trial.error is not None:
            told.append(f"trial {trial.number} failed: {trial.error}")
    table.caption = Text("\n".join(told))
    return table


def _headings(sweep: Sweep) -> list[str]:
    """Names of the parameters without what makes them too long for a table, where they stay apart."""
    short = [".".join(name.split(".")[-2:]) for name in sweep.parameters]
    return short if len(set(short)) == len(short) else list(sweep.parameters)


def draw_sweep(path: Path, sweep: Sweep, trials: Sequence[Trial]) -> None:
    """Save a picture of the metric against each parameter that varies, the best trial marked.

    Args:
        path: PNG to write.
        sweep: the file.
        trials: at least one of them with a value.
    """
    done = [trial for trial in ranked(sweep, trials) if trial.value is not None]
    varied = [n for n, p in sweep.parameters.items() if isinstance(p, Range) or len(p.values) > 1]
    names = varied or list(sweep.parameters)
    figure = Figure(figsize=(4 * len(names), 3.2), dpi=130, facecolor="white", layout="constrained")
    # Without pyplot there is no global state to clean up and no display to be absent.
    FigureCanvasAgg(figure)
    values = [trial.value or 0.0 for trial in done]
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False, sharey=True)[0], names, strict=True):
        places = [trial.parameters[name] for trial in done]
        if not all(isinstance(place, (int, float)) and not isinstance(place, bool) for place in places):
            # Texts, lists and switches stand side by side.
            places = [str(place) for place in places]
        axes.scatter(places, values, color="0.45", zorder=2, label="trials")
        axes.scatter(places[:1], values[:1], color="tab:red", zorder=3, label=f"best: trial {done[0].number}")
        if done[0].teacher is not None:
            axes.axhline(done[0].teacher, color="tab:blue", linestyle="--", label="teacher, not refined")
        parameter = sweep.parameters[name]
        if isinstance(parameter, Range) and parameter.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(name)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel(sweep.metric)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
