"""The Lightning trainer with stage 1 as a method of its own and precision that coordinates survive."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Trainer

from refine_motion.errors import ConfigError
from refine_motion.labels.teacher import FlowTeacher, LabelSettings
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.module import RefineModule
from refine_motion.refine.stage1 import label_videos

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


class RefineTrainer(Trainer):
    """A Trainer that refuses precisions which round coordinates.

    Args:
        *args: as of ``lightning.pytorch.Trainer``.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``. With half precision throughout, positions beyond a few
            hundred pixels would be off by pixels.
        **kwargs: as of ``lightning.pytorch.Trainer``.

    Raises:
        ConfigError: another precision is asked for.
    """

    def __init__(self, *args: Any, precision: str | int | None = None, **kwargs: Any):
        torch.set_flush_denormal(True)
        asked = str(precision) if precision is not None else "32-true"
        name = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}.get(asked, asked)
        if name not in PRECISIONS:
            raise ConfigError(
                f"trainer.precision is {precision}: it would round coordinates; use one of {', '.join(PRECISIONS)}"
            )
        super().__init__(*args, precision=name, **kwargs)  # type: ignore[arg-type]

    def label(
        self,
        model: RefineModule,
        datamodule: VideoLabelDataModule,
        settings: LabelSettings = LabelSettings(),  # noqa: B008
    ) -> None:
        """Stage 1 alone: label what is missing and print the yield.

        Args:
            model: holds the frozen teacher.
            datamodule: the videos.
            settings: how labels are made.
        """
        label_videos(self, FlowTeacher(model.teacher, settings), datamodule)
