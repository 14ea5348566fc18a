"""What the students of flow and of tracks share: a frozen teacher, a running mean, checkpoints, a stop before NaN."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from refine_motion.errors import ConfigError, TrainingError
from refine_motion.labels.teacher import FlowTeacher
from refine_motion.labels.track_teacher import TrackTeacher
from refine_motion.models.base import MotionModel
from refine_motion.refine.panel import Panel
from refine_motion.refine.schedule import one_cycle

_TEACHER = "teacher."

Model = TypeVar("Model", bound=MotionModel)


class StudentModule(LightningModule, Generic[Model]):
    """A frozen teacher and the student that starts from the same weights.

    Args:
        teacher: the model; it is frozen.
        student: another with the same weights.
        iters: iterations of the student in training and validation.
        gamma: weight of each earlier iteration in the loss relative to the next.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        warmup: share of the schedule in which the learning rate rises.
        ema: decay per step of a running mean of the student's weights, which is one more candidate; 0 keeps none.

    Attributes:
        settings: what the training depends on besides the weights.
        identity: of the refinement, noted in checkpoints; see :mod:`refine_motion.refine.identity`.

    Raises:
        ConfigError: a value is out of range.
    """

    settings: Mapping[str, Any]

    def __init__(
        self,
        teacher: Model,
        student: Model,
        iters: int,
        gamma: float,
        learning_rate: float,
        weight_decay: float,
        warmup: float,
        ema: float,
    ):
        super().__init__()
        if iters < 1 or not 0 < gamma <= 1 or learning_rate <= 0 or not 0 <= warmup < 1:
            raise ConfigError(
                "model: iters must be at least 1, gamma in (0, 1], learning_rate positive and warmup in [0, 1); "
                f"got {iters}, {gamma}, {learning_rate}, {warmup}"
            )
        if not 0 <= ema < 1:
            raise ConfigError(f"model.ema must be in [0, 1), got {ema}")
        self.iters, self.gamma = iters, gamma
        self.learning_rate, self.weight_decay, self.warmup = learning_rate, weight_decay, warmup
        self.teacher = teacher.requires_grad_(False)
        self.student = student
        self.average: AveragedModel | None = None
        if ema:
            self.average = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(ema)).requires_grad_(False)
        self.identity = ""
        self._clips: list[str] = []
        self._not_finite: list[str] = []
        self.train()

    def train(self, mode: bool = True) -> StudentModule[Model]:
        """Set the mode of the student; the teacher and batch-norm statistics stay as they are."""
        super().train(mode)
        self.teacher.eval()
        if self.average is not None:
            self.average.eval()
        # Statistics of a few crops would replace those of the whole pre-training.
        self.student.freeze_batch_norm()
        return self

    def students(self) -> dict[str, Model]:
        """The models that this training trains, by name: ``student``, and ``ema`` where a running mean is kept."""
        found = {"student": self.student}
        if self.average is not None:
            found["ema"] = cast(Model, self.average.module)
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

    @abstractmethod
    def labelling(self, settings: Any) -> FlowTeacher | TrackTeacher:
        """What labels with the teacher in stage 1.

        Args:
            settings: how labels are made.

        Raises:
            ConfigError: the settings are of labels of another kind.
        """

    @abstractmethod
    def panel(self, data: Any, device: torch.device) -> Panel[Any]:
        """Who decides on candidates.

        Args:
            data: the data module of the training.
            device: where the models run.
        """

    def note(self, clips: list[str], finite: Tensor, loss: Tensor) -> None:
        """Remember what the coming optimiser step learns from.

        Args:
            clips: names of the samples.
            finite: ``(B,)`` bool, whether all that the student says of each is a number.
            loss: of them all.
        """
        self._clips += clips
        if not loss.isfinite():
            # A loss can overflow where everything is still a number.
            bad = [clip for clip, good in zip(clips, finite.tolist(), strict=True) if not good]
            self._not_finite += bad or clips

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

    def log_mean(self, name: str, values: Tensor, mask: Tensor) -> None:
        """Log the mean over the pixels of the mask, so that over all batches every pixel weighs the same."""
        count = mask.sum().clamp(min=1)
        mean = torch.where(mask, values, 0).sum() / count
        self.log(name, mean, batch_size=int(count), sync_dist=True, add_dataloader_idx=False)

    def trained(self) -> list[nn.Parameter]:
        """What of the student learns."""
        return [parameter for parameter in self.student.parameters() if parameter.requires_grad]

    def configure_optimizers(self) -> Any:
        """AdamW under a one-cycle schedule with linear ramps."""
        optimizer = torch.optim.AdamW(self.trained(), lr=self.learning_rate, weight_decay=self.weight_decay, eps=1e-8)
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
