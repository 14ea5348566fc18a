from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.ablation.ranking import spearman
from tests.ablation.rows import ROWS
from tests.ablation.table import table


def test_spearman_by_hand() -> None:
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 21.0])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)
    # d = 1, 1, 0: 1 - 6 * 2 / (3 * 8).
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([2.0, 1.0, 3.0])) == pytest.approx(0.5)


def test_every_configuration_of_a_row_is_there() -> None:
    root = Path(__file__).parents[2]
    assert all((root / file).is_file() for row in ROWS for file in row.configs)
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert [row.seeds for row in ROWS if row.seeds > 1] == [3, 3]


def test_table_has_changes_their_spread_and_what_was_kept(tmp_path: Path) -> None:
    def note(path: Path, **figures: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures))

    note(tmp_path / "start" / "real.json", rw=0.5, source=1.0)
    for seed, (rw, decision) in enumerate(((0.4, "improved"), (0.3, "kept"))):
        note(
            tmp_path / "best" / f"seed {seed}" / "real" / "figures.json",
            rw=rw, source=1.1, outcome=decision, seconds=10.0, ranking=0.5 + seed / 10,
        )  # fmt: skip
    text = table(tmp_path, ["best", "missing"], lambda name: name)
    assert "| best | -30.0 % (± 14.1) | +10.0 % (± 0.0) | -30.0 % | 1 | 10 |" in text
    assert "missing" not in text
    assert "real +0.55" in text
