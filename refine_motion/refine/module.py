"""Stage 2 for flow: the student learns to reproduce the frozen teacher's verified labels (arXiv 2401.00850)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.labels.teacher import FlowTeacher, LabelSettings
from refine_motion.models.base import FlowModel
from refine_motion.models.load import load_flow_model
from refine_motion.models.options import MatchOptions
from refine_motion.motion.cycle import cycle_error
from refine_motion.motion.grid import in_bounds, length
from refine_motion.refine.augment import Augmentation, PairAugmenter
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.objectives import Batch, Objective, PseudoLabels
from refine_motion.refine.panel import FlowPanel
from refine_motion.refine.student import StudentModule


class RefineModule(StudentModule[FlowModel]):
    """A frozen flow model and the student that starts from the same weights.

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
        if pull < 0:
            raise ConfigError(f"model.pull must not be negative, got {pull}")
        teacher, student = load_flow_model(network, weights), load_flow_model(network, weights)
        super().__init__(teacher, student, iters, gamma, learning_rate, weight_decay, warmup, ema)
        self.save_hyperparameters(ignore=("augment", "matching", "objective"))
        self.settings = {
            **dict(self.hparams),
            "weights": None,
            "augment": augment,
            "matching": matching,
            "objective": objective,
        }
        self.pull, self.objective = pull, objective
        self.teacher.options = self.student.options = matching
        if self.average is not None:
            self.students()["ema"].options = matching
        self.augmenter = PairAugmenter(augment)

    def labelling(self, settings: LabelSettings) -> FlowTeacher:
        """See :class:`StudentModule`."""
        return FlowTeacher(self.teacher, settings)

    def panel(self, data: VideoLabelDataModule, device: torch.device) -> FlowPanel:
        """See :class:`StudentModule`."""
        return FlowPanel(self.teacher, data, self.iters, device)

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
            self.note(batch["clip"], flow.isfinite().flatten(1).all(dim=1), loss)
            count = len(flow)
            self.log("train/loss", loss, prog_bar=True, batch_size=count, sync_dist=True)
            epe = _label_epe(flow, batch)
            self.log("train/label_epe", epe, prog_bar=True, batch_size=count, sync_dist=True)
        return loss

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
                self.log_mean(f"{prefix}source_epe", length(flow - batch["flow"]), known)
                continue
            features = model.encode(torch.cat((a, b)))
            forward, backward = model.match_both(features[:count], features[count:], self.iters)
            self.log_mean(f"{prefix}cycle_error", cycle_error(forward, backward), in_bounds(forward) & counts)
            if model is not self.teacher:
                self.log_mean(f"{prefix}label_epe", length(forward - batch["flow"]), known)


def _label_epe(flow: Tensor, batch: dict[str, Any]) -> Tensor:
    """Mean end-point distance from the labels in pixels, whatever they weigh; zero where a batch has none."""
    known = batch["weight"] > 0
    return (length(flow - batch["flow"])[:, None] * known).sum() / known.sum().clamp(min=1)
