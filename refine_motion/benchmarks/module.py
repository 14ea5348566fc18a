"""A flow model on a benchmark, as a test of Lightning: with one process or several the numbers are the same."""

from __future__ import annotations

import torch.distributed
from lightning.pytorch import LightningModule

from refine_motion.benchmarks.flow_pair import FlowSample
from refine_motion.benchmarks.flow_table import FlowTable
from refine_motion.benchmarks.scores import PairScore, score_pair, tabulate
from refine_motion.errors import ConfigError
from refine_motion.models.load import load_flow_model


class FlowBenchmarkModule(LightningModule):
    """Scores a model, alone or against a second one, on the pairs that a data module serves.

    Args:
        network: registered model name; None recognises it from the weights.
        weights: path of the weights to score.
        against: path of weights to compare with, usually those before refinement.
        iters: refinement iterations; the protocols of the benchmarks have 24 or 32.

    Attributes:
        table: the result; set, on every process, when the test ends.

    Raises:
        ConfigError: no weights are given, or ``iters`` is below 1.
        WeightsError: the weights are missing, unreadable or of another architecture.
    """

    table: FlowTable | None = None

    def __init__(
        self, network: str | None = None, weights: str | None = None, against: str | None = None, iters: int = 32
    ):
        super().__init__()
        if iters < 1:
            raise ConfigError(f"model.iters is {iters}; at least 1 is needed")
        self.save_hyperparameters()
        self.iters = iters
        self.model = load_flow_model(network, weights)
        self.against = None if against is None else load_flow_model(network, against)
        self._scores: list[PairScore] = []

    def on_test_epoch_start(self) -> None:
        """Forget an earlier test."""
        self._scores, self.table = [], None

    def test_step(self, batch: FlowSample, batch_idx: int) -> None:
        """Score one pair."""
        self._scores.append(score_pair(batch, self.model, self.against, self.iters))

    def on_test_epoch_end(self) -> None:
        """Gather the scores of all processes, make the table and log its pooled values."""
        parts = [self._scores]
        if self.trainer.world_size > 1:
            parts = [[] for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather_object(parts, self._scores)
        self.table = tabulate([score for part in parts for score in part], self.iters)
        if self.logger is not None:
            self.logger.log_metrics({f"test/{name}": value for name, value in self.table.pooled.scores().items()})
