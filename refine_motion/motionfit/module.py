"""The training of MotionFit's networks: motion teacher, appearance student, and either on a target collection.

They differ in what they look at and in where their labels come from, which is a matter of the data; a network of clips
learns classes in each of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from refine_motion.errors import ConfigError
from refine_motion.models.clip_models import build_clip_model, load_clip_weights
from refine_motion.models.r2plus1d import R2Plus1D
from refine_motion.models.weights import locate_weights
from refine_motion.motionfit.augment import ActionAugmentation
from refine_motion.motionfit.losses import MultiClipLoss
from refine_motion.motionfit.trained import has_head
from refine_motion.training.module import PieceModule


class ClipModule(PieceModule):
    """A network of clips that learns classes; none of this is published, so that all of it is a setting.

    Every draw has a seed of its own by the sample, so that a training that goes on draws what it would have drawn.

    Args:
        network: see :mod:`refine_motion.models.clip_models`.
        weights: to go on from; ``None`` begins from nothing. Their head is kept where it tells the same classes apart,
            which is known of weights of this project alone.
        loss: of the clips of a sample.
        augment: what is cropped, mirrored and recoloured.
        probe: learn the head alone, over features that stay as they are (a linear probe).
        learning_rate: the largest one, of the head and of a network that begins from nothing.
        body_rate: the part of it that a network has which begins from weights, its head left out.
        weight_decay: of AdamW.
        warmup: share of the steps over which the learning rate rises; then it falls as half a cosine.

    Attributes:
        model: after :meth:`build`.

    Raises:
        ConfigError: a value is out of range.
    """

    model: R2Plus1D

    def __init__(
        self,
        network: str = "r2plus1d_18",
        weights: str | None = None,
        loss: MultiClipLoss = MultiClipLoss(),  # noqa: B008  (frozen)
        augment: ActionAugmentation = ActionAugmentation(),  # noqa: B008  (frozen)
        probe: bool = False,
        learning_rate: float = 1e-3,
        body_rate: float = 1.0,
        weight_decay: float = 1e-2,
        warmup: float = 0.1,
    ):
        super().__init__()
        if not learning_rate > 0 or not 0 < body_rate <= 1 or weight_decay < 0 or not 0 < warmup < 1:
            raise ConfigError(
                "model: learning_rate must be positive, body_rate in (0, 1], weight_decay not negative and warmup in "
                f"(0, 1), got {learning_rate:g}, {body_rate:g}, {weight_decay:g} and {warmup:g}"
            )
        if probe and weights is None:
            raise ConfigError("model.probe: there is nothing to probe in a network without weights; set model.weights")
        self.network, self.weights, self.loss, self.augment = network, weights, loss, augment
        self.probe, self.learning_rate, self.body_rate = probe, learning_rate, body_rate
        self.weight_decay, self.warmup = weight_decay, warmup
        self.limit = 0.0
        self.settings = {
            "network": network,
            "weights": None if weights is None else _digest(weights),
            "loss": vars(loss),
            "augment": vars(augment),
            "probe": probe,
            "learning_rate": learning_rate,
            "body_rate": body_rate,
            "weight_decay": weight_decay,
            "warmup": warmup,
        }

    def build(self, channels: int, classes: tuple[str, ...], limit: float) -> None:
        """Make the network for some data.

        Args:
            channels: 3 for RGB, 2 for flow.
            classes: their names, by label.
            limit: pixels that flow is clipped to; any number for RGB.

        Raises:
            ConfigError: there is no such network.
            WeightsError: the weights do not fit.
        """
        self.limit = limit
        self.model = build_clip_model(self.network, channels, len(classes), limit)
        if self.weights is not None:
            load_clip_weights(self.model, self.weights, head=has_head(self.weights, classes))
        if self.probe:
            self.model.requires_grad_(False)
            self.model.fc.requires_grad_(True)

    def on_train_start(self) -> None:
        """Keep the statistics of normalisation too, where only the head learns; see also :class:`PieceModule`."""
        super().on_train_start()
        # Not where an epoch starts: that is left out when a training goes on in the midst of it.
        if self.probe:
            self.model.eval()

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Clips as the network sees them, made on the device in float32: ``seen`` ``(B, N, C, T, h, w)``."""
        return batch | {"seen": self.augment.augment(batch["clips"], batch["seed"].tolist(), self.limit)}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of a batch."""
        seen = batch["seen"]
        logits = self.model(seen.flatten(0, 1)).unflatten(0, seen.shape[:2]).float()
        loss = self.loss(logits, batch["label"], batch["weight"])
        right = (logits.mean(dim=1).argmax(dim=-1) == batch["label"]).float().mean()
        self.log_dict({"train/loss": loss, "train/accuracy": right}, batch_size=len(seen), sync_dist=True)
        self.log("loss", loss.detach(), prog_bar=True, logger=False)
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and half a cosine; biases and normalisation are not decayed."""
        groups: list[dict[str, Any]] = [
            {"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in self._groups().items()
        ]
        optimizer = torch.optim.AdamW(groups)
        # One more, because Lightning asks for the rate after the last step too.
        steps = self.trainer.max_steps + 1
        schedule = OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in groups],
            total_steps=steps,
            # A warm-up of just one step is one of no length for torch, which then divides by it.
            pct_start=self.warmup if abs(self.warmup * steps - 1) > 1e-6 else 1.01 / steps,
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _groups(self) -> Mapping[tuple[float, float], list[nn.Parameter]]:
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            if not parameter.requires_grad:
                continue
            whole = self.weights is None or name.startswith("fc.")
            rate = self.learning_rate * (1 if whole else self.body_rate)
            groups.setdefault((rate, self.weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
        return groups


def _digest(weights: str) -> str:
    """16 hex digits over a file of weights: another one under the same name makes another training."""
    return hashlib.sha256(locate_weights(weights).read_bytes()).hexdigest()[:16]
