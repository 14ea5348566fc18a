from __future__ import annotations

import json
from pathlib import Path

import matplotlib

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "look_at_labels.ipynb"


def test_every_cell_runs(clip_folder: Path, untrained: Path, tmp_path: Path) -> None:
    matplotlib.use("agg")
    cells = ["".join(c["source"]) for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code"]
    names: dict[str, object] = {}
    paths = {"VIDEOS": clip_folder / "videos", "WEIGHTS": untrained, "LABELS": tmp_path, "ITERS": 1}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"cell {number}", "exec"), names)
        if number == 0:
            assert paths.keys() <= names.keys()
            names.update(paths)
    assert len(names["labels"]) == 2  # type: ignore[arg-type]
