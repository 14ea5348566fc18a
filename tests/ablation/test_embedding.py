from __future__ import annotations

import torch

from tests.ablation.embedding import Judged, drops, precision, report, rows


def made() -> Judged:
    """Eight labels: the two of the least cycle error are wrong, of which the embedding finds one."""
    return Judged(
        cycle=torch.arange(8.0),
        embedding=torch.tensor([10.0, 1.5, 1.0, 1.25, 3.0, 5.0, 8.0, 9.0]),
        off=torch.tensor([9.0, 2.0, 0.5, 0.5, 0.5, 0.5, 0.5, 9.0]),
    )


def test_precision_by_hand() -> None:
    found = made()
    assert precision(found, found.cycle, 0.25, 1.0) == 0
    assert precision(found, found.cycle, 0.25, 3.0) == 0.5
    assert precision(found, found.cycle, 1.0, 1.0) == 5 / 8
    within = torch.where(found.embedding <= 2, found.cycle, torch.inf)
    assert precision(found, within, 0.25, 1.0) == 0.5
    assert precision(found, within, 0.5, 1.0) is None


def test_table_by_hand() -> None:
    assert rows(made()) == [
        ["cycle", "100%", "0.0 / 50.0", "50.0 / 75.0", "66.7 / 83.3", "62.5 / 75.0"],
        ["cycle, embedding within 2 px", "38%", "50.0 / 100.0", "", "", "66.7 / 100.0"],
        ["cycle, embedding within 4 px", "50%", "50.0 / 100.0", "75.0 / 100.0", "", "75.0 / 100.0"],
        ["cycle, embedding within 6 px", "62%", "50.0 / 100.0", "75.0 / 100.0", "", "80.0 / 100.0"],
        ["embedding", "100%", "100.0 / 100.0", "75.0 / 100.0", "83.3 / 100.0", "62.5 / 75.0"],
    ]
    text = report({"one": made()})
    assert "**one**, 8 pixels" in text
    assert "| embedding within 2 px | +50.00 / +50.00 (1) |  |  |" in text


def test_what_is_dropped_by_hand() -> None:
    found = made()
    # The cycle rule keeps the first four, of which one is wrong, one neither and two are good.
    consistent = Judged(found.cycle / 3, found.embedding + torch.tensor([0, 0, 0, 2.0, 0, 0, 0, 0]), found.off)
    assert drops(consistent) == ["25.00%", "100% / 50%", "100% / 0%", "100% / 0%"]
    assert "| one | 50.00% | 100% / 0% |" in report({"one": found})
