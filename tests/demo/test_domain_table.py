from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from refine_motion.demo.domain_table import DomainScore, domain_table, note_score, noted_score, score
from refine_motion.demo.job import DemoResult
from refine_motion.demo.plan import DemoPlan

FOUND = DomainScore("fog", 3, before=0.5, after=0.4, zero=1.0, kept_share=0.8, label_error=0.3, seconds=60.0)


def test_score_of_a_demonstration(result: DemoResult) -> None:
    found = score(result)
    assert (found.before, found.after) == result.epe
    assert found.change == pytest.approx(result.change)
    assert (found.domain, found.seed) == ("fog", 3)


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
