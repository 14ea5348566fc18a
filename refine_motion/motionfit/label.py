"""Pseudo-labels of unlabelled videos by a trained network: features of their cells, then clusters or classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from lightning.pytorch.utilities import rank_zero_info
from rich.progress import track
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from refine_motion.errors import ConfigError, VideoError
from refine_motion.files import remove_abandoned, replacing
from refine_motion.labels.fingerprint import fingerprint
from refine_motion.motionfit.augment import ActionAugmentation
from refine_motion.motionfit.clusters import ClusterSettings, fit_clusters
from refine_motion.motionfit.granularity import Cell, Granularity
from refine_motion.motionfit.label_store import LabelTable, Row, write_labels
from refine_motion.motionfit.pseudo_labels import PseudoLabels, posterior_labels
from refine_motion.motionfit.readers import ClipReader
from refine_motion.motionfit.timeline import timeline
from refine_motion.motionfit.trained import Trained
from refine_motion.video.info import VideoInfo

_SCHEMA = "features 1"


@dataclass(frozen=True)
class PseudoLabelSettings:
    """How features become labels; all of it is a choice of this project.

    Attributes:
        kind: ``clusters`` of the features, or ``posteriors``: the classes of the teacher itself, plain self-training.
        unit: what gets a label by itself: each ``clip`` (cell), or a ``video`` by the mean over its cells.
        strides: of the cells; ``None`` for those that the teacher was trained at.
        clusters: see :class:`ClusterSettings`.
        batch_size: clips that are looked at together.
    """

    kind: Literal["clusters", "posteriors"] = "clusters"
    unit: Literal["clip", "video"] = "clip"
    strides: tuple[int, ...] | None = None
    clusters: ClusterSettings = ClusterSettings()  # noqa: RUF009  (frozen)
    batch_size: int = 16

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: a word is unknown, or the batch is empty.
        """
        if self.kind not in ("clusters", "posteriors") or self.unit not in ("clip", "video"):
            raise ConfigError(
                f"label.kind must be clusters or posteriors and label.unit clip or video, got {self.kind!r} and "
                f"{self.unit!r}"
            )
        if self.batch_size < 1:
            raise ConfigError(f"label.batch_size must be at least 1, got {self.batch_size}")


def label_cells(
    teacher: Trained,
    videos: Sequence[VideoInfo],
    settings: PseudoLabelSettings,
    folder: str | Path,
    cache: str | Path,
    device: torch.device,
    provenance: dict[str, object],
) -> LabelTable:
    """Label every cell of some videos and write the table.

    Features of a video are kept as soon as they are there, so a killed run goes on, and other settings of the labels
    cost no second look at the videos.

    Args:
        teacher: the trained network.
        videos: to be labelled; those without room for a clip get no label.
        settings: see :class:`PseudoLabelSettings`.
        folder: of the labels; features go into ``features`` in it.
        cache: folder of the flow, where the teacher looks at it.
        device: to compute on.
        provenance: more facts to keep with the labels, as JSON can hold them.

    Returns:
        The table, as :func:`refine_motion.motionfit.label_store.read_labels` reads it.

    Raises:
        VideoError: a video cannot be read, or none has room for a clip.
        ConfigError: there are fewer different features than clusters.
        LabelError: a feature is not a number.
    """
    folder = Path(folder)
    granularity = Granularity(teacher.clip.length, settings.strides or teacher.clip.strides)
    fps = teacher.clip.footage.fps
    cells = {video.key: granularity.cells(video.key, len(timeline(video, fps))) for video in videos}
    roomy = [video for video in videos if cells[video.key]]
    if not roomy:
        raise VideoError(
            f"no video has {granularity.length} frames at stride {min(granularity.strides)}, as the teacher was "
            "trained; give longer ones, or train it on shorter clips"
        )
    if len(roomy) < len(videos):
        rank_zero_info(f"{len(videos) - len(roomy)} videos are too short for a clip and get no label")
    reader = teacher.reader(Path(cache))
    reader.prepare(roomy, granularity.strides, device)
    looks = _Looks(teacher, reader, folder / "features", settings.batch_size, device)
    found = [looks.at(video, cells[video.key]) for video in track(roomy, "features of videos", transient=True)]
    labels = _labels(found, settings)
    rows = [
        Row(cell, str(video.path), int(label), float(sure))
        for video, part in zip(roomy, labels, strict=True)
        for cell, label, sure in zip(cells[video.key], part.ids, part.confidence, strict=True)
    ]
    clusters = settings.kind == "clusters"
    classes = tuple(f"cluster {n}" for n in range(settings.clusters.count)) if clusters else teacher.classes
    facts = provenance | {
        # Over the teacher's weights and all that it looked at.
        "network": teacher.model.name,
        "features": looks.key,
        "clips": reader.settings(),
        "label": asdict(settings),
    }
    table = LabelTable(tuple(rows), classes, granularity, fps, facts)
    write_labels(folder, table)
    return table


class _Looks:
    """Features and logits of cells, kept in a file for each video.

    Attributes:
        key: 16 hex digits over all that they depend on.
    """

    def __init__(self, teacher: Trained, reader: ClipReader, root: Path, batch_size: int, device: torch.device):
        facts = {
            "schema": _SCHEMA,
            "network": teacher.model.name,
            "clips": reader.settings(),
            "length": teacher.clip.length,
            "crop": list(teacher.crop),
        }
        self.key = fingerprint(facts, teacher.model)
        self.model = teacher.model.to(device).eval()
        self.view, self.limit = ActionAugmentation(crop=teacher.crop), teacher.clip.flow.limit
        self.reader, self.length, self.batch_size, self.device = reader, teacher.clip.length, batch_size, device
        self.folder = root / self.key
        remove_abandoned(self.folder)

    def at(self, video: VideoInfo, cells: Sequence[Cell]) -> tuple[Tensor, Tensor]:
        """Features ``(M, D)`` and logits ``(M, K)`` of a video's cells, in their order."""
        names = "_".join(str(stride) for stride in dict.fromkeys(cell.stride for cell in cells))
        path = self.folder / video.key[:2] / f"{video.key}_{names}.safetensors"
        try:
            kept = load_file(path)
            if len(kept["features"]) == len(kept["logits"]) == len(cells):
                return kept["features"], kept["logits"]
        # Damaged, or of another version: made again.
        except (OSError, SafetensorError, LookupError):
            pass
        parts = [self._look(video, cells[n : n + self.batch_size]) for n in range(0, len(cells), self.batch_size)]
        features, logits = (torch.cat(values) for values in zip(*parts, strict=True))
        with replacing(path) as partial:
            partial.write_bytes(save({"features": features.contiguous(), "logits": logits.contiguous()}))
        return features, logits

    @torch.no_grad()
    def _look(self, video: VideoInfo, cells: Sequence[Cell]) -> tuple[Tensor, Tensor]:
        clips = torch.stack([self.reader.read(video, cell.start, cell.stride, self.length) for cell in cells])
        seen = self.view.centre(clips[:, None].to(self.device), 1, self.limit)[:, 0, 0]
        features = self.model.features(seen)
        return features.float().cpu(), self.model.fc(features).float().cpu()


def _labels(found: Sequence[tuple[Tensor, Tensor]], settings: PseudoLabelSettings) -> list[PseudoLabels]:
    """Of the cells of each video."""
    counts = [len(features) for features, _ in found]
    if settings.kind == "posteriors":
        if settings.unit == "clip":
            return _split(posterior_labels(torch.cat([logits for _, logits in found])[:, None]), counts)
        # Videos have different numbers of cells.
        return [_repeated(posterior_labels(logits[None]), len(logits)) for _, logits in found]
    if settings.unit == "clip":
        features = torch.cat([features for features, _ in found])
        return _split(fit_clusters(features, settings.clusters).assign(features), counts)
    features = torch.stack([features.mean(dim=0) for features, _ in found])
    each = _split(fit_clusters(features, settings.clusters).assign(features), [1] * len(found))
    return [_repeated(label, count) for label, count in zip(each, counts, strict=True)]


def _split(labels: PseudoLabels, counts: Sequence[int]) -> list[PseudoLabels]:
    ids, confidence = labels.ids.split(list(counts)), labels.confidence.split(list(counts))
    return [PseudoLabels(*pair) for pair in zip(ids, confidence, strict=True)]


def _repeated(label: PseudoLabels, count: int) -> PseudoLabels:
    return PseudoLabels(label.ids.expand(count), label.confidence.expand(count))
