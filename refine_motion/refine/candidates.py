"""The weights to choose from: snapshots along the training, the last ones, their running mean, and mixtures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from refine_motion.models.weights import read_weights, save_weights
from refine_motion.refine.student import StudentModule

State = Mapping[str, Tensor]

# Shares of the refined weights, the rest of each being the original ("WiSE-FT", Wortsman et al., CVPR 2022).
MIXTURES = (0.75, 0.5, 0.25)
_PATTERN = "step_*.safetensors"


class Snapshots(Callback):
    """Saves the student at a few steps of the training; a resumed training keeps those that it has passed.

    Args:
        folder: where they go.
        count: how many, evenly spread; the end of the training is not one of them.
    """

    def __init__(self, folder: Path, count: int):
        self.folder, self.count = folder, count
        self._steps: set[int] = set()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove what another training left, or what lies after the step that this one goes on from."""
        assert isinstance(pl_module, StudentModule)
        total = pl_module.total_steps()
        self._steps = {number * total // (self.count + 1) for number in range(1, self.count + 1)} - {0}
        if trainer.is_global_zero:
            for step, path in self._saved().items():
                if step > trainer.global_step or step not in self._steps:
                    path.unlink()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Save where it is time to."""
        assert isinstance(pl_module, StudentModule)
        path = self.folder / _PATTERN.replace("*", f"{trainer.global_step:06d}")
        # With accumulated gradients several batches end at the same step.
        if trainer.global_step in self._steps and trainer.is_global_zero and not path.exists():
            save_weights(pl_module.student, path)

    def states(self) -> dict[str, State]:
        """The saved weights by name, in order.

        Raises:
            WeightsError: one of them cannot be read.
        """
        return {f"step {step}": read_weights(path) for step, path in self._saved().items()}

    def _saved(self) -> dict[int, Path]:
        return {int(path.stem.removeprefix("step_")): path for path in sorted(self.folder.glob(_PATTERN))}


def mixture(original: State, refined: State, share: float) -> dict[str, Tensor]:
    """Weights between two models.

    Args:
        original: where to start.
        refined: the same names and shapes.
        share: 0 gives the original, 1 the refined ones. What is no floating-point number stays the original's.
    """
    return {
        name: value.lerp(refined[name].to(value), share) if value.is_floating_point() else value
        for name, value in original.items()
    }
