"""Training batches without end, and a few held-out pairs of the same source."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from refine_motion.benchmarks.synthetic.domains import domain as domain_named
from refine_motion.benchmarks.synthetic.stream import FlowPairs, TrackClips
from refine_motion.errors import ConfigError
from refine_motion.pretrain.stream import Stage, StepBatches, check_stages
from refine_motion.training.stream import ENDLESS, HELD_OUT_SEED, step_loader


class PretrainDataModule(LightningDataModule):
    """Procedural samples, a new scene for each, in the same order on any number of workers.

    They are pairs with exact flow, or clips with exact tracks.

    Step k takes the samples that follow those of step k - 1, so a training that goes on at step k sees none twice and
    leaves none out.

    Args:
        stages: what the samples are like, from which step on; the last holds to the end.
        num_workers: processes that render.
        render_device: render on this device (``cuda``) in the training process instead.
        held_out: number of samples for validation, in size and speed of the last stage, from a seed that no training
            takes (:data:`HELD_OUT_SEED`); rendered once.
        domain: of the procedural worlds, by name.
        points: followed in each clip, for a track model; 0 makes pairs for a flow model.
        frames: of a clip.
        seed: of scenes and augmentation.

    Attributes:
        settings: what the training depends on here, as JSON can hold it.

    Raises:
        ConfigError: a value is out of range, or there is no such domain.
    """

    def __init__(
        self,
        stages: list[Stage],
        num_workers: int = 1,
        render_device: str | None = None,
        held_out: int = 32,
        domain: str = "source",
        points: int = 0,
        frames: int = 8,
        seed: int = 0,
    ):
        super().__init__()
        check_stages(stages)
        if num_workers < 0 or held_out < 1:
            raise ConfigError(
                f"data: num_workers must be at least 0 and held_out at least 1, got {num_workers} and {held_out}"
            )
        if points < 0 or frames < 2:
            raise ConfigError(f"data: points must not be negative and frames at least 2, got {points} and {frames}")
        if seed == HELD_OUT_SEED:
            raise ConfigError(f"seed {seed} is that of the held-out scenes; take another")
        self.stages, self.seed, self.held_out = stages, seed, held_out
        self.domain = domain_named(domain).name
        self.points, self.frames = points, frames
        self.device = render_device or "cpu"
        self.num_workers = 0 if render_device else num_workers
        self.settings = {"stages": [stage.plain() for stage in stages], "domain": domain, "seed": seed}
        if points:
            self.settings |= {"points": points, "frames": frames}
        self._kept: list[dict[str, Tensor]] | None = None

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """A batch per step, from the trainer's present step on."""
        trainer = self.trainer
        world, rank = (1, 0) if trainer is None else (trainer.world_size, trainer.global_rank)
        batches = StepBatches(
            self.stages, self.seed, lambda stage: self._samples(stage, ENDLESS, self.seed), world, rank
        )
        return step_loader(batches, trainer, self.num_workers)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """The held-out samples."""
        if self._kept is None:
            last = self.stages[-1]
            samples = self._samples(last, self.held_out, HELD_OUT_SEED)
            self._kept = [samples[number] for number in range(self.held_out)]
        return DataLoader(self._kept, batch_size=self.stages[-1].batch_size)  # type: ignore[arg-type]

    def _samples(self, stage: Stage, length: int, seed: int) -> Dataset[dict[str, Tensor]]:
        if not self.points:
            return FlowPairs(length, stage.size, stage.max_speed, seed, self.domain, self.device)
        points = stage.points or self.points
        return TrackClips(length, stage.size, self.frames, points, stage.max_speed, seed, self.domain, self.device)
