"""After stage 2: save the candidates as plain weights, and say how they differ from the teacher on held-out windows."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer
from rich.console import Console
from rich.table import Table

from refine_motion.models.weights import save_weights
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.module import RefineModule

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
    report = Console(quiet=not trainer.is_global_zero)
    if held_out:
        report.print(_table(held_out, list(candidates)))
    for path in paths.values():
        report.print(f"refined weights: {path}", markup=False, soft_wrap=True)
    return paths, held_out


def _table(held_out: dict[str, float], candidates: list[str]) -> Table:
    """A row per model; the column of the source domain where it was replayed."""
    source = "val/source_epe" in held_out
    table = Table(title="Held-out windows, without ground truth")
    table.add_column("")
    for column in ("cycle error", "distance from the kept labels", *(["source domain, true flow"] if source else [])):
        table.add_column(column, justify="right")
    for name in ("teacher", *candidates):
        prefix = "val/" if name == "refined" else f"val/{name}_"
        columns = ("cycle_error", "label_epe", *(["source_epe"] if source else []))
        values = [held_out.get(f"{prefix}{column}") for column in columns]
        table.add_row(name, *("" if value is None else f"{value:.3f} px" for value in values))
    table.caption = NO_PROOF
    return table
