"""One progress bar for each stage, counted in steps, with an estimate of the time left."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class StepProgressBar(ProgressBar):
    """Lightning's own bars count within an epoch, which says little where an epoch is a dozen steps."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def disable(self) -> None:
        """Lightning calls this on every process but the first."""
        self._enabled = False

    def enable(self) -> None:
        """The counterpart of :meth:`disable`."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar of the training."""
        # Without a step limit the epochs give one.
        self._start("Training", int(trainer.estimated_stepping_batches), trainer.global_step)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Advance to the step, with the metrics that the module wants shown."""
        shown = self.get_metrics(trainer, pl_module)
        told = "  ".join(f"{k.split('/')[-1]} {v:.3f}" for k, v in shown.items() if isinstance(v, float))
        self._advance(trainer.global_step, told)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the finished bar on the screen."""
        self._stop()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar of the labelling."""
        self._start("Labelling windows", int(sum(trainer.num_predict_batches)), 0)

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Advance by one window."""
        self._advance(batch_idx + 1)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the finished bar on the screen."""
        self._stop()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar of the scoring."""
        self._start("Scoring pairs", int(sum(trainer.num_test_batches)), 0)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """Advance by one pair."""
        self._advance(batch_idx + 1)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the finished bar on the screen, before the table is printed."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the terminal back before the error is printed."""
        self._stop()

    def _start(self, title: str, total: int, done: int) -> None:
        if not self._enabled:
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
        )
        self._bar = Progress(*columns)
        self._task = self._bar.add_task(title, total=total, completed=done, told="")
        self._bar.start()

    def _advance(self, done: int, told: str = "") -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=done, told=told)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
