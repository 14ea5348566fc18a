"""One CorrFlow training from start to end, in as many pieces as it takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch import Trainer

from refine_motion.corrflow.datamodule import CorrFlowDataModule
from refine_motion.corrflow.module import CorrFlowModule
from refine_motion.models.weights import save_weights
from refine_motion.training.pieces import all_settings, facts_of, finished_facts, say, train_piece


@dataclass(frozen=True)
class CorrFlowResult:
    """What a piece of a training gave.

    Attributes:
        steps: optimiser steps so far, those of earlier pieces included.
        weights: the finished weights; ``None`` while steps are missing.
    """

    steps: int
    weights: Path | None


def train_once(
    trainer: Trainer, module: CorrFlowModule, data: CorrFlowDataModule, folder: str | Path, command: str
) -> CorrFlowResult:
    """Train from nothing, or from where the same training stopped; once finished, save the weights.

    Args:
        trainer: with ``max_steps``; it has a :class:`refine_motion.training.checkpoint.PieceCheckpoint` for the
            folder's ``checkpoints``.
        module: the encoder.
        data: the clips.
        folder: where checkpoints and weights go.
        command: how the training was started, for the header of the weights.

    Raises:
        RefineMotionError: one line on what is wrong with settings or videos, or with what the folder holds.
    """
    folder = Path(folder)
    weights = folder / f"{module.model.name}.safetensors"
    data.prepare_data()
    data.setup()
    settings = all_settings(trainer, module, data.settings())
    if finished_facts(weights, settings) is not None:
        say(f"finished already: {weights}")
        return CorrFlowResult(trainer.max_steps, weights)
    if not train_piece(trainer, module, data, folder, settings):
        return CorrFlowResult(trainer.global_step, None)
    if trainer.is_global_zero:
        samples = trainer.global_step * data.batch_size * trainer.world_size
        save_weights(module.model, weights, facts_of(module, trainer, samples, command))
    trainer.strategy.barrier()
    say(f"weights: {weights}; carry labels with `refine-motion propagate VIDEO --weights {weights} --mask FIRST.png`")
    return CorrFlowResult(trainer.global_step, weights)
