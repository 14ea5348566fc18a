from __future__ import annotations

import itertools

import pytest
import torch

from refine_motion.benchmarks.synthetic.stream import FlowPairs
from refine_motion.errors import ConfigError
from refine_motion.pretrain.datamodule import PretrainDataModule
from refine_motion.pretrain.stream import Stage, StepBatches, check_stages, samples_before
from refine_motion.training.stream import HELD_OUT_SEED

# That which is rendered fastest.
DOMAIN = "particles"
STAGES = [Stage(0, (64, 64), 3, 6.0, 2), Stage(2, (64, 72), 2, 9.0, 4)]


def made(seed: int, processes: int = 1, rank: int = 0) -> StepBatches:
    return StepBatches(
        STAGES, seed, lambda stage: FlowPairs(100, stage.size, stage.max_speed, seed, DOMAIN), processes, rank
    )


def numbers(processes: int = 1, rank: int = 0, steps: int = 4) -> list[list[int]]:
    batches = made(0, processes, rank)
    return [batches[step]["number"].tolist() for step in range(steps)]


def test_every_sample_once_and_in_order() -> None:
    assert numbers() == [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]
    assert [samples_before(STAGES, step) for step in range(5)] == [0, 3, 6, 8, 10]


def test_processes_share_them() -> None:
    shares = [numbers(2, rank) for rank in range(2)]
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [
        [*range(6)],
        [*range(6, 12)],
        [*range(12, 16)],
        [*range(16, 20)],
    ]


def test_a_batch_is_of_its_stage() -> None:
    batches = made(0)
    first, last = batches[1], batches[2]
    assert (first["image_a"].shape, first["iters"]) == ((3, 3, 64, 64), 2)
    assert (last["flow"].shape, last["valid"].shape, last["iters"]) == ((2, 2, 64, 72), (2, 1, 64, 72), 4)
    assert len({*first["seed"].tolist(), *last["seed"].tolist()}) == 5
    assert not torch.equal(first["image_a"][0], first["image_a"][1])
    again = made(0)[2]
    other = made(1)[2]
    for key in ("image_a", "image_b", "flow", "seed"):
        assert torch.equal(again[key], last[key])
        assert not torch.equal(other[key], last[key])


def test_workers_do_not_change_the_order() -> None:
    here, others = (PretrainDataModule(STAGES, domain=DOMAIN, num_workers=n).train_dataloader() for n in (0, 2))
    for expected, found in itertools.islice(zip(here, others, strict=True), 4):
        for key in ("number", "seed", "image_a", "image_b", "flow", "valid"):
            assert torch.equal(expected[key], found[key])


def test_held_out_pairs_are_others_and_are_kept() -> None:
    data = PretrainDataModule(STAGES, domain=DOMAIN, num_workers=0, held_out=3)
    held = list(data.val_dataloader())
    assert [len(batch["flow"]) for batch in held] == [2, 1]
    assert held[0]["flow"].shape[-2:] == (64, 72)
    trained = made(0)[2]["image_a"]
    assert not any(torch.equal(held[0]["image_a"][n], trained[m]) for n in range(2) for m in range(2))
    kept = data._kept
    data.val_dataloader()
    assert kept is not None
    assert data._kept is kept
    # Whatever the seed of the training, the scenes to measure on are the same.
    other = next(iter(PretrainDataModule(STAGES, domain=DOMAIN, num_workers=0, held_out=3, seed=7).val_dataloader()))
    assert torch.equal(other["image_a"], held[0]["image_a"])


@pytest.mark.parametrize(
    ("starts", "told"), [([], r"got \[\]"), ([1], "rise from 0"), ([0, 5, 5], "rise"), ([0, 9, 3], "rise")]
)
def test_stages_that_leave_a_step_without_one(starts: list[int], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check_stages([Stage(start, (64, 64), 1, 4.0, 1) for start in starts])


@pytest.mark.parametrize(
    "wrong", [{"start": -1}, {"size": (64, 63)}, {"batch_size": 0}, {"max_speed": 0.0}, {"iters": -1}, {"points": -1}]
)
def test_stage_out_of_range(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=r"data\.stages"):
        Stage(**{"start": 0, "size": (64, 64), "batch_size": 1, "max_speed": 4.0, "iters": 1, **wrong})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"num_workers": -1}, "num_workers"),
        ({"held_out": 0}, "held_out"),
        ({"domain": "mars"}, "known domains: source"),
        ({"seed": HELD_OUT_SEED}, "held-out scenes"),
    ],
)
def test_settings_out_of_range(wrong: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        PretrainDataModule(STAGES, **wrong)
