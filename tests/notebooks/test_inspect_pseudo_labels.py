from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from refine_motion.benchmarks.synthetic.labelled import write_labelled_clips
from refine_motion.viz.notebook import NotebookFigure

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_inspect_pseudo_labels.ipynb"


def run_cells(store: str | None) -> tuple[dict[str, Any], list[NotebookFigure]]:
    """Run the notebook as Jupyter does, with its first line changed, and collect the figures that it would show."""
    cells = ["".join(c["source"]) for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code"]
    assert ast.unparse(ast.parse(cells[0])) == "STORE = None", "one line to change"
    cells[0] = f"STORE = {store!r}"
    names: dict[str, Any] = {}
    figures = []
    for number, cell in enumerate(cells):
        *statements, last = ast.parse(cell).body
        if not isinstance(last, ast.Expr):
            statements.append(last)
        exec(compile(ast.Module(statements, []), f"cell {number}", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
            figures += [value] if isinstance(value, NotebookFigure) else []
    return names, figures


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_on_made_data_every_cell_runs_and_draws(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, figures = run_cells(None)
    assert len(figures) == 5
    for figure in figures:
        assert figure._repr_png_().startswith(b"\x89PNG")
    assert "source_0003.mp4" in capsys.readouterr().out
    assert len(names["labels"]) == 16


def test_on_the_work_folder_of_a_run(tmp_path: Path) -> None:
    folder = write_labelled_clips(tmp_path / "run", seeds=(4,), frames=3, size=(64, 96))
    names, figures = run_cells(str(folder))
    assert len(figures) == 5
    assert [key.frame_a for key in names["labels"]] == [0, 1]


def test_is_committed_without_outputs() -> None:
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert not cell.get("outputs")
