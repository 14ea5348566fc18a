"""One training of MotionFit from start to end, in as many pieces as it takes, and what it is worth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch import Trainer

from refine_motion.errors import ConfigError
from refine_motion.files import replacing
from refine_motion.motionfit.datamodule import ActionDataModule, ClipDataModule
from refine_motion.motionfit.judge import ActionScores, judge_actions
from refine_motion.motionfit.module import ClipModule
from refine_motion.motionfit.trained import Trained, load_trained, save_trained
from refine_motion.training.pieces import all_settings, facts_of, finished_facts, say, train_piece

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class ClipResult:
    """What a piece of a training gave.

    Attributes:
        steps: optimiser steps so far, those of earlier pieces included.
        weights: the finished weights; ``None`` while steps are missing.
        scores: on the test videos; ``None`` where there are none, or steps are missing.
    """

    steps: int
    weights: Path | None
    scores: ActionScores | None = None


def train_clips(
    trainer: Trainer, module: ClipModule, data: ClipDataModule, folder: str | Path, command: str, crops: int = 1
) -> ClipResult:
    """Train from nothing, or from where the same training stopped; once finished, save the weights and test them.

    Args:
        trainer: with ``max_steps``; it has a :class:`refine_motion.training.checkpoint.PieceCheckpoint` for the
            folder's ``checkpoints``.
        module: the network.
        data: the clips.
        folder: where checkpoints, ``weights.safetensors`` and ``scores.json`` go.
        command: how the training was started, for the header of the weights.
        crops: of each clip to test on, 1 or 3.

    Raises:
        RefineMotionError: one line on what is wrong with settings, videos or labels, or with what the folder holds.
    """
    if crops not in (1, 3):
        raise ConfigError(f"test_crops must be 1 or 3, got {crops}")
    if trainer.max_steps < 1:
        raise ConfigError("trainer.max_steps must be set: the stream of clips has no end")
    folder = Path(folder)
    weights = folder / WEIGHTS
    data.setup("fit")
    settings = all_settings(trainer, module, data.settings())
    if finished_facts(weights, settings) is None:
        module.build(data.clip.channels, data.classes, data.clip.flow.limit)
        data.fill(trainer.strategy.root_device, trainer.world_size, trainer.global_rank)
        if not train_piece(trainer, module, data, folder, settings):
            return ClipResult(trainer.global_step, None)
        if trainer.is_global_zero:
            flow = data.reader.settings().get("flow")
            trained = Trained(
                module.model, data.clip, module.augment.crop, data.classes, None if flow is None else str(flow)
            )
            samples = trainer.global_step * data.batch_size * trainer.world_size
            save_trained(trained, weights, facts_of(module, trainer, samples, command))
        trainer.strategy.barrier()
        say(f"weights: {weights}")
    else:
        say(f"finished already: {weights}")
    return ClipResult(trainer.max_steps, weights, _scores(trainer, data, weights, crops))


def _scores(trainer: Trainer, data: ClipDataModule, weights: Path, crops: int) -> ActionScores | None:
    """Of the test videos, on the first process."""
    if not isinstance(data, ActionDataModule) or not data.test_videos or not trainer.is_global_zero:
        return None
    data.fill_test(trainer.strategy.root_device)
    scores = judge_actions(load_trained(weights), data, crops, trainer.strategy.root_device)
    scores.print(f"{data.benchmark.title}: {len(data.test_videos)} videos, {data.test_clips} clips, {crops} crops")
    with replacing(weights.with_name("scores.json")) as partial:
        left_out = len(data.benchmark.test()) - len(data.test_videos)
        facts = {"clips": data.test_clips, "crops": crops, "left_out": left_out}
        partial.write_text(json.dumps({**facts, **scores.to_dict()}, indent=1) + "\n", encoding="utf-8")
    return scores
