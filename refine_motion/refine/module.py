"""Stage 2: the student is fine-tuned to reproduce the frozen teacher's verified labels (arXiv 2401.00850)."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from refine_motion.errors import ConfigError, TrainingError
from refine_motion.models.base import FlowModel
from refine_motion.models.load import load_flow_model
from refine_motion.models.options import MatchOptions
from refine_motion.motion.cycle import cycle_error
from refine_motion.motion.grid import in_bounds, length
from refine_motion.refine.augment import Augmentation, PairAugmenter
from refine_motion.refine.objectives import Batch, Objective, PseudoLabels
from refine_motion.refine.schedule import one_cycle

_TEACHER = "teacher."


class RefineModule(LightningModule):
    """A frozen teacher and the student that starts from the same weights.

    Args:
        network: registered model name; None recognises it from the weights.
        weights: path of the pre-trained weights, ``embedded``, or a published name such as ``raft_large_C_T_V1``.
        iters: iterations of the student in training and validation.
        gamma: weight of each earlier iteration in the loss relative to the next.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        warmup: share of the schedule in which the learning rate rises.
        ema: decay per step of a running mean of the student's weights, which is one more candidate; 0 keeps none.
        pull: weight of the squared distance of the student's parameters from the teacher's, added to the loss: it keeps
            the student near where it started (L2-SP, Li et al., ICML 2018).
        objective: what the student is trained to do; the paper's is to reproduce the labels.
        augment: strength of the student's augmentation.
        matching: memory, speed and precision of the matching.

    Attributes:
        settings: what the training depends on besides the weights.
        identity: of the refinement, noted in checkpoints; see :mod:`refine_motion.refine.identity`.

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
        ema: float = 0.0,
        pull: float = 0.0,
        objective: Objective = PseudoLabels(),  # noqa: B008  (has no state)
        augment: Augmentation = Augmentation(),  # noqa: B008  (frozen)
        matching: MatchOptions = MatchOptions(),  # noqa: B008  (frozen)
    ):
        super().__init__()
        if iters < 1 or not 0 < gamma <= 1 or learning_rate <= 0 or not 0 <= warmup < 1:
            raise ConfigError(
                "model: iters must be at least 1, gamma in (0, 1], learning_rate positive and warmup in [0, 1); "
                f"got {iters}, {gamma}, {learning_rate}, {warmup}"
            )
        if not 0 <= ema < 1:
            raise ConfigError(f"model.ema must be in [0, 1), got {ema}")
        if pull < 0:
            raise ConfigError(f"model.pull must not be negative, got {pull}")
        self.save_hyperparameters(ignore=("augment", "matching", "objective"))
        self.settings = {
            **dict(self.hparams),
            "weights": None,
            "augment": augment,
            "matching": matching,
            "objective": objective,
        }
        self.iters, self.gamma = iters, gamma
        self.learning_rate, self.weight_decay, self.warmup = learning_rate, weight_decay, warmup
        self.pull, self.objective = pull, objective
        self.teacher = load_flow_model(network, weights).requires_grad_(False)
        self.student = load_flow_model(network, weights)
        self.teacher.options = self.student.options = matching
        self.average: AveragedModel | None = None
        if ema:
            self.average = AveragedModel(self.student, multi_avg_fn=get_ema_multi_avg_fn(ema)).requires_grad_(False)
        self.augmenter = PairAugmenter(augment)
        self.identity = ""
        self._clips: list[str] = []
        self._not_finite: list[str] = []
        self.train()

    def train(self, mode: bool = True) -> RefineModule:
        """Set the mode of the student; the teacher and batch-norm statistics stay as they are."""
        super().train(mode)
        self.teacher.eval()
        if self.average is not None:
            self.average.eval()
        # Statistics of a few crops would replace those of the whole pre-training.
        self.student.freeze_batch_norm()
        return self

    def students(self) -> dict[str, FlowModel]:
        """The models that this training trains, by name: ``student``, and ``ema`` where a running mean is kept."""
        found = {"student": self.student}
        if self.average is not None:
            found["ema"] = cast(FlowModel, self.average.module)
        return found

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Without the teacher: its weights lie in the file that it came from."""
        state = super().state_dict(*args, **kwargs)
        return {key: value for key, value in state.items() if not key.startswith(_TEACHER)}

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """The counterpart of :meth:`state_dict`, strict about everything but the teacher."""
        own = {key: value for key, value in super().state_dict().items() if key.startswith(_TEACHER)}
        return super().load_state_dict({**own, **state_dict}, strict, assign)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note which refinement it belongs to."""
        checkpoint["identity"] = self.identity

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Augment on the device, in float32 and in training only."""
        if self.trainer.training:
            images = self.augmenter(
                batch["image_a"], batch["image_b"], batch["flow"], batch["weight"], batch["seed"].tolist()
            )
            batch = batch | dict(zip(("image_a", "image_b", "flow", "weight"), images, strict=True))
        return batch

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of one batch of labelled pairs."""
        labelled = Batch(batch["image_a"], batch["image_b"], batch["flow"], batch["weight"])
        loss, flow = self.objective(self.student, labelled, self.iters, self.gamma)
        if self.pull:
            pairs = zip(self.student.parameters(), self.teacher.parameters(), strict=True)
            pull = self.pull * sum((mine - first).square().sum() for mine, first in pairs)
            # The same in all processes. What the objective adds is the rest of the loss.
            self.log("train/pull", pull, batch_size=len(flow))
            loss = loss + pull
        with torch.no_grad():
            self._note(batch["clip"], flow, loss)
            count = len(flow)
            self.log("train/loss", loss, prog_bar=True, batch_size=count, sync_dist=True)
            epe = _label_epe(flow, batch)
            self.log("train/label_epe", epe, prog_bar=True, batch_size=count, sync_dist=True)
        return loss

    def _note(self, clips: list[str], flow: Tensor, loss: Tensor) -> None:
        """Remember what the coming optimiser step learns from."""
        self._clips += clips
        if not loss.isfinite():
            finite = flow.isfinite().flatten(1).all(dim=1).tolist()
            # A loss can overflow where every flow is still a number.
            self._not_finite += [clip for clip, good in zip(clips, finite, strict=True) if not good] or clips

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Stop before a gradient that is not a number reaches the weights.

        Raises:
            TrainingError: it names the clips and the last good checkpoint.
        """
        if str(self.trainer.precision) == "16-mixed":
            # Its gradient scaler meets infinite gradients now and then and skips the step, which is all right.
            stop = self.trainer.strategy.reduce_boolean_decision(bool(self._not_finite), all=False)
        else:
            # Gradients are summed over the processes by now, so that all of them see the same.
            gradients = [p.grad for p in self.student.parameters() if p.grad is not None]
            stop = not bool(get_total_norm(gradients).isfinite())
        seen, broken = self._clips, self._not_finite
        self._clips, self._not_finite = [], []
        if not stop:
            return
        clips = _of_all_processes(broken) or _of_all_processes(seen)
        saved = getattr(self.trainer.checkpoint_callback, "last_model_path", "") or "none was due yet"
        raise TrainingError(
            f"step {self.trainer.global_step}: loss or gradient is not a number on {', '.join(dict.fromkeys(clips))}; "
            f"the last good checkpoint is kept ({saved}): leave the clip out, or lower model.learning_rate"
        )

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take the step, then let the running mean follow."""
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:
            self.average.update_parameters(self.student)

    def validation_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Held-out samples, not augmented: pseudo-labelled pairs, or examples of the source domain with true flow.

        On the former, distance from the labels and cycle error where the sample is held out; on the latter, end-point
        error; all beside the teacher's.
        """
        a, b = batch["image_a"], batch["image_b"]
        count = a.shape[0]
        counts = batch["region"][:, 0] & batch["counts"].view(-1, 1, 1)
        known = (batch["weight"][:, 0] > 0) & counts
        models = {"teacher": self.teacher, **self.students()}
        for name, model in models.items():
            prefix = "val/" if name == "student" else f"val/{name}_"
            if "source" in batch:
                flow = model.flow(a, b, self.iters)
                self._log_mean(f"{prefix}source_epe", length(flow - batch["flow"]), known)
                continue
            features = model.encode(torch.cat((a, b)))
            forward, backward = model.match_both(features[:count], features[count:], self.iters)
            self._log_mean(f"{prefix}cycle_error", cycle_error(forward, backward), in_bounds(forward) & counts)
            if model is not self.teacher:
                self._log_mean(f"{prefix}label_epe", length(forward - batch["flow"]), known)

    def _log_mean(self, name: str, values: Tensor, mask: Tensor) -> None:
        """Log the mean over the pixels of the mask, so that over all batches every pixel weighs the same."""
        count = mask.sum().clamp(min=1)
        mean = torch.where(mask, values, 0).sum() / count
        self.log(name, mean, batch_size=int(count), sync_dist=True, add_dataloader_idx=False)

    def configure_optimizers(self) -> Any:
        """AdamW under a one-cycle schedule with linear ramps."""
        optimizer = torch.optim.AdamW(
            self.student.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, eps=1e-8
        )
        # A tenth longer than the training, as published, so that the last steps still learn.
        schedule = one_cycle(optimizer, math.ceil(1.1 * self.total_steps()), self.warmup)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def total_steps(self) -> int:
        """Optimiser steps of the whole training."""
        trainer = self.trainer
        if trainer.max_steps > 0:
            return trainer.max_steps
        if not trainer.max_epochs or trainer.max_epochs < 0:
            raise ConfigError("trainer.max_steps or trainer.max_epochs must be set: the learning rate follows them")
        data = getattr(trainer, "datamodule", None)
        if data is None:
            return int(trainer.estimated_stepping_batches)
        # Lightning's own estimate begins to load data, before a resumed run knows where it stands.
        batches = len(data.train_dataloader())
        return trainer.max_epochs * math.ceil(batches / trainer.accumulate_grad_batches)


def _of_all_processes(items: list[str]) -> list[str]:
    if not torch.distributed.is_initialized():
        return items
    gathered: list[list[str]] = [[] for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(gathered, items)
    return [item for part in gathered for item in part]


def _label_epe(flow: Tensor, batch: dict[str, Any]) -> Tensor:
    """Mean end-point distance from the labels in pixels, whatever they weigh; zero where a batch has none."""
    known = batch["weight"] > 0
    return (length(flow - batch["flow"])[:, None] * known).sum() / known.sum().clamp(min=1)
