"""After stage 2: save the candidates as plain weights, and say how they differ from the teacher on held-out windows."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer
from rich.table import Table

from refine_motion.models.weights import save_weights
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.module import RefineModule
from refine_motion.refine.report import report

NO_PROOF = "A small cycle error alone does not make a model better: compare on true flow."


def finish(
    trainer: Trainer, module: RefineModule, data: VideoLabelDataModule, folder: Path
) -> tuple[dict[str, Path], dict[str, float]]:
    """Save every candidate's weights, then measure them and the teacher on what was held out, and print a table.

    Args:
        trainer: after ``fit``.
        module: holds candidates and teacher.
        data: the videos and labels of the training.
        folder: where ``<candidate>.safetensors`` go.

    Returns:
        The files by candidate (``refined``, ``ema``), and the held-out figures in pixels as the validation logs them;
        empty where nothing is held out.
    """
    candidates = module.candidates()
    paths = {name: folder / f"{name}.safetensors" for name in candidates}
    if trainer.is_global_zero:
        facts = {
            "refined_from": str(module.hparams["weights"]),
            "steps": trainer.global_step,
            "iters": module.iters,
            "seed": data.seed,
        }
        for name, path in paths.items():
            save_weights(candidates[name], path, facts)
    # Measured again, because the last validation of the training may lie many steps back.
    measured = trainer.validate(module, datamodule=data, verbose=False)
    held_out = {name: value for part in measured for name, value in part.items()}
    console = report()
    if held_out:
        console.print(_table(held_out, list(candidates)))
    for path in paths.values():
        console.print(f"refined weights: {path}", markup=False, soft_wrap=True)
    return paths, held_out


def held_out_rows(
    held_out: dict[str, float], candidates: list[str]
) -> tuple[list[str], list[tuple[str, list[float | None]]]]:
    """The held-out figures as a table: a row per model, a column for the source domain where it was replayed.

    Args:
        held_out: figures in pixels as the validation logs them.
        candidates: names of the models beside the teacher.

    Returns:
        Headings, and name and values of each row; the teacher has no distance from its own labels.
    """
    columns = {"cycle_error": "cycle error", "label_epe": "distance from the kept labels"}
    if "val/source_epe" in held_out:
        columns["source_epe"] = "source domain, true flow"
    prefixes = {name: "val/" if name == "refined" else f"val/{name}_" for name in ("teacher", *candidates)}
    rows = [(name, [held_out.get(f"{prefix}{key}") for key in columns]) for name, prefix in prefixes.items()]
    return list(columns.values()), rows


def _table(held_out: dict[str, float], candidates: list[str]) -> Table:
    columns, rows = held_out_rows(held_out, candidates)
    table = Table(title="Held-out windows, without ground truth", caption=NO_PROOF)
    table.add_column("mean")
    for column in columns:
        table.add_column(column, justify="right")
    for name, values in rows:
        table.add_row(name, *("" if value is None else f"{value:.3f} px" for value in values))
    return table
