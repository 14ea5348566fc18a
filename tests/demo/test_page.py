from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from refine_motion.cli.main import main
from refine_motion.demo.job import DemoResult
from refine_motion.demo.page import own_command, result_rows, write_page
from tests.browser import check_markup, check_page, needs_browser


@pytest.fixture(scope="module")
def page(result: DemoResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(result, tmp_path_factory.mktemp("page") / "report.html")


def test_page_is_self_contained(page: Path) -> None:
    check_markup(page)


@needs_browser
def test_page_in_a_browser(page: Path) -> None:
    # Two clips of six pictures, four versions, the moving picture and its still, and the keys.
    assert check_page(page).images >= 2 * 6 + 4 + 2


def test_page_says_what_was_measured(page: Path, result: DemoResult) -> None:
    text = page.read_text()
    before, after = result.epe
    assert f"{before:.3f} px" in text
    assert f"{after:.3f} px" in text
    assert ("lower" if after < before else "higher") in text
    assert "refine-motion demo --domain fog --minutes 3.5 --seed 3" in text
    for name, *_ in result_rows(result):
        assert name in text


@pytest.mark.slow
def test_command_for_own_videos_runs(
    result: DemoResult, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program, *words = shlex.split(own_command(result).replace("\\\n", " "))
    assert program == "refine-motion"
    words = [str(result.folder.videos) if word == "my_videos/" else word for word in words]
    words = [str(tmp_path / "mine") if word == "runs/mine" else word for word in words]
    small = ["--label.views", "[1x]", "--label.iters", "1", "--model.iters", "1", "--data.num_workers", "0"]
    assert main([*words, *small, "--trainer.max_steps", "1", "--trainer.val_check_interval", "1"]) == 0
    assert (tmp_path / "mine" / "refined.safetensors").is_file()
    assert capsys.readouterr().out.splitlines()[-1].startswith(("kept", "improved"))
