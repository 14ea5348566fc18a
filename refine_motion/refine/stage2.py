"""After stage 2: choose the weights, save them, and say how models differ from the teacher on what is held out."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from rich.table import Table

from refine_motion.models.weights import save_weights
from refine_motion.refine.candidates import Snapshots
from refine_motion.refine.decision import UNCHECKED, Decision
from refine_motion.refine.label_data import LabelDataModule
from refine_motion.refine.selection import choose
from refine_motion.refine.student import StudentModule
from refine_motion.training.report import report

NO_PROOF = "A small cycle error alone does not make a model better: compare on true flow."
REFINED = "refined"


@dataclass(frozen=True)
class Outcome:
    """What a training gave.

    Attributes:
        files: weights by name: ``refined`` is the result; ``student`` is the last one of the training, and ``ema`` its
            running mean where one is kept.
        held_out: figures in pixels as the validation logs them; empty where nothing is held out.
        decision: what the result is, and why.
        worth: of every candidate on the choosing half; empty where nothing was chosen.
    """

    files: dict[str, Path]
    held_out: dict[str, float]
    decision: Decision
    worth: Mapping[str, float]


def finish(
    trainer: Trainer,
    module: StudentModule[Any],
    data: LabelDataModule[Any, Any],
    folder: Path,
    snapshots: Snapshots | None,
) -> Outcome:
    """Measure students and teacher on what was held out, print a table, choose among the weights and save them.

    Args:
        trainer: after ``fit``.
        module: holds students and teacher.
        data: the videos and labels of the training.
        folder: where ``<name>.safetensors`` go.
        snapshots: of the training; None takes the last student unchecked.
    """
    students = module.students()
    # Measured again, because the last validation of the training may lie many steps back.
    measured = trainer.validate(module, datamodule=data, verbose=False)
    held_out = {name: value for part in measured for name, value in part.items()}
    console = report()
    if held_out:
        console.print(_table(held_out, list(students)))
    files = {name: folder / f"{name}.safetensors" for name in (REFINED, *students)}
    decision = Decision(UNCHECKED, None, None, "nothing is held out" if snapshots else "selection.enabled is off")
    worth: Mapping[str, float] = {}
    if trainer.is_global_zero:
        refined = copy.deepcopy(module.student).cpu()
        if snapshots and data.holdout:
            at_the_end = {"last" if name == "student" else name: model.state_dict() for name, model in students.items()}
            candidates = {**snapshots.states(), **at_the_end}
            choice = choose(module.panel(data, trainer.strategy.root_device), candidates)
            decision, worth = choice.decision, choice.worth
            refined.load_state_dict(dict(choice.state))
        facts = {
            "refined_from": str(module.hparams["weights"]),
            "steps": trainer.global_step,
            "iters": module.iters,
            "seed": data.seed,
        }
        chosen = {"decision": decision.decision, "candidate": decision.candidate}
        save_weights(refined, files[REFINED], facts | chosen)
        for name, student in students.items():
            save_weights(student, files[name], facts)
    decision = trainer.strategy.broadcast(decision)
    console.print(f"weights: {files[REFINED]}", markup=False, soft_wrap=True)
    return Outcome(files, held_out, decision, worth)


def held_out_rows(
    held_out: dict[str, float], students: list[str]
) -> tuple[list[str], list[tuple[str, list[float | None]]]]:
    """The held-out figures as a table: a row per model, a column for the source domain where it was replayed.

    Args:
        held_out: figures in pixels as the validation logs them.
        students: names of the models beside the teacher.

    Returns:
        Headings, and name and values of each row; the teacher has no distance from its own labels.
    """
    columns = {"cycle_error": "cycle error", "label_epe": "distance from the kept labels"}
    if "val/source_epe" in held_out:
        columns["source_epe"] = "source domain, true flow"
    prefixes = {name: "val/" if name == "student" else f"val/{name}_" for name in ("teacher", *students)}
    rows = [(name, [held_out.get(f"{prefix}{key}") for key in columns]) for name, prefix in prefixes.items()]
    return list(columns.values()), rows


def _table(held_out: dict[str, float], students: list[str]) -> Table:
    columns, rows = held_out_rows(held_out, students)
    table = Table(title="Held out from training, without ground truth", caption=NO_PROOF)
    table.add_column("mean")
    for column in columns:
        table.add_column(column, justify="right")
    for name, values in rows:
        table.add_row(name, *("" if value is None else f"{value:.3f} px" for value in values))
    return table
