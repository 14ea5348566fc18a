from __future__ import annotations

from pathlib import Path

import pytest
import torch

import refine_motion as rm
from refine_motion.benchmarks.source_domain import ProceduralPairs
from refine_motion.labels.source_domain import SourceDomain
from refine_motion.labels.teacher import LabelSettings
from refine_motion.metrics.functional.flow import end_point_error_map
from refine_motion.refine.datamodule import split_source
from refine_motion.refine.dataset import crop_maps
from refine_motion.refine.selection import SelectionSettings


class Watched(SourceDomain):
    """Notes which examples are asked for."""

    def __init__(self, pairs: SourceDomain):
        self.pairs = pairs
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.pairs)

    def example(self, number: int) -> dict[str, torch.Tensor]:
        self.asked.append(number)
        return self.pairs.example(number)


class Scenes(Watched):
    """Five examples of each scene."""

    def scene(self, number: int) -> str:
        return f"scene {number // 5}"


@pytest.mark.parametrize("count", [2, 9, 30, 700])
def test_whole_scenes_are_held_out(count: int) -> None:
    domain = Scenes(ProceduralPairs(count=count))
    learnt, held = split_source(domain)
    assert learnt
    assert held
    assert not {domain.scene(n) for n in learnt} & {domain.scene(n) for n in held} or count < 6
    assert not set(learnt) & set(held)
    assert len(held) <= 32


def test_replayed_examples_are_learnt_from_and_others_tell_what_is_forgotten(
    clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = ProceduralPairs(count=30, size=(80, 72), max_speed=4.0)
    domain = Watched(pairs)
    result = rm.refine(
        clip_folder / "videos",
        None,
        untrained,
        tmp_path / "run",
        steps=4,
        iters=2,
        filters={},
        settings=LabelSettings(iters=1, ceiling=1e4),
        accelerator="cpu",
        crop=(64, 64),
        batch_size=4,
        num_workers=0,
        learning_rate=1e-3,
        replay=domain,
        replay_share=0.5,
        selection=SelectionSettings(enabled=False),
    )
    # A tenth of them is held out; of two batches of four an epoch, half are examples.
    learnt, held = (set(numbers) for numbers in split_source(domain))
    assert held == {5, 15, 25}
    assert held <= set(domain.asked)
    assert 5 <= len(learnt & set(domain.asked)) <= 8
    assert "source domain" in capsys.readouterr().out

    def error(weights: Path) -> float:
        model = rm.load_model(None, weights=weights)
        total = count = 0.0
        for number in held:
            maps = crop_maps(pairs.example(number), (64, 64), 0.5, 0.5)
            flow = model.flow(maps["image_a"][None], maps["image_b"][None], 2)[0]
            error = end_point_error_map(flow, maps["flow"])[maps["valid"][0]]
            total, count = total + error.sum().item(), count + len(error)
        return total / count

    assert result.held_out["val/teacher_source_epe"] == pytest.approx(error(untrained), rel=1e-4)
    assert result.held_out["val/source_epe"] == pytest.approx(error(result.files["student"]), rel=1e-4)
