"""One pre-training from start to end, in as many pieces as it takes: weights in half precision and their model card."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger

from refine_motion.errors import ConfigError
from refine_motion.files import replacing
from refine_motion.models.load import load_model
from refine_motion.models.weights import halved, write_state
from refine_motion.pretrain import card as flow_card
from refine_motion.pretrain import track_card
from refine_motion.pretrain.card import CardSettings
from refine_motion.pretrain.datamodule import PretrainDataModule
from refine_motion.pretrain.module import PretrainModule
from refine_motion.pretrain.stream import Stage, samples_before
from refine_motion.pretrain.tasks import TrackTask
from refine_motion.training.checkpoint import PieceCheckpoint
from refine_motion.training.pieces import CHECKPOINTS, all_settings, facts_of, finished_facts, say, train_piece


@dataclass(frozen=True)
class PretrainResult:
    """What a piece of a pre-training gave.

    Attributes:
        steps: optimiser steps so far, those of earlier pieces included.
        weights: the finished weights, float16; ``None`` while steps are missing.
        metrics: as in ``metrics.json``; empty while steps are missing.
    """

    steps: int
    weights: Path | None
    metrics: dict[str, Any]


def pretrain_once(
    trainer: Trainer,
    module: PretrainModule,
    data: PretrainDataModule,
    folder: str | Path,
    card: CardSettings,
    command: str,
) -> PretrainResult:
    """Train from nothing, or from where the same training stopped; once finished, save the weights and measure them.

    Of finished weights only the card is made again.

    Args:
        trainer: with ``max_steps``; it has a :class:`PieceCheckpoint` for the folder's ``checkpoints``.
        module: the model.
        data: the stream.
        folder: where checkpoints, weights, ``metrics.json`` and ``MODEL_CARD.md`` go.
        card: what to measure.
        command: how the training was started, for the card.

    Raises:
        RefineMotionError: one line on what is wrong with the settings, or with what the folder holds.
    """
    folder = Path(folder)
    weights = folder / f"{module.model.name}.safetensors"
    _check_fit(module, data, card)
    settings = all_settings(trainer, module, data.settings)
    facts = finished_facts(weights, settings)
    if facts is None:
        if not train_piece(trainer, module, data, folder, settings):
            return PretrainResult(trainer.global_step, None, {})
        samples = samples_before(data.stages, trainer.global_step) * trainer.world_size
        facts = facts_of(module, trainer, samples, command)
        if trainer.is_global_zero:
            _save(module, weights, facts)
    else:
        say(f"finished already: {weights}; measuring it anew")
    trainer.strategy.barrier()
    # By every process alike, since metrics wait for those of the others.
    model, kind = load_model(None, weights).to(trainer.strategy.root_device), _card_of(module)
    metrics = kind.measure(model, card)
    if trainer.is_global_zero:
        _write(weights, facts, metrics, kind.model_card(weights, facts, metrics, card))
    return PretrainResult(trainer.max_steps, weights, metrics)


def pretrain(
    out: str | Path,
    stages: list[Stage],
    steps: int,
    network: str = "raft_small",
    iters: int = 12,
    learning_rate: float = 4e-4,
    augment: bool = True,
    seed: int = 0,
    accelerator: str = "auto",
    precision: Any = "32-true",
    max_time: str | None = None,
    every: int = 200,
    validate: int = 500,
    card: CardSettings = CardSettings(),  # noqa: B008  (frozen)
    **data: Any,
) -> PretrainResult:
    """Pre-train from Python, where the parser of configuration files or the video library may be missing.

    Called again with the same arguments it goes on where it stopped.

    Args:
        out: folder for everything this run writes.
        stages: what the samples are like, from which step on.
        steps: optimiser steps.
        network: registered model name.
        iters: iterations in validation.
        learning_rate: peak of the schedule.
        augment: whether to augment, which needs Kornia.
        seed: of weights, scenes and augmentation.
        accelerator: as of ``lightning.pytorch.Trainer``.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        max_time: of this piece, ``DD:HH:MM:SS``.
        every: steps between checkpoints.
        validate: steps between validations.
        card: what to measure at the end.
        **data: more arguments of :class:`PretrainDataModule`, such as ``num_workers`` or ``render_device``.

    Raises:
        RefineMotionError: see :func:`pretrain_once`.
    """
    seed_everything(seed, verbose=False)
    out = Path(out)
    module = PretrainModule(network, iters, learning_rate, augment)
    stream = PretrainDataModule(stages, seed=seed, **data)
    # Not our own trainer, which knows how to label videos and so needs what reads them.
    trainer = Trainer(
        accelerator=accelerator,
        devices=1,
        precision=precision,
        max_steps=steps,
        max_time=max_time,
        gradient_clip_val=1.0,
        check_val_every_n_epoch=None,
        val_check_interval=validate,
        num_sanity_val_steps=0,
        log_every_n_steps=50,
        logger=CSVLogger(str(out), name="logs"),
        callbacks=[PieceCheckpoint(str(out / CHECKPOINTS), every)],
        enable_model_summary=False,
    )
    return pretrain_once(trainer, module, stream, out, card, shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))


def _check_fit(module: PretrainModule, data: PretrainDataModule, card: CardSettings) -> None:
    """Refuse data or a card that are for another kind of model.

    Raises:
        ConfigError: with what to do.
    """
    network = module.settings["network"]
    if not isinstance(module.task, TrackTask):
        if data.points:
            raise ConfigError(f"data.points is {data.points}: {network!r} learns flow from pairs; set it to 0")
        if not all(stage.iters for stage in data.stages):
            raise ConfigError(f"data.stages: {network!r} needs at least 1 iteration")
        return
    if not data.points:
        raise ConfigError(f"data.points is 0: {network!r} learns tracks; set it to the points of a clip, e.g. 64")
    if data.frames != module.task.model.config.frames:
        raise ConfigError(
            f"data.frames is {data.frames}: {network!r} looks at {module.task.model.config.frames} frames at a time"
        )
    if card.pairs is not None:
        raise ConfigError(f"card.pairs is for flow models; {network!r} is measured on clips")


def _card_of(module: PretrainModule) -> Any:
    """What measures the model and describes it."""
    return track_card if isinstance(module.task, TrackTask) else flow_card


def _save(module: PretrainModule, weights: Path, facts: dict[str, Any]) -> None:
    state = halved(module.model.state_dict(), weights)
    write_state(state, weights, {"model": module.model.name, "stride": module.model.stride, "facts": facts})


def _write(weights: Path, facts: dict[str, Any], metrics: dict[str, Any], card: str) -> None:
    """Put what was measured beside the weights."""
    folder = weights.parent
    with replacing(folder / "metrics.json") as partial:
        partial.write_text(json.dumps({"facts": facts, **metrics}, indent=1) + "\n", encoding="utf-8")
    with replacing(folder / "MODEL_CARD.md") as partial:
        partial.write_text(card, encoding="utf-8")
    say(f"weights: {weights}\nmodel card: {folder / 'MODEL_CARD.md'}")
