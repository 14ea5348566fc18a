"""Stage 2: the student is fine-tuned to reproduce the frozen teacher's verified labels (arXiv 2401.00850)."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.models.load import load_model
from refine_motion.motion.cycle import cycle_error
from refine_motion.motion.grid import in_bounds, length
from refine_motion.refine.augment import Augmentation, PairAugmenter
from refine_motion.refine.losses import sequence_loss
from refine_motion.refine.schedule import one_cycle

_TEACHER = "teacher."


class RefineModule(LightningModule):
    """A frozen teacher and the student that starts from the same weights.

    Args:
        network: registered model name; None recognises it from the weights.
        weights: path of the pre-trained weights, or a published name, e.g. raft_large_C_T_V1.
        iters: iterations of the student in training and validation.
        gamma: weight of each earlier iteration in the loss relative to the next.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        warmup: share of the schedule in which the learning rate rises.
        augment: strength of the student's augmentation.

    Raises:
        ConfigError: a value is out of range.
        WeightsError: the weights are missing, unreadable or of another architecture.
    """

    def __init__(
        self,
        network: str | None = None,
        weights: str | None = None,
        iters: int = 12,
        gamma: float = 0.85,
        learning_rate: float = 1e-4,
        weight_decay: float = 1e-4,
        warmup: float = 0.1,
        augment: Augmentation = Augmentation(),  # noqa: B008  (frozen)
    ):
        super().__init__()
        if iters < 1 or not 0 < gamma <= 1 or learning_rate <= 0 or not 0 <= warmup < 1:
            raise ConfigError(
                "model: iters must be at least 1, gamma in (0, 1], learning_rate positive and warmup in [0, 1); "
                f"got {iters}, {gamma}, {learning_rate}, {warmup}"
            )
        self.save_hyperparameters(ignore="augment")
        self.iters, self.gamma = iters, gamma
        self.learning_rate, self.weight_decay, self.warmup = learning_rate, weight_decay, warmup
        self.teacher = load_model(network, weights).requires_grad_(False)
        self.student = load_model(network, weights)
        self.augmenter = PairAugmenter(augment)
        self.train()

    def train(self, mode: bool = True) -> RefineModule:
        """Set the mode of the student; the teacher and batch-norm statistics stay as they are."""
        super().train(mode)
        self.teacher.eval()
        # Statistics of a few crops would replace those of the whole pre-training.
        self.student.freeze_batch_norm()
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Without the teacher: its weights lie in the file that it came from."""
        state = super().state_dict(*args, **kwargs)
        return {key: value for key, value in state.items() if not key.startswith(_TEACHER)}

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """The counterpart of :meth:`state_dict`, strict about everything but the teacher."""
        own = {key: value for key, value in super().state_dict().items() if key.startswith(_TEACHER)}
        return super().load_state_dict({**own, **state_dict}, strict, assign)

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Augment on the device, in float32 and in training only."""
        if self.trainer.training:
            images = self.augmenter(
                batch["image_a"], batch["image_b"], batch["flow"], batch["valid"], batch["seed"].tolist()
            )
            batch = batch | dict(zip(("image_a", "image_b", "flow", "valid"), images, strict=True))
        return batch

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of one batch of labelled pairs."""
        flows = self.student.flow_sequence(batch["image_a"], batch["image_b"], self.iters)
        loss = sequence_loss(flows, batch["flow"], batch["valid"], self.gamma)
        with torch.no_grad():
            self.log("train/loss", loss, prog_bar=True, batch_size=len(flows[0]))
            self.log("train/label_epe", _label_epe(flows[-1], batch), prog_bar=True, batch_size=len(flows[0]))
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Held-out pairs, not augmented: distance from the labels, and cycle error beside the teacher's."""
        a, b = batch["image_a"], batch["image_b"]
        count = a.shape[0]
        for name, model in (("", self.student), ("teacher_", self.teacher)):
            features = model.encode(torch.cat((a, b)))
            forward, backward = model.match_both(features[:count], features[count:], self.iters)
            inside = in_bounds(forward)
            self._log_mean(f"val/{name}cycle_error", cycle_error(forward, backward), inside)
            if model is self.student:
                error = length(forward - batch["flow"])
                self._log_mean("val/label_epe", error, batch["valid"][:, 0])

    def _log_mean(self, name: str, values: Tensor, mask: Tensor) -> None:
        """Log the mean over the pixels of the mask, so that over all batches every pixel weighs the same."""
        count = mask.sum().clamp(min=1)
        self.log(name, (values * mask).sum() / count, batch_size=int(count), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """AdamW under a one-cycle schedule with linear ramps."""
        optimizer = torch.optim.AdamW(
            self.student.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, eps=1e-8
        )
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise ConfigError("trainer.max_steps or trainer.max_epochs must be set: the learning rate follows them")
        # A tenth longer than the training, as published, so that the last steps still learn.
        schedule = one_cycle(optimizer, math.ceil(1.1 * steps), self.warmup)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _label_epe(flow: Tensor, batch: dict[str, Any]) -> Tensor:
    """Mean end-point distance from the labels in pixels; zero where a batch has none."""
    error = length(flow - batch["flow"])[:, None]
    return (error * batch["valid"]).sum() / batch["valid"].sum().clamp(min=1)
