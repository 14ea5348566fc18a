from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from refine_motion.benchmarks import progress
from refine_motion.benchmarks.flow_evaluation import evaluate_flow
from refine_motion.benchmarks.flow_files import write_flo
from refine_motion.benchmarks.pairs import find_pairs, read_pair
from refine_motion.errors import BenchmarkError
from refine_motion.models.load import load_model


class Constant:
    """Says the same flow everywhere, and remembers what it was asked."""

    def __init__(self, x: float):
        self.x = x
        self.calls: list[tuple[torch.dtype, tuple[int, ...], int]] = []

    def flow(self, a: torch.Tensor, b: torch.Tensor, iters: int = 12) -> torch.Tensor:
        self.calls.append((a.dtype, tuple(a.shape), iters))
        assert int(b.flatten()[0]) == int(a.flatten()[0]) + 1  # second frame, not the first again
        flow = torch.zeros(1, 2, *a.shape[-2:])
        flow[:, 0] = self.x
        return flow


def make(folder: Path, name: str, speed: float, size: tuple[int, int] = (16, 12), number: int = 1) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    for i in (number, number + 1):
        Image.new("RGB", size, (i, i, i)).save(folder / name / f"frame{i}.png")
    flow = torch.zeros(2, size[1], size[0])
    flow[0] = speed
    valid = torch.ones(size[1], size[0], dtype=torch.bool)
    valid[0] = False
    write_flo(folder / name / f"flow{number}.flo", flow, valid)


@pytest.fixture
def two_sequences(tmp_path: Path) -> Path:
    make(tmp_path, "slow", 2.0)
    make(tmp_path, "fast", 50.0, size=(32, 23))
    make(tmp_path, "fast", 50.0, size=(32, 23), number=4)
    return tmp_path


class TestValues:
    def test_rows_mean_and_pooled(self, two_sequences: Path):
        model, before = Constant(1.0), Constant(0.0)
        table = evaluate_flow(model, two_sequences, against=before)
        fast, slow = table.rows
        assert (fast.name, fast.pairs, fast.pixels) == ("fast", 2, 2 * 32 * 22)
        assert (slow.name, slow.pairs, slow.pixels) == ("slow", 1, 16 * 11)
        assert (fast.epe, fast.epe_against, fast.epe_s40) == pytest.approx((49, 50, 49))
        assert (slow.epe, slow.epe_against, slow.epe_s0_10) == pytest.approx((1, 2, 1))
        assert (slow.px1_acc, slow.px3_acc, slow.fl_all, fast.fl_all) == (0, 1, 0, 100)
        assert fast.change_percent == pytest.approx(-2)
        assert slow.change_percent == pytest.approx(-50)
        assert table.mean.change_percent == pytest.approx(-26)
        assert table.mean.epe == pytest.approx(25)
        assert table.mean.pairs == 3
        assert table.mean.epe_s40 == pytest.approx(49)  # over the sequences that have fast pixels
        n_fast, n_slow = fast.pixels, slow.pixels
        assert table.pooled.epe == pytest.approx((49 * n_fast + n_slow) / (n_fast + n_slow))
        pooled_before = (50 * n_fast + 2 * n_slow) / (n_fast + n_slow)
        assert table.pooled.change_percent == pytest.approx(100 * (table.pooled.epe / pooled_before - 1), rel=1e-4)

    def test_the_model_sees_uint8_frames_and_the_iterations(self, two_sequences: Path):
        model = Constant(0.0)
        assert evaluate_flow(model, two_sequences).iters == 32
        evaluate_flow(model, two_sequences, iters=5)
        assert model.calls[0] == (torch.uint8, (1, 3, 23, 32), 32)
        assert [iters for *_, iters in model.calls] == [32] * 3 + [5] * 3

    def test_a_perfect_model_to_compare_with_has_no_relative_change(self, tmp_path: Path):
        make(tmp_path, "a", 2.0)
        row = evaluate_flow(Constant(1.0), tmp_path, against=Constant(2.0)).rows[0]
        assert row.epe_against == 0
        assert row.change_percent != row.change_percent


class TestFaults:
    def test_a_pair_without_known_pixels_is_counted(self, tmp_path: Path):
        make(tmp_path, "a", 2.0)
        make(tmp_path, "b", 2.0)
        write_flo(tmp_path / "b/flow1.flo", torch.zeros(2, 12, 16), torch.zeros(12, 16, dtype=torch.bool))
        table = evaluate_flow(Constant(1.0), tmp_path)
        assert table.rows[1].epe != table.rows[1].epe
        assert (table.pooled.epe, table.mean.epe) == (1, 1)
        assert table.pooled.pairs_without_truth == 1

    def test_frames_too_small_for_the_model(self, two_sequences: Path):
        model = Constant(0.0)
        model.min_side = 20  # type: ignore[attr-defined]
        with pytest.raises(BenchmarkError, match=r"slow/frame1\.png: 16 x 12 pixels, .* at least 20"):
            evaluate_flow(model, two_sequences)


class TestProgress:
    def test_no_bar_when_quick_or_not_wanted(self, two_sequences: Path, capsys, monkeypatch):
        evaluate_flow(Constant(0.0), two_sequences)
        monkeypatch.setattr(progress, "_QUIET_SECONDS", -1.0)
        evaluate_flow(Constant(0.0), two_sequences)  # the captured stream is no terminal
        monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes every stream for a terminal
        evaluate_flow(Constant(0.0), two_sequences, progress=False)
        assert capsys.readouterr() == ("", "")

    def test_a_bar_on_the_error_stream_when_slow(self, two_sequences: Path, capsys, monkeypatch):
        monkeypatch.setattr(progress, "_QUIET_SECONDS", -1.0)
        monkeypatch.setenv("FORCE_COLOR", "1")
        evaluate_flow(Constant(0.0), two_sequences)
        out, err = capsys.readouterr()
        assert out == ""
        assert "evaluating flow" in err


def test_official_raft_small_on_rubberwhale(real_data: Path):
    model = load_model("raft_small", weights=real_data / "weights/raft-small.pth")
    row = evaluate_flow(model, real_data / "flow/rubberwhale", iters=12, progress=False).rows[0]
    assert row.epe == pytest.approx(0.320, abs=0.002)
    target, valid = read_pair(find_pairs(real_data / "flow/rubberwhale")[0])[2:]
    assert row.pixels == int(valid.sum())
    assert row.epe_boundary > row.epe
    assert target.norm(dim=0)[valid].mean().item() == pytest.approx(1.26, abs=0.01)
