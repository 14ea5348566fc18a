"""The Lightning trainer with stage 1 as a method of its own and precision that coordinates survive."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar

from refine_motion.errors import ConfigError
from refine_motion.labels.teacher import LabelSettings
from refine_motion.labels.track_teacher import TrackLabelSettings
from refine_motion.refine.label_data import LabelDataModule
from refine_motion.refine.progress import StepProgressBar
from refine_motion.refine.stage1 import label_videos
from refine_motion.refine.student import StudentModule

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")

# What Lightning says of things that are meant: the teacher stays in eval mode, the module augments, windows are read
# whole, scores of repeated pairs are dropped; and its advertisements.
_KNOWN_WARNINGS = (
    r".*module\(s\) in eval mode at the start of training.*",
    r".*You have overridden `on_after_batch_transfer` in `LightningModule`.*",
    r".*Couldn't infer the batch indices.*",
    r".*is smaller than the logging interval.*",
    r".*does not have many workers.*",
    r".*Using `DistributedSampler` with the dataloaders\. During `trainer\.test\(\)`.*",
    r".*isinstance\(treespec, LeafSpec\).*",
    # Ours goes on at the right batch, though not through the interface that Lightning looks for.
    r".*ended before the epoch ended and your dataloader is not resumable.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*Total length of `list` across ranks is zero.*",
)


class _NoTips(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return "Tip:" not in record.getMessage()


# One object, because a logger that is given it twice keeps it once.
_NO_TIPS = _NoTips()


class RefineTrainer(Trainer):
    """A Trainer that refuses precisions which round coordinates.

    Args:
        *args: as of ``lightning.pytorch.Trainer``.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``. With half precision throughout, positions beyond a few
            hundred pixels would be off by pixels.
        callbacks: as of ``lightning.pytorch.Trainer``; a progress bar of ours is added where there is none.
        **kwargs: as of ``lightning.pytorch.Trainer``.

    Raises:
        ConfigError: another precision is asked for.
    """

    def __init__(
        self,
        *args: Any,
        precision: str | int | None = None,
        callbacks: list[Callback] | Callback | None = None,
        **kwargs: Any,
    ):
        asked = str(precision) if precision is not None else "32-true"
        name = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}.get(asked, asked)
        if name not in PRECISIONS:
            raise ConfigError(
                f"trainer.precision is {precision}: it would round coordinates; use one of {', '.join(PRECISIONS)}"
            )
        for message in _KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_NO_TIPS)
        callbacks = callbacks if isinstance(callbacks, list) else [] if callbacks is None else [callbacks]
        if kwargs.get("enable_progress_bar") is not False and not any(isinstance(c, ProgressBar) for c in callbacks):
            callbacks = [*callbacks, StepProgressBar()]
        super().__init__(*args, precision=name, callbacks=callbacks, **kwargs)  # type: ignore[arg-type]

    def label(
        self,
        model: StudentModule[Any],
        datamodule: LabelDataModule[Any, Any],
        settings: LabelSettings | TrackLabelSettings = LabelSettings(),  # noqa: B008
    ) -> None:
        """Stage 1 alone: label what is missing and print the yield.

        Args:
            model: holds the frozen teacher.
            datamodule: the videos.
            settings: how labels are made.
        """
        label_videos(self, model.labelling(settings), datamodule)
