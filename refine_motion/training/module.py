"""What every training that is made in pieces keeps in its checkpoints, and how it watches its gradients."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import LightningModule
from torch import nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from refine_motion.errors import TrainingError
from refine_motion.training.checkpoint import NOTE
from refine_motion.training.hardware import hardware


class PieceModule(LightningModule):
    """A module whose training may be stopped at any step and go on in another process.

    Attributes:
        model: what is trained.
        settings: what the training depends on here, as JSON can hold it.
        note: what checkpoints hold about the training besides its state: what the run puts there, the ``seconds`` that
            it took and the ``hardware`` that it ran on.
    """

    model: nn.Module
    settings: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.note: dict[str, Any] = {"seconds": 0.0, "hardware": []}
        self._before = 0.0
        self._since: float | None = None

    def on_train_start(self) -> None:
        """Note the machine; time counts on where the piece before stopped."""
        self._before, self._since = self.note["seconds"], time.monotonic()
        machine = hardware(self.trainer.strategy.root_device)
        if machine not in self.note["hardware"]:
            self.note["hardware"].append(machine)

    def on_train_end(self) -> None:
        """Note the time."""
        self._note_time()

    def _note_time(self) -> None:
        # Nothing has started where a checkpoint of the last step goes on.
        if self._since is not None:
            self.note["seconds"] = self._before + time.monotonic() - self._since

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note which training it belongs to, and how long that has taken so far."""
        self._note_time()
        checkpoint[NOTE] = self.note
        # Lightning counts `max_time` over all pieces of a training; here it is that of one piece.
        states = checkpoint.get("callbacks", {})
        checkpoint["callbacks"] = {key: state for key, state in states.items() if not key.startswith("Timer")}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the time and the hardware of the pieces before."""
        self.note = checkpoint[NOTE]

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Stop before a gradient that is not a number reaches the weights.

        Raises:
            TrainingError: with what to do.
        """
        # The gradient scaler of 16-mixed meets infinite gradients now and then and skips the step, which is all right.
        if str(self.trainer.precision) == "16-mixed":
            return
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        if not get_total_norm(gradients).isfinite():
            raise TrainingError(
                f"step {self.trainer.global_step}: the gradient is not a number; the checkpoints before it are kept: "
                "lower model.learning_rate, in another --workdir"
            )
