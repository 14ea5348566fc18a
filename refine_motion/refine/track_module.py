"""Stage 2 for tracks: the student learns to reproduce verified pseudo-tracks (arXiv 2401.00850)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.labels.track_teacher import TrackLabelSettings, TrackTeacher
from refine_motion.models.load import load_model, load_track_model
from refine_motion.models.pips import Pips
from refine_motion.models.pips_chain import WindowPrediction
from refine_motion.models.track_base import TrackModel
from refine_motion.refine.clip_augment import ClipAugmentation, ClipAugmenter
from refine_motion.refine.panel import TrackPanel
from refine_motion.refine.student import StudentModule
from refine_motion.refine.track_datamodule import TrackDataModule
from refine_motion.refine.track_losses import fullness, score_map_loss, track_sequence_loss, visibility_loss
from refine_motion.refine.track_ways import both_ways


class TrackRefineModule(StudentModule[Pips]):
    """A frozen PIPs and the student that starts from the same weights.

    The loss is that of the published code, places in every iteration and score maps before each; labels stay what they
    are, where that code cuts them to whole pixels. Visibility is not taught by a teacher: what it cannot see is not
    evidence.

    Args:
        network: registered model name; None recognises it from the weights.
        weights: path of the pre-trained weights, or ``embedded_pips``.
        linked: weights of a flow model that labels beside the teacher (``label.views`` with ``linked``); None has none.
        iters: iterations of the student in training and validation; None is as many as its model is tracked with.
        gamma: weight of each earlier iteration in the loss relative to the next.
        score_maps: weight of the loss of the score maps.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        warmup: share of the schedule in which the learning rate rises.
        ema: decay per step of a running mean of the student's weights, which is one more candidate; 0 keeps none.
        freeze_visibility: leave the visibility head as it is; else it learns from windows with points that are hidden
            for certain, by an occluder of the augmentation or in a made clip (``data.made_share``), with PIPs' loss.
        augment: strength of the student's augmentation.

    Raises:
        ConfigError: a value is out of range, the model is not a PIPs, or crops are too small for it.
        WeightsError: the weights are missing, unreadable or of another architecture.
    """

    def __init__(
        self,
        network: str | None = None,
        weights: str | None = None,
        linked: str | None = None,
        iters: int | None = None,
        gamma: float = 0.8,
        score_maps: float = 1.0,
        learning_rate: float = 1e-5,
        weight_decay: float = 1e-4,
        warmup: float = 0.1,
        ema: float = 0.0,
        freeze_visibility: bool = True,
        augment: ClipAugmentation = ClipAugmentation(),  # noqa: B008  (frozen)
    ):
        if score_maps < 0:
            raise ConfigError(f"model.score_maps must not be negative, got {score_maps}")
        teacher, student = (_pips(network, weights) for _ in range(2))
        super().__init__(
            teacher, student, teacher.iters if iters is None else iters, gamma, learning_rate, weight_decay, warmup, ema
        )
        self.save_hyperparameters(ignore=("augment",))
        self.settings = {**dict(self.hparams), "weights": None, "linked": None, "augment": augment}
        # In a tuple: it belongs to stage 1, and to no checkpoint.
        self._linked = (None if linked is None else load_track_model(None, linked),)
        self.score_maps = score_maps
        if augment.crop is not None and min(augment.crop) < student.min_side:
            raise ConfigError(
                f"model.augment.crop must be at least {student.min_side} pixels in height and width, got "
                f"{list(augment.crop)}"
            )
        self.freeze_visibility = freeze_visibility
        if freeze_visibility:
            self.student.vis_predictor.requires_grad_(False)
        self.augmenter = ClipAugmenter(augment)

    @property
    def linked(self) -> TrackModel | None:
        """The second teacher."""
        return self._linked[0]

    def labelling(self, settings: TrackLabelSettings) -> TrackTeacher:
        """See :class:`StudentModule`."""
        return TrackTeacher(self.teacher, settings, self.linked)

    def panel(self, data: TrackDataModule, device: torch.device) -> TrackPanel:
        """See :class:`StudentModule`."""
        return TrackPanel(self.teacher, data, self.iters, device)

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Augment on the device, in float32 and in training only."""
        if not self.trainer.training:
            return batch
        clip = self.augmenter(batch["frames"], batch["xy"], batch["valid"], batch["visible"], batch["seed"].tolist())
        return batch | clip._asdict()

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of one batch of windows."""
        xy, valid = batch["xy"].float(), batch["valid"].float()
        maps = self.student.encode(batch["frames"].flatten(0, 1)).unflatten(0, batch["frames"].shape[:2])
        # The place of the first frame is given, and stays.
        found = self.student.predict(maps, xy[:, 0], self.iters, score_maps=self.score_maps > 0)
        visible = batch["visible"].float()
        with torch.autocast(self.device.type, enabled=False):
            losses = [self._loss(found, xy, valid, visible, slice(n, n + 1)) for n in range(len(xy))]
            loss = torch.stack(losses).mean()
        with torch.no_grad():
            last = found.coords[-1]
            self.note(batch["clip"], last.isfinite().flatten(1).all(dim=1), loss)
            count = len(last)
            self.log("train/loss", loss, prog_bar=True, batch_size=count, sync_dist=True)
            away = (last - xy).norm(dim=-1)
            known = batch["valid"]
            error = torch.where(known, away, 0.0).sum() / known.sum().clamp(min=1)
            self.log("train/label_error", error, prog_bar=True, batch_size=count, sync_dist=True)
        return loss

    def _loss(self, found: WindowPrediction, xy: Tensor, valid: Tensor, visible: Tensor, sample: slice) -> Tensor:
        """Of one sample, of which nothing depends on its batch."""
        coords = [places[sample].float() for places in found.coords]
        loss = track_sequence_loss(coords, xy[sample], valid[sample], self.gamma) * fullness(valid[sample])[0]
        if self.score_maps:
            scores = [maps[sample].float() for maps in found.score_maps]
            places = xy[sample] / self.student.stride
            shown = score_map_loss(scores, places, visible[sample], valid[sample])
            loss = loss + self.score_maps * shown * fullness(visible[sample] * valid[sample])[0]
        if not self.freeze_visibility:
            # Where nothing is hidden, one would only learn to see everything.
            counts = ((valid[sample] > 0) & (visible[sample] == 0)).any()
            loss = loss + counts * visibility_loss(found.visibility[sample].float(), visible[sample], valid[sample])
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Distance from the labels of one held-out window, and from the way back; the teacher's beside them."""
        places, known = batch["places"], batch["known"] & batch["counts"]
        for name, model in {"teacher": self.teacher, **self.students()}.items():
            prefix = "val/" if name == "student" else f"val/{name}_"
            there, back = both_ways(model, batch["frames"], places[0], self.iters)
            self.log_mean(f"{prefix}cycle_error", (there - back).norm(dim=-1), known)
            if model is not self.teacher:
                self.log_mean(f"{prefix}label_epe", (there - places).norm(dim=-1), known)


def _pips(network: str | None, weights: str | None) -> Pips:
    model = load_model(network, weights)
    if not isinstance(model, Pips):
        raise ConfigError(
            f"model.weights: {model.name!r} is not a PIPs; a flow model that tracks is refined as one of flow "
            "(configs/refine/flow.yaml)"
        )
    return model
