from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from refine_motion.benchmarks.flow_table import FlowRow, FlowTable
from refine_motion.demo.domain_table import DomainScore, domain_table, note_score, noted_score, score
from refine_motion.demo.job import DemoResult
from refine_motion.demo.labels import LabelQuality
from refine_motion.demo.plan import DemoPlan
from refine_motion.demo.stages import DemoFolder

FOUND = DomainScore("fog", 3, before=0.5, after=0.4, zero=1.0, kept_share=0.8, label_error=0.3, seconds=60.0)


def test_score_of_a_demonstration(plan: DemoPlan) -> None:
    values: dict[str, Any] = {field.name: 0.4 for field in fields(FlowRow)}
    row = FlowRow(**values | {"name": "fog_1", "epe_against": 0.5})
    result = DemoResult(
        plan,
        folder=DemoFolder(Path("demo")),
        before=Path("before.safetensors"),
        refined=None,  # type: ignore[arg-type] # weights and labels have no part in the score
        table=FlowTable([row], row, iters=2),
        labels=LabelQuality(0.8, 0.3, 2.0),
        zero=1.0,
        seconds={"Render": 20.0, "Judge": 40.0},
    )
    assert score(result) == FOUND
    assert score(result).change == pytest.approx(result.change) == pytest.approx(-0.2)


def test_a_noted_score_counts_for_the_same_plan_and_weights_alone(
    plan: DemoPlan, tmp_path: Path, untrained: Path
) -> None:
    copy = tmp_path / "weights.safetensors"
    copy.write_bytes(untrained.read_bytes())
    plan = replace(plan, weights=str(copy))
    assert noted_score(tmp_path, plan) is None
    note_score(tmp_path, plan, FOUND)
    assert noted_score(tmp_path, plan) == FOUND
    assert noted_score(tmp_path, replace(plan, seed=4)) is None
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    assert noted_score(tmp_path, plan) is None


def test_table_has_means_over_seeds_and_over_domains() -> None:
    scores = [FOUND, replace(FOUND, seed=4, after=0.6), replace(FOUND, domain="night", after=0.3)]
    console = Console(width=140, record=True, file=None)
    console.print(domain_table(scores))
    text = console.export_text()
    fog = next(line for line in text.splitlines() if "fog" in line)
    assert "0.500" in fog  # before, and the mean of 0.4 and 0.6
    assert "+0.0%" in fog
    assert "-20.0%, +20.0%" in fog
    assert "-40.0%" in next(line for line in text.splitlines() if "night" in line)
    assert "-20.0%" in next(line for line in text.splitlines() if line.strip().startswith("mean"))
