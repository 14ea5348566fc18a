from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.utils.data import Dataset

from refine_motion.training.stream import Batches, sample_seed, step_loader


class Numbers(Dataset[dict[str, Tensor]]):
    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return {"value": torch.tensor([number, 10 * number])}


def test_a_step_takes_the_samples_after_those_of_the_step_before() -> None:
    batches = Batches(Numbers(), batch_size=3, seed=4)
    assert [batches[step]["number"].tolist() for step in (0, 1, 5)] == [[0, 1, 2], [3, 4, 5], [15, 16, 17]]
    assert batches[1]["value"].tolist() == [[3, 30], [4, 40], [5, 50]]
    assert batches[1]["seed"].tolist() == [sample_seed(4, number) for number in (3, 4, 5)]


def test_processes_share_the_samples_and_the_seed_of_the_step() -> None:
    shares = [Batches(Numbers(), 2, 0, processes=3, rank=rank)[4] for rank in range(3)]
    assert sorted(number for share in shares for number in share["number"].tolist()) == [*range(24, 30)]
    assert len({share["step_seed"] for share in shares}) == 1
    assert len({Batches(Numbers(), 2, seed)[step]["step_seed"] for seed in range(3) for step in range(5)}) == 15


def test_kinds_of_draws_are_not_tied() -> None:
    assert len({sample_seed(0, number, kind) for number in range(9) for kind in ("", "step", "order", "start")}) == 36


def test_the_loader_makes_them_in_order_with_any_number_of_workers() -> None:
    expected = [[2 * step, 2 * step + 1] for step in range(5)]
    for workers in (0, 2):
        loader = step_loader(Batches(Numbers(), 2, 0), None, workers)
        assert [batch["number"].tolist() for batch in itertools.islice(loader, 5)] == expected
