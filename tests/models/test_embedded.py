from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
import torch

from refine_motion.cli.main import main
from refine_motion.errors import ConfigError, WeightsError
from refine_motion.models import weights as module
from refine_motion.models.load import load_model
from refine_motion.models.registry import build_model
from refine_motion.models.weights import EMBEDDED, locate_weights, write_state


@pytest.fixture
def halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Weights of our own in the place of those of the package."""
    torch.manual_seed(5)
    state = {key: value.half() for key, value in build_model("raft_small").state_dict().items()}
    path = write_state(state, tmp_path / "package" / "raft_small.safetensors", {"model": "raft_small"})
    monkeypatch.setitem(module.EMBEDDED, "embedded", path)
    monkeypatch.chdir(tmp_path)
    return state


@pytest.mark.parametrize("name", ["raft_small", None])
def test_half_tensors_become_a_float32_model(halves: dict[str, torch.Tensor], name: str | None) -> None:
    model = load_model(name, weights="embedded")
    assert model.name == "raft_small"
    for key, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, halves[key].float())
    frames = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    assert model.flow(frames, frames, iters=1).dtype == torch.float32


def test_an_existing_file_comes_first(halves: dict[str, torch.Tensor]) -> None:
    Path("embedded").write_bytes(b"not weights")
    assert locate_weights("embedded") == Path("embedded")
    with pytest.raises(WeightsError, match="embedded: not a checkpoint"):
        load_model("raft_small", "embedded")
    Path("embedded").unlink()
    Path("embedded").mkdir()
    assert locate_weights("embedded") == module.EMBEDDED["embedded"]


def test_another_model_is_told_whose_they_are(halves: dict[str, torch.Tensor]) -> None:
    with pytest.raises(WeightsError, match="embedded: weights do not fit 'raft_large'; they are of 'raft_small'"):
        load_model("raft_large", "embedded")


def test_an_installation_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(module.EMBEDDED, "embedded", tmp_path / "none.safetensors")
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "flow", "--weights", "embedded", "--pairs", str(clip_folder / "truth")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"refine-motion: embedded: {tmp_path / 'none.safetensors'} is missing")


def test_the_command_line_takes_the_name(
    halves: dict[str, torch.Tensor], clip_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--pairs", str(clip_folder / "truth"), "--iters", "1"]
    assert main(["evaluate", "flow", "--weights", "embedded", *options]) == 0
    assert "pooled" in capsys.readouterr().out
    assert main(["export", "embedded", "out.safetensors"]) == 0
    assert torch.equal(
        load_model("raft_small", "out.safetensors").state_dict()["fnet.conv1.weight"],
        load_model("raft_small", "embedded").state_dict()["fnet.conv1.weight"],
    )


def test_the_name_is_among_those_that_an_error_lists() -> None:
    with pytest.raises(ConfigError, match="'embedded'"):
        load_model("raft_small")
    with pytest.raises(WeightsError, match="or one of embedded, embedded_pips, embedded_corrflow, raft_large"):
        load_model("raft_small", "embeded")


@pytest.mark.parametrize(
    ("name", "model", "most", "card"),
    [
        ("embedded", "raft_small", 3e6, "MODEL_CARD.md"),
        ("embedded_pips", "pips_small", 9e6, "PIPS_SMALL_CARD.md"),
        ("embedded_corrflow", "corrflow_small", 6e6, "CORRFLOW_SMALL_CARD.md"),
    ],
)
def test_the_package_has_them(name: str, model: str, most: float, card: str) -> None:
    found = resources.files("refine_motion.models") / "embedded" / f"{model}.safetensors"
    assert len(found.read_bytes()) < most
    assert load_model(None, name).name == model
    assert EMBEDDED[name].name in (resources.files("refine_motion.models") / "embedded" / card).read_text()
