from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from refine_motion.benchmarks.synthetic.domains import DOMAINS
from refine_motion.benchmarks.synthetic.stream import FlowPairs
from refine_motion.errors import BenchmarkError, ConfigError
from refine_motion.pretrain.card import CardSettings, measure, model_card
from refine_motion.pretrain.datamodule import HELD_OUT_SEED

SETTINGS = CardSettings(per_domain=2, size=(64, 64), max_speed=8.0, iters=3)
FACTS: dict[str, Any] = {
    "settings": {
        "network": "raft_small",
        "learning_rate": 4e-4,
        "augment": True,
        "domain": "source",
        "seed": 17,
        "precision": "32-true",
        "processes": 2,
        "stages": [
            {"start": 0, "size": [64, 80], "batch_size": 3, "max_speed": 6.0, "iters": 2},
            {"start": 900, "size": [96, 128], "batch_size": 1, "max_speed": 9.5, "iters": 4},
        ],
    },
    "steps": 1234,
    "samples": 5678,
    "hours": 1.25,
    "hardware": ["a fast machine", "a slow machine"],
    "command": "refine-motion pretrain --config here.yaml",
    "date": "2031-02-03",
}


class Still(nn.Module):
    """Says that everything moves by the same."""

    def __init__(self, x: float = 0.0):
        super().__init__()
        self.x = nn.Parameter(torch.tensor(x))
        self.asked: list[int] = []

    def flow(self, a: Tensor, b: Tensor, iters: int = 12) -> Tensor:
        self.asked.append(iters)
        return torch.stack((self.x.expand(len(a), *a.shape[-2:]), torch.zeros(len(a), *a.shape[-2:])), dim=1)


def test_every_domain_is_measured_against_zero_flow() -> None:
    model = Still()
    found = measure(model, SETTINGS)  # type: ignore[arg-type]
    assert next(iter(found["domains"])) == "source"
    assert set(found["domains"]) == {"source", *DOMAINS}
    assert set(model.asked) == {3}
    assert found["real"] == {}
    for row in found["domains"].values():
        assert row["pairs"] == 2
        assert row["epe"] == row["zero_epe"] > 0
        assert row["ratio"] == 1
    pairs = FlowPairs(2, (64, 64), 8.0, HELD_OUT_SEED)
    speed = torch.stack([pairs[n]["flow"].norm(dim=0) for n in range(2)])
    assert found["domains"]["source"]["zero_epe"] == pytest.approx(speed.mean().item(), abs=1e-4)
    assert found["domains"]["source"]["fastest"] == pytest.approx(speed.max().item(), abs=0.051)


def test_real_pairs_are_measured_against_zero_flow(clip_folder: Path) -> None:
    settings = CardSettings(str(clip_folder / "truth"), 1, (64, 64), 8.0, 1)
    still, moved = (measure(Still(x), settings)["real"] for x in (0.0, 50.0))  # type: ignore[arg-type]
    (row,) = still.values()
    assert row["pairs"] == 2
    assert row["epe"] == row["zero_epe"] > 0
    (row,) = moved.values()
    assert row["epe"] > 40 > row["zero_epe"]
    with pytest.raises(BenchmarkError, match="no such folder"):
        measure(Still(), CardSettings(pairs="nowhere"))  # type: ignore[arg-type]


def test_the_card_says_how_the_weights_came_about_and_what_they_are_worth(tmp_path: Path) -> None:
    weights = tmp_path / "raft_small.safetensors"
    weights.write_bytes(bytes(1_990_000))
    metrics = {
        "domains": {
            "source": {"pairs": 2, "epe": 0.5, "zero_epe": 5.0, "ratio": 0.1, "fastest": 12.5},
            "fog": {"pairs": 2, "epe": 6.125, "zero_epe": 5.0, "ratio": 1.225, "fastest": 9.0},
        },
        "real": {"Rubber": {"pairs": 1, "epe": 0.75, "zero_epe": 1.5, "ratio": 0.5}},
    }
    card = model_card(weights, FACTS, metrics, SETTINGS)
    for told in (
        "`raft_small.safetensors` (2.0 MB, float16)",
        "Nothing was downloaded",
        "    refine-motion pretrain --config here.yaml",
        "| seed | 17 |",
        "| optimiser steps | 1234 |",
        "| samples seen | 5678 |",
        "| hours | 1.25 |",
        "| hardware | a fast machine; then a slow machine |",
        "| finished | 2031-02-03 |",
        "| 0 | 6 | 64x80 | 6 px | 2 |",
        "| 900 | 2 | 96x128 | 9.5 px | 4 |",
        "at 3 iterations",
        "2 pairs of 64x64",
        str(HELD_OUT_SEED),
        "| source | 2 | 0.500 | 5.000 | 0.100 | 12.5 |",
        "| fog | 2 | 6.125 | 5.000 | 1.225 | 9.0 |",
        "| Rubber (real) | 1 | 0.750 | 1.500 | 0.500 |  |",
        "## Intended use",
        "## Limits",
    ):
        assert told in card
    assert max(len(line) for line in card.splitlines() if line.startswith("|")) < 120
    plain = {**FACTS, "settings": {**FACTS["settings"], "augment": False}}
    assert "| augmentation | none |" in model_card(weights, plain, {**metrics, "real": {}}, SETTINGS)


@pytest.mark.parametrize("wrong", [{"per_domain": 0}, {"size": (0, 64)}, {"max_speed": -1.0}, {"iters": 0}])
def test_settings_out_of_range(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="card: numbers must be positive"):
        CardSettings(**wrong)
