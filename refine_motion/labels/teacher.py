"""The frozen teacher: flow of a pair in both directions, its evidence, and the loosely filtered label of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.labels.codec import FlowLabel
from refine_motion.models.base import FlowModel, resize_flow
from refine_motion.motion.cycle import PAPER_ALPHA, PAPER_BETA, cycle_threshold, flow_evidence
from refine_motion.types import Evidence


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
        scale: the teacher sees frames enlarged by this factor, 1 to 3, and its flow is brought back to their own size.
            Trained at small motion, it finds finer motion there, in the square of the factor's time.
        threads_per_process: CPU threads of each labelling process; None leaves what torch has chosen. With a number,
            one process and several give the same bytes on one machine, since sums are split alike.
    """

    iters: int = 32
    ceiling: float = 4.0
    max_per_pair: int = 200_000
    tolerance: float = 0.0
    precision: str = "32"
    scale: float = 1.0
    threads_per_process: int | None = None

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: a value is below its minimum.
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
        if not 1 <= self.scale <= 3:
            raise ConfigError(f"label.scale must be between 1 and 3, got {self.scale}")
        if self.threads_per_process is not None and self.threads_per_process < 1:
            raise ConfigError(f"label.threads_per_process must be at least 1, got {self.threads_per_process}")


class FlowTeacher:
    """A frozen flow model that labels frame pairs.

    Args:
        model: the model; it is put into eval mode and its parameters are frozen.
        settings: how labels are made.
    """

    def __init__(self, model: FlowModel, settings: LabelSettings):
        self.model = model.eval().requires_grad_(False)
        self.settings = settings
        self.facts: dict[str, object] = {"model": model.name, **asdict(settings)}
        if settings.precision != "32":
            self.facts["correlation_dtype"] = model.options.correlation_dtype
        digest = hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode())
        for name, value in sorted(model.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        self.fingerprint = digest.hexdigest()[:16]

    @torch.no_grad()
    def label(self, frames: Tensor, pairs: list[tuple[int, int]], seeds: list[int]) -> list[FlowLabel]:
        """Label pairs of one window; every frame is encoded once, however many pairs it is in.

        Args:
            frames: ``(T, 3, H, W)`` uint8.
            pairs: positions ``(a, b)`` in the window.
            seeds: one per pair, for the choice when a pair has more pixels than are stored.

        Returns:
            One label per pair, on the CPU.
        """
        if not pairs:
            return []
        size = (frames.shape[2], frames.shape[3])
        with self._autocast(frames.device):
            features = self.model.encode(self._enlarged(frames))
        labels = []
        # One pair at a time: the correlation volume of a pair is what fills memory, not what the device waits for.
        for (a, b), seed in zip(pairs, seeds, strict=True):
            with self._autocast(frames.device):
                forward, backward = self.model.match_both(
                    features[[a]], features[[b]], self.settings.iters, self.settings.tolerance
                )
            # Evidence is gathered at the frames' own size, where the label is used.
            if self.settings.scale != 1:
                forward, backward = resize_flow(forward, size), resize_flow(backward, size)
            evidence, inside = flow_evidence(forward, backward, frames[[a]], frames[[b]])
            labels.append(self._sparse(forward[0], evidence, inside[0], seed))
        return labels

    def _enlarged(self, frames: Tensor) -> Tensor:
        if self.settings.scale == 1:
            return frames
        size = [round(side * self.settings.scale) for side in frames.shape[-2:]]
        return F.interpolate(frames.float(), size, mode="bilinear", align_corners=False)

    def _autocast(self, device: torch.device) -> torch.autocast:
        """The precision of the settings, whatever that of a training around it."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.settings.precision == "bf16")

    def _sparse(self, flow: Tensor, evidence: Evidence, inside: Tensor, seed: int) -> FlowLabel:
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
        flat = Evidence(**{name: values.flatten() for name, values in vars(evidence).items()}).to("cpu")[index]
        return FlowLabel((flow.shape[1], flow.shape[2]), index, flow.flatten(1).T.cpu()[index], flat)
