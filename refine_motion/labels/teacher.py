"""The frozen teacher: flow of a pair in both directions, its evidence, and the loosely filtered label of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from refine_motion.errors import ConfigError
from refine_motion.labels.blend import blend, doubts
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.embedding import WindowEmbedding, load_encoder
from refine_motion.labels.fingerprint import fingerprint
from refine_motion.labels.store import LabelStore
from refine_motion.labels.views import Look, View, parse_view
from refine_motion.models.base import FlowModel
from refine_motion.motion.cycle import PAPER_ALPHA, PAPER_BETA, cycle_threshold, flow_evidence
from refine_motion.types import Evidence

# Tiles of fewer would be smaller than what models can take.
_LEAST_PIXELS = 2**16


@dataclass(frozen=True)
class LabelSettings:
    """How stage 1 makes labels. Any change makes new labels beside the old ones.

    Attributes:
        iters: iterations of the teacher.
        ceiling: what is stored at all: the paper's cycle rule times this. Filters can only tighten it.
        max_per_pair: pixels stored per pair, chosen at random beyond that.
        tolerance: the teacher stops before ``iters`` when an iteration changes the flow by less than this on average
            over the frame, in pixels; 0 never stops. It gains time and loses accuracy.
        precision: of the teacher's networks, ``32`` or ``bf16`` (autocast); evidence is float32 in any case.
        views: how the teacher sees the frames, as of :func:`refine_motion.labels.views.parse_view`: ``1x`` as they are,
            which is the paper's teacher, ``2x`` at twice their size, where a model that was trained at small motion
            finds finer motion, in the square of the factor's time. Flow is brought back to the frames' own size. Of
            several, labels are a blend, see :func:`refine_motion.labels.blend.blend`.
        probe: further views, tried on three pairs of every video, and used for the videos where they are trusted most;
            listed views that count for little there are left out, see :mod:`refine_motion.labels.probe`.
        max_pixels: of an enlarged frame; larger ones are looked at in overlapping tiles.
        threads_per_process: CPU threads of each labelling process; None leaves what torch has chosen. With a number,
            one process and several give the same bytes on one machine, since sums are split alike.
        embedding: path or name of the weights of a CorrFlow encoder, which is asked for a second opinion on every
            label, see :func:`refine_motion.motion.embedding.embedding_error`; None asks none.
    """

    iters: int = 32
    ceiling: float = 4.0
    max_per_pair: int = 200_000
    tolerance: float = 0.0
    precision: str = "32"
    views: tuple[str, ...] = ("1x",)
    probe: tuple[str, ...] = ()
    max_pixels: int = 4_000_000
    threads_per_process: int | None = None
    embedding: str | None = None

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: a value is out of range.
        """
        for name in ("iters", "max_per_pair"):
            if getattr(self, name) < 1:
                raise ConfigError(f"label.{name} must be at least 1, got {getattr(self, name)}")
        if self.ceiling <= 0:
            raise ConfigError(f"label.ceiling must be positive, got {self.ceiling}")
        if self.tolerance < 0:
            raise ConfigError(f"label.tolerance must not be negative, got {self.tolerance}")
        if self.precision not in ("32", "bf16"):
            raise ConfigError(f"label.precision must be 32 or bf16, got {self.precision!r}")
        if not self.views or len(set(self.views)) < len(self.views):
            raise ConfigError(f"label.views must be one or more different views, got {list(self.views)}")
        if len({*self.views, *self.probe}) < len(self.views) + len(self.probe):
            raise ConfigError(f"label.probe must be views that differ and are not listed, got {list(self.probe)}")
        for view in (*self.views, *self.probe):
            parse_view(view)
        if self.max_pixels < _LEAST_PIXELS:
            raise ConfigError(f"label.max_pixels must be at least {_LEAST_PIXELS}, got {self.max_pixels}")
        if self.threads_per_process is not None and self.threads_per_process < 1:
            raise ConfigError(f"label.threads_per_process must be at least 1, got {self.threads_per_process}")


class FlowTeacher:
    """A frozen flow model that labels frame pairs.

    Args:
        model: the model; it is put into eval mode and its parameters are frozen.
        settings: how labels are made.

    Raises:
        ConfigError: the embedding is no encoder of CorrFlow.
        WeightsError: its weights cannot be read.
    """

    def __init__(self, model: FlowModel, settings: LabelSettings):
        self.model = model.eval().requires_grad_(False)
        self.models: list[nn.Module] = [self.model]
        self.settings = settings
        self.facts: dict[str, object] = {"model": model.name, **asdict(settings)}
        # Labels without it are those of before there was one; with it, they depend on its weights and not their place.
        del self.facts["embedding"]
        self.encoder = None if settings.embedding is None else load_encoder(settings.embedding)
        if self.encoder is not None:
            self.models.append(self.encoder)
            self.facts["embedding"] = self.encoder.name
        if settings.precision != "32":
            self.facts["correlation_dtype"] = model.options.correlation_dtype
        self.fingerprint = fingerprint(self.facts, *self.models)

    def store(self, root: str | Path) -> LabelStore:
        """Where its labels are."""
        return LabelStore(root, self.fingerprint, self.facts)

    @property
    def min_side(self) -> int:
        """Smallest side of frames, in pixels, that the model can take in every view."""
        views = (*self.settings.views, *self.settings.probe)
        return math.ceil(self.model.min_side / min(1.0, *(parse_view(view).scale for view in views)))

    def take_threads(self) -> None:
        """Compute with as many threads as the settings ask for, once a process has been given its own number."""
        if self.settings.threads_per_process is not None:
            torch.set_num_threads(self.settings.threads_per_process)

    @torch.no_grad()
    def label(
        self, frames: Tensor, pairs: list[tuple[int, int]], seeds: list[int], views: Sequence[str] | None = None
    ) -> list[FlowLabel]:
        """Label pairs of one window; every frame is encoded once in each view, however many pairs it is in.

        Args:
            frames: ``(T, 3, H, W)`` uint8.
            pairs: positions ``(a, b)`` in the window.
            seeds: one per pair, for the choice when a pair has more pixels than are stored.
            views: those chosen for the video; None takes those of the settings.

        Returns:
            One label per pair, on the CPU.
        """
        labels = []
        seen = self._see(frames, pairs, self.settings.views if views is None else views)
        embedding = None if self.encoder is None else WindowEmbedding(self.encoder, frames)
        for (a, b), seed, looks in zip(pairs, seeds, seen, strict=True):
            # Evidence is gathered at the frames' own size, where the label is used.
            found = blend(frames[[a]], frames[[b]], [(forward, backward) for forward, backward, _ in looks])
            evidence, inside = flow_evidence(found.forward, found.backward, frames[[a]], frames[[b]], found.spread)
            if embedding is not None:
                evidence = replace(evidence, embedding_error=embedding.error(found.forward, a, b))
            taken = " + ".join(str(view) for *_, view in looks)
            labels.append(self._sparse(found.forward[0], evidence, inside[0], seed, taken))
        return labels

    @torch.no_grad()
    def doubts(self, pair: Tensor, views: Sequence[str]) -> Tensor:
        """What speaks against views of one pair, see :func:`refine_motion.labels.blend.doubts`.

        Args:
            pair: ``(2, 3, H, W)`` uint8.
            views: any.

        Returns:
            ``(V, 2, H, W)``.
        """
        (looks,) = self._see(pair, [(0, 1)], views)
        return doubts(pair[[0]], pair[[1]], [(forward, backward) for forward, backward, _ in looks])

    def _see(
        self, frames: Tensor, pairs: Sequence[tuple[int, int]], views: Sequence[str]
    ) -> list[list[tuple[Tensor, Tensor, View]]]:
        """For each pair what :meth:`Look.flow` finds in each view."""
        seen: list[list[tuple[Tensor, Tensor, View]]] = [[] for _ in pairs]
        if not pairs:
            return seen
        settings = self.settings
        # One view and one pair at a time: features and the correlation volume of a pair are what fills memory.
        for text in views:
            with self._autocast(frames.device):
                view = parse_view(text)
                look = Look(self.model, frames, view, settings.max_pixels, settings.iters, settings.tolerance)
                for looks, (a, b) in zip(seen, pairs, strict=True):
                    looks.append(look.flow(a, b))
        return seen

    def _autocast(self, device: torch.device) -> torch.autocast:
        """The precision of the settings, whatever that of a training around it."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.settings.precision == "bf16")

    def _sparse(self, flow: Tensor, evidence: Evidence, inside: Tensor, seed: int, views: str) -> FlowLabel:
        settings = self.settings
        ceiling = settings.ceiling * cycle_threshold(evidence.speed, evidence.backward_speed, PAPER_ALPHA, PAPER_BETA)
        keep = (
            (evidence.cycle_error <= ceiling)[0]
            & inside
            & flow.isfinite().all(dim=0)
            & evidence.backward_speed[0].isfinite()
        )
        index = keep.flatten().nonzero().flatten().cpu()
        if len(index) > settings.max_per_pair:
            generator = torch.Generator().manual_seed(seed)
            chosen = torch.randperm(len(index), generator=generator)[: settings.max_per_pair]
            index = index[chosen].sort().values
        flat = evidence.map(torch.flatten).to("cpu")[index]
        size = (flow.shape[1], flow.shape[2])
        return FlowLabel(size, index, flow.flatten(1).T.cpu()[index], flat, views=views)
