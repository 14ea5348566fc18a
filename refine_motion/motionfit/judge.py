"""What a network of clips is worth: accuracy over several clips and crops of each video, and retrieval."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from refine_motion.errors import ConfigError
from refine_motion.files import replacing
from refine_motion.metrics.retrieval import VideoRetrieval
from refine_motion.motionfit.augment import ActionAugmentation
from refine_motion.motionfit.datamodule import ActionDataModule
from refine_motion.motionfit.trained import Trained

_TOP = 5


@dataclass(frozen=True)
class ActionScores:
    """Per cent of the test videos, by name, and of those of each class by its name.

    A video counts as its clips and crops say together: the mean of their logits, as facebookresearch/selavi tests.

    Attributes:
        scores: ``top1``, ``top5`` (of as many classes as there are, where they are fewer), ``class_mean``.
        classes: of the videos of each class, ``top1``; not a number where the test has none.
        videos: how many.
    """

    scores: dict[str, float]
    classes: dict[str, float]
    videos: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        known = {name: None if value != value else value for name, value in self.classes.items()}
        return {"scores": self.scores, "classes": known, "videos": self.videos}

    def to_csv(self, path: str | Path) -> None:
        """Write ``top1`` of each class and, as row ``mean``, the scores of all, unrounded. Folders are made.

        What is not known is an empty cell.
        """
        rows = [{"name": name, "top1": value} for name, value in self.to_dict()["classes"].items()]
        with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["name", *self.scores])
            writer.writeheader()
            writer.writerows([*rows, {"name": "mean", **self.scores}])

    def print(self, title: str) -> None:
        """On the screen."""
        print_scores(title, self.scores)


def print_scores(title: str, scores: Mapping[str, float]) -> None:
    """A table of one row on the screen.

    Args:
        title: above the table.
        scores: per cent, by name.
    """
    console, table = Console(), Table()
    for name in scores:
        table.add_column(name, justify="right")
    table.add_row(*(f"{value:.1f} %" for value in scores.values()))
    # As a title of the table it would be folded to the width of the numbers.
    console.print(title, markup=False, highlight=False, soft_wrap=True)
    console.print(table)


@torch.no_grad()
def judge_actions(trained: Trained, data: ActionDataModule, crops: int, device: torch.device) -> ActionScores:
    """Accuracy on the test videos of a collection.

    Args:
        trained: the network.
        data: after ``setup``, with flow where the network looks at it.
        crops: of each clip, 1 or 3.
        device: to compute on.

    Raises:
        ConfigError: another number of crops, or no clips to judge by.
    """
    count = len(trained.classes)
    right = MulticlassAccuracy(count, average="none")
    metrics = {
        "top1": MulticlassAccuracy(count, average="micro"),
        "top5": MulticlassAccuracy(count, average="micro", top_k=min(_TOP, count)),
    }
    for logits, label, _ in _looks(trained, data, "test", crops, device, head=True):
        video = logits.mean(dim=(1, 2))
        for metric in (right, *metrics.values()):
            metric.update(video, label)
    seen = {labelled.label for labelled in data.test_videos}
    by_class = right.compute()
    classes = {
        name: 100 * by_class[number].item() if number in seen else float("nan")
        for number, name in enumerate(trained.classes)
    }
    known = [classes[trained.classes[number]] for number in sorted(seen)]
    scores = {name: 100 * metric.compute().item() for name, metric in metrics.items()}
    return ActionScores(scores | {"class_mean": sum(known) / len(known)}, classes, len(data.test_videos))


@torch.no_grad()
def judge_retrieval(trained: Trained, data: ActionDataModule, device: torch.device) -> dict[str, float]:
    """Retrieval of test videos among those to learn from by the features of their clips; see :class:`VideoRetrieval`.

    Args:
        trained: the network; its head takes no part.
        data: after ``setup``, with flow where the network looks at it.
        device: to compute on.

    Returns:
        ``r_at_<k>`` in per cent, by name.

    Raises:
        ConfigError: there are no clips to judge by.
    """
    metric = VideoRetrieval()
    parts: tuple[tuple[Literal["train", "test"], int], ...] = (("train", 0), ("test", len(data.train_videos)))
    for part, first in parts:
        for features, label, number in _looks(trained, data, part, 1, device, head=False):
            metric.update(features[:, :, 0], label, first + number, gallery=part == "train")
    return {name: value.item() for name, value in metric.compute().items()}


def _looks(
    trained: Trained,
    data: ActionDataModule,
    part: Literal["train", "test"],
    crops: int,
    device: torch.device,
    head: bool,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Logits or features ``(B, K, crops, D)`` on the CPU, labels and numbers of the videos of one part."""
    if not data.test_clips:
        raise ConfigError("data.test_clips is 0, so there is nothing to judge by; set it to 1 or more, usually 10")
    model = trained.model.to(device).eval()
    view = ActionAugmentation(crop=trained.crop)
    loader = data.test_dataloader(part)
    for batch in track(loader, f"looking at {part} videos", transient=True):
        clips = view.centre(batch["clips"].to(device), crops, trained.clip.flow.limit)
        flat = clips.flatten(0, 2)
        found = model(flat) if head else model.features(flat)
        yield found.unflatten(0, clips.shape[:3]).float().cpu(), batch["label"], batch["number"]
