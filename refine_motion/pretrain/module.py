"""Training on true motion, where it exists: a model of flow or of tracks from its initial weights.

Kornia is imported by the first augmented batch, so that a GPU machine without it, decord or the parser of configuration
files can train.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.models.registry import build_model
from refine_motion.pretrain.erase import erase
from refine_motion.pretrain.tasks import FlowTask, task_of
from refine_motion.refine.schedule import one_cycle
from refine_motion.training.module import PieceModule

WEIGHT_DECAY = 1e-5
WARMUP = 0.05


class PretrainModule(PieceModule):
    """A model that starts from its initial weights and learns from true flow or tracks by its published recipe.

    Args:
        network: registered model name.
        iters: iterations in validation, and in training where the batch does not say (``iters``).
        learning_rate: peak of the one-cycle schedule.
        augment: RAFT's changes of colour, mirroring and erased rectangles, drawn per sample from the batch's ``seed``;
            for flow alone.

    Raises:
        ConfigError: a value is out of range, or no model has the name.
    """

    def __init__(self, network: str = "raft_small", iters: int = 12, learning_rate: float = 4e-4, augment: bool = True):
        super().__init__()
        if iters < 1 or learning_rate <= 0:
            raise ConfigError(
                f"model: iters must be at least 1 and learning_rate positive, got {iters} and {learning_rate}"
            )
        self.settings = {"network": network, "iters": iters, "learning_rate": learning_rate, "augment": augment}
        self.iters, self.learning_rate, self.augment = iters, learning_rate, augment
        self.model = build_model(network)
        self.task = task_of(self.model)
        if augment and not isinstance(self.task, FlowTask):
            raise ConfigError(f"model.augment must be false for {network!r}: pairs alone are augmented")

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Augment on the device, in float32 and in training only."""
        if not (self.augment and self.trainer.training):
            return batch
        from refine_motion.refine.augment import Augmentation, PairAugmenter

        seeds = batch["seed"].tolist()
        augmenter = PairAugmenter(Augmentation())
        a, b, flow, valid = augmenter(batch["image_a"], batch["image_b"], batch["flow"], batch["valid"], seeds)
        return batch | {"image_a": a, "image_b": erase(b, seeds), "flow": flow, "valid": valid}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of a batch.

        Args:
            batch: what the data module gives; ``iters`` where the model's own number is not meant.
            batch_idx: not used.
        """
        loss = self.task.loss(batch, batch.get("iters", self.iters))
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch["number"]), sync_dist=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Begin to count anew."""
        self.task.reset()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Held-out samples, not augmented."""
        self.task.update(batch, self.iters)

    def on_validation_epoch_end(self) -> None:
        """Log what the task measures."""
        self.log_dict(
            {f"val/{name}": value for name, value in self.task.compute().items()}, prog_bar=True, sync_dist=True
        )

    def configure_optimizers(self) -> Any:
        """AdamW under a one-cycle schedule with linear ramps, as published.

        Raises:
            ConfigError: ``trainer.max_steps`` is not set.
        """
        if self.trainer.max_steps < 1:
            raise ConfigError("trainer.max_steps must be set: the learning rate follows it, and the stream has no end")
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=self.learning_rate, weight_decay=WEIGHT_DECAY, eps=1e-8
        )
        schedule = one_cycle(optimizer, self.trainer.max_steps, WARMUP)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
