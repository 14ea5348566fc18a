"""After stage 2: save the student as plain weights, and say how it differs from the teacher on held-out windows."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from lightning.pytorch import Trainer
from rich.console import Console
from rich.table import Table

from refine_motion.files import replacing
from refine_motion.labels.summary import LabelSummary
from refine_motion.models.weights import save_weights
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.module import RefineModule

REFINED = "refined.safetensors"
RESULT = "result.json"
NO_PROOF = "A small cycle error alone does not make a model better: compare both on true flow."


def finish(
    trainer: Trainer,
    module: RefineModule,
    data: VideoLabelDataModule,
    folder: str | Path,
    labels: LabelSummary | None = None,
) -> tuple[Path, dict[str, float]]:
    """Save the refined weights, then measure student and teacher on the held-out windows and print the comparison.

    Args:
        trainer: after ``fit``.
        module: holds student and teacher.
        data: the videos and labels of the training.
        folder: where ``refined.safetensors`` goes, and ``result.json``: path of the weights, steps, the held-out means
            in pixels, and the yield of the labels.
        labels: that yield; not noted when not given.

    Returns:
        The file, and ``val/cycle_error``, ``val/teacher_cycle_error`` and ``val/label_epe`` in pixels; empty where
        nothing is held out.
    """
    path = Path(folder) / REFINED
    if trainer.is_global_zero:
        facts = {
            "refined_from": str(module.hparams["weights"]),
            "steps": trainer.global_step,
            "iters": module.iters,
            "seed": data.seed,
        }
        save_weights(module.student, path, facts)
    # Measured again, because the last validation of the training may lie many steps back.
    measured = trainer.validate(module, datamodule=data, verbose=False)
    held_out = dict(measured[0]) if measured else {}
    if trainer.is_global_zero:
        result = {
            "weights": str(path),
            "steps": trainer.global_step,
            "held_out": held_out,
            "labels": None if labels is None else asdict(labels),
        }
        with replacing(path.with_name(RESULT)) as partial:
            partial.write_text(json.dumps(result, indent=1))
    report = Console(quiet=not trainer.is_global_zero)
    if held_out:
        table = Table(title="Held-out windows, without ground truth")
        for column in ("", "teacher", "student"):
            table.add_column(column, justify="right" if column else "left")
        cycle = [f"{held_out[f'val/{who}cycle_error']:.3f} px" for who in ("teacher_", "")]
        table.add_row("cycle error", *cycle)
        table.add_row("distance from the kept labels", "", f"{held_out['val/label_epe']:.3f} px")
        table.caption = NO_PROOF
        report.print(table)
    report.print(f"refined weights: {path}", markup=False, soft_wrap=True)
    return path, held_out
