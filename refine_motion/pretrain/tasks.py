"""What a model is pre-trained to do: its loss on true motion, and what validation measures."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from refine_motion.errors import ConfigError
from refine_motion.metrics.flow import EndPointError
from refine_motion.metrics.tracks import TapVid
from refine_motion.models.base import FlowModel, MotionModel
from refine_motion.models.pips import Pips
from refine_motion.refine.losses import sequence_loss
from refine_motion.refine.track_losses import matching_loss, score_map_loss, track_sequence_loss, visibility_loss

GAMMA = 0.8
# Published with 10 at batches of 4 clips with 768 points each. Of one clip with 64 points few are hidden, if any, and
# their noise, ten times over, drowned all the rest: after 1900 steps the model stood still.
_VISIBILITY = 1.0


class Task(nn.Module):
    """One of them, for one model.

    Args:
        model: that is trained; it belongs to the training, not to this module.
    """

    def __init__(self, model: MotionModel):
        super().__init__()
        # In a tuple, lest its parameters be registered twice.
        self._model = (model,)

    @abstractmethod
    def loss(self, batch: dict[str, Any], iters: int) -> Tensor:
        """Loss of a batch, a scalar."""

    @abstractmethod
    def reset(self) -> None:
        """Begin to measure anew."""

    @abstractmethod
    def update(self, batch: dict[str, Any], iters: int) -> None:
        """Take in a batch of held-out samples."""

    @abstractmethod
    def compute(self) -> dict[str, Tensor]:
        """What was measured, by name."""


class FlowTask(Task):
    """RAFT's sequence loss over all pixels (arXiv 2003.12039): those hidden in the second image have true flow too.

    Batches hold ``image_a`` and ``image_b`` ``(B, 3, H, W)``, 0..255, and ``flow`` ``(B, 2, H, W)`` in pixels.
    """

    def __init__(self, model: FlowModel):
        super().__init__(model)
        self.epe, self.zero_epe = EndPointError(), EndPointError()

    @property
    def model(self) -> FlowModel:
        """The model that is trained."""
        (model,) = self._model
        assert isinstance(model, FlowModel)
        return model

    def loss(self, batch: dict[str, Any], iters: int) -> Tensor:
        """See :meth:`Task.loss`; in pixels."""
        flows = self.model.flow_sequence(batch["image_a"], batch["image_b"], iters)
        truth = batch["flow"]
        return sequence_loss(flows, truth, torch.ones_like(truth[:, :1]), GAMMA)

    def reset(self) -> None:
        """See :meth:`Task.reset`."""
        self.epe.reset()
        self.zero_epe.reset()

    def update(self, batch: dict[str, Any], iters: int) -> None:
        """See :meth:`Task.update`."""
        truth = batch["flow"]
        self.epe.update(self.model.flow(batch["image_a"], batch["image_b"], iters), truth)
        self.zero_epe.update(torch.zeros_like(truth), truth)

    def compute(self) -> dict[str, Tensor]:
        """End-point error over all held-out pixels, that of zero flow, both in pixels, and their ratio."""
        epe, zero = self.epe.compute(), self.zero_epe.compute()
        return {"epe": epe, "zero_epe": zero, "ratio": epe / zero}


class TrackTask(Task):
    """PIPs' losses (arXiv 2204.04153): places in every iteration, visibility, and score maps before each iteration.

    With them goes :func:`refine_motion.refine.track_losses.matching_loss`, which teaches features far sooner; in steps
    of 0 iterations it is all there is, and the mixer does not run.

    Batches hold ``frames`` ``(B, S, 3, H, W)``, 0..255, ``xy`` ``(B, S, N, 2)`` in pixels, ``visible`` ``(B, S, N)``;
    the points are given in the first frame.
    """

    def __init__(self, model: Pips):
        super().__init__(model)
        # In a tuple, lest they be moved to a device without float64; so each process measures its own share.
        self._metrics = (TapVid("first", sync_on_compute=False), TapVid("first", sync_on_compute=False))

    @property
    def model(self) -> Pips:
        """The model that is trained."""
        (model,) = self._model
        assert isinstance(model, Pips)
        return model

    def _maps(self, frames: Tensor) -> Tensor:
        return self.model.encode(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])

    def loss(self, batch: dict[str, Any], iters: int) -> Tensor:
        """See :meth:`Task.loss`."""
        xy, visible = batch["xy"], batch["visible"].float()
        maps = self._maps(batch["frames"])
        with torch.autocast(xy.device.type, enabled=False):
            matching = matching_loss(maps.float(), xy / self.model.stride, visible)
        if not iters:
            return matching
        found = self.model.predict(maps, xy[:, 0], iters, locked=False, score_maps=True)
        with torch.autocast(xy.device.type, enabled=False):
            known = torch.ones_like(visible)
            places = track_sequence_loss(found.coords, xy, known, GAMMA)
            seen = visibility_loss(found.visibility.float(), visible, known)
            scores = [one.float() for one in found.score_maps]
            shown = score_map_loss(scores, xy / self.model.stride, visible, known)
            return places + _VISIBILITY * seen + shown + matching

    def reset(self) -> None:
        """See :meth:`Task.reset`."""
        for metric in self._metrics:
            metric.reset()

    @torch.no_grad()
    def update(self, batch: dict[str, Any], iters: int) -> None:
        """See :meth:`Task.update`."""
        maps = self._maps(batch["frames"])
        predicted = self.model.predict(maps, batch["xy"][:, 0], iters)
        found, still = self._metrics
        columns = (predicted.coords[-1].float(), predicted.visibility, batch["xy"], batch["visible"])
        for places, logits, xy, visible in zip(*(column.cpu() for column in columns), strict=True):
            frames = torch.zeros(xy.shape[1])
            found.update(places, logits > 0, xy, visible, frames)
            still.update(xy[:1].expand_as(xy), torch.ones_like(visible), xy, visible, frames)

    def compute(self) -> dict[str, Tensor]:
        """TAP-Vid's scores in pixels of the clips: ``delta_avg``, ``aj`` and ``oa``; delta_avg of no motion."""
        found, still = (metric.compute() for metric in self._metrics)
        values = {name: found[name] for name in ("delta_avg", "aj", "oa")} | {"still_delta_avg": still["delta_avg"]}
        return {name: value.float() for name, value in values.items()}


def task_of(model: MotionModel) -> Task:
    """What a model is trained to do.

    Raises:
        ConfigError: nothing here trains such a model.
    """
    if isinstance(model, FlowModel):
        return FlowTask(model)
    if isinstance(model, Pips):
        return TrackTask(model)
    raise ConfigError(f"{model.name!r} cannot be pre-trained here: it is neither a flow model nor a PIPs")
