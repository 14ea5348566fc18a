"""Training on true flow, where it exists: procedural pairs for a first teacher."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from refine_motion.models.registry import build_model
from refine_motion.refine.losses import sequence_loss
from refine_motion.refine.schedule import one_cycle


class SupervisedModule(LightningModule):
    """A flow model from its initial weights, trained with RAFT's sequence loss (arXiv 2003.12039).

    Args:
        network: registered model name.
        iters: iterations of the model in training.
        gamma: weight of each earlier iteration in the loss relative to the next.
        learning_rate: peak of the one-cycle schedule.
    """

    def __init__(self, network: str = "raft_small", iters: int = 12, gamma: float = 0.8, learning_rate: float = 4e-4):
        super().__init__()
        self.iters, self.gamma, self.learning_rate = iters, gamma, learning_rate
        self.model = build_model(network)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of a batch of ``image_a``, ``image_b``, ``flow`` and ``valid``."""
        flows = self.model.flow_sequence(batch["image_a"], batch["image_b"], self.iters)
        loss = sequence_loss(flows, batch["flow"], batch["valid"], self.gamma)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW under a one-cycle schedule with linear ramps, as published."""
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.learning_rate, weight_decay=1e-5)
        schedule = one_cycle(optimizer, int(self.trainer.estimated_stepping_batches), warmup=0.05)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
