"""CorrFlow's training (Lai and Xie, BMVC 2019, arXiv 1905.00875): an encoder that learns to copy colours."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from refine_motion.corrflow.bottleneck import Bottleneck
from refine_motion.corrflow.centroids import read_centroids
from refine_motion.corrflow.losses import ColourLoss, Losses, draw_truth, truth_probability
from refine_motion.corrflow.quantise import quantise
from refine_motion.errors import ConfigError
from refine_motion.models.corrflow import CorrFlow
from refine_motion.models.registry import as_corrflow, build_model
from refine_motion.models.weights import load_weights, read_weights
from refine_motion.motion.attention import Attention
from refine_motion.motion.local_attention import LocalAttention
from refine_motion.training.module import PieceModule

_BETAS = (0.9, 0.999)


class CorrFlowModule(PieceModule):
    """The encoder, from its initial weights or from given ones.

    Every draw has a seed of its own, by the step or by the clip, so that a training that goes on draws what it would
    have drawn.

    Args:
        network: ``corrflow`` or ``corrflow_small``.
        weights: to go on from: a path, or a name.
        attention: how colours are copied; its ``compat`` restores rules of the official code.
        bottleneck: what is hidden of the colours.
        centroids: ``published``, or a file of ``refine-motion centroids``.
        cycle_weight: of the loss there and back.
        first_truth: how likely true colours are carried on at the first step.
        last_truth: and at the last; both at 1 switch scheduled sampling off.
        learning_rate: at the start.
        halve_after: clips seen, of all processes, after which it is halved, once for each.

    Attributes:
        loss: of a clip.

    Raises:
        ConfigError: a value is out of range, the network is no encoder of CorrFlow, or the centroids cannot be read.
        WeightsError: the weights do not fit.
    """

    model: CorrFlow
    centroids: Tensor

    def __init__(
        self,
        network: Literal["corrflow", "corrflow_small"] = "corrflow",
        weights: str | None = None,
        attention: Attention = LocalAttention(),  # noqa: B008  (frozen)
        bottleneck: Bottleneck = Bottleneck(),  # noqa: B008  (frozen)
        centroids: str = "published",
        cycle_weight: float = 0.1,
        first_truth: float = 0.9,
        last_truth: float = 0.6,
        learning_rate: float = 2e-4,
        halve_after: tuple[int, ...] = (400_000, 600_000, 800_000, 1_000_000),
    ):
        super().__init__()
        if not (0 <= first_truth <= 1 and 0 <= last_truth <= 1) or learning_rate <= 0:
            raise ConfigError(
                "model: first_truth and last_truth must be between 0 and 1 and learning_rate positive, got "
                f"{first_truth}, {last_truth} and {learning_rate}"
            )
        self.bottleneck, self.first_truth, self.last_truth = bottleneck, first_truth, last_truth
        self.learning_rate, self.halve_after = learning_rate, tuple(halve_after)
        colours = read_centroids(centroids)
        self.register_buffer("centroids", colours)
        self.loss = ColourLoss(attention, len(colours), cycle_weight)
        self.model = as_corrflow(build_model(network))
        if weights is not None:
            load_weights(self.model, read_weights(weights), weights)
        self.settings = {
            "network": network,
            "weights": weights,
            "attention": {"kind": type(attention).__name__, **_plain(attention)},
            "bottleneck": _plain(bottleneck),
            "centroids": colours.tolist(),
            "cycle_weight": cycle_weight,
            "first_truth": first_truth,
            "last_truth": last_truth,
            "learning_rate": learning_rate,
            "halve_after": list(halve_after),
        }

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """What the encoder sees and the colours that it must tell, made on the device in float32.

        Adds ``seen`` ``(B, T, 3, H, W)`` and ``ids`` ``(B, T, H, W)``.
        """
        frames = batch["frames"]
        if self.trainer.training:
            seen = self.bottleneck.hide(frames, batch["seed"].tolist(), batch["step_seed"])
        else:
            seen = self.bottleneck.prepare(frames)
        return batch | {"seen": seen, "ids": quantise(frames, self.centroids)}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of a batch."""
        probability = truth_probability(
            self.trainer.global_step, self.trainer.max_steps, self.first_truth, self.last_truth
        )
        # Another seed than that of the channels, lest the two draws be tied.
        truth = draw_truth(probability, batch["seen"].shape[1], batch["step_seed"] + 1)
        losses = self._losses(batch, truth)
        logged = {"train/loss": losses.total, "train/similarity": losses.similarity, "train/cycle": losses.cycle}
        self.log_dict(logged, batch_size=len(batch["seen"]), sync_dist=True)
        self.log("train/truth_probability", probability)
        self.log("loss", losses.total.detach(), prog_bar=True, logger=False)
        return losses.total

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Held-out clips, nothing hidden, true colours carried on."""
        losses = self._losses(batch, [True] * (batch["seen"].shape[1] - 2))
        logged = {"val/loss": losses.total, "val/similarity": losses.similarity, "val/cycle": losses.cycle}
        self.log_dict(logged, batch_size=len(batch["seen"]), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Adam without weight decay, halved by the number of clips seen, as published.

        Raises:
            ConfigError: ``trainer.max_steps`` is not set.
        """
        if self.trainer.max_steps < 1:
            raise ConfigError("trainer.max_steps must be set: the stream of clips has no end")
        optimizer = torch.optim.Adam(self.model.parameters(), lr=self.learning_rate, betas=_BETAS)
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        clips = data.batch_size * self.trainer.world_size
        schedule = LambdaLR(optimizer, lambda step: 0.5 ** sum(step * clips >= count for count in self.halve_after))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _losses(self, batch: dict[str, Any], truth: list[bool]) -> Losses:
        seen = batch["seen"]
        features = self.model.encode(seen.flatten(0, 1)).unflatten(0, seen.shape[:2])
        # Under AMP the encoder and the products of features are in half precision, all else is float32 again.
        return self.loss(features, batch["ids"], truth)


def _plain(settings: Any) -> dict[str, Any]:
    return {name: vars(value) if hasattr(value, "__dict__") else value for name, value in vars(settings).items()}
