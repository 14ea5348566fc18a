from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from refine_motion.benchmarks.flow_files import is_flow_png, read_flow, write_flo, write_kitti_png
from refine_motion.errors import BenchmarkError


def some_flow(height: int = 9, width: int = 14) -> torch.Tensor:
    return torch.randn(2, height, width, generator=torch.Generator().manual_seed(0)) * 30


class TestAgainstOfficialCode:
    def test_flo(self, reference: Path):
        expected = np.load(reference / "file_formats.npz")["flo_values"].transpose(2, 0, 1)
        flow, valid = read_flow(reference / "tiny_middlebury.flo")
        known = np.abs(expected).max(axis=0) < 1e9
        assert known.sum() == known.size - 1
        assert np.array_equal(valid.numpy(), known)
        assert np.array_equal(flow.numpy(), np.where(known, expected, 0))

    def test_written_flo_has_the_same_bytes(self, reference: Path, tmp_path: Path):
        flow, valid = read_flow(reference / "tiny_middlebury.flo")
        write_flo(tmp_path / "again.flo", flow, valid)
        assert (tmp_path / "again.flo").read_bytes() == np.load(reference / "file_formats.npz")["flo_bytes"].tobytes()

    @pytest.mark.parametrize(
        ("file", "arrays"), [("kitti_official_writer.png", "kitti_official"), ("kitti_sparse.png", "kitti_sparse")]
    )
    def test_kitti(self, reference: Path, file: str, arrays: str):
        data = np.load(reference / "file_formats.npz")
        flow, valid = read_flow(reference / file)
        known = data[f"{arrays}_valid"] > 0
        assert np.array_equal(valid.numpy(), known)
        assert np.array_equal(flow.numpy(), np.where(known, data[f"{arrays}_decoded"].transpose(2, 0, 1), 0))

    def test_kitti_writer_rounds_where_the_official_one_truncates(self, reference: Path, tmp_path: Path):
        data = np.load(reference / "file_formats.npz")
        given = torch.from_numpy(data["kitti_input"].transpose(2, 0, 1).copy())
        write_kitti_png(tmp_path / "flow.png", given)
        ours, _ = read_flow(tmp_path / "flow.png")
        official = torch.from_numpy(data["kitti_official_decoded"].transpose(2, 0, 1).copy())
        assert (ours - given).abs().max() <= 1 / 128 + 1e-5
        assert (official - given).abs().max() > 1 / 128 + 1e-5


class TestRoundTrip:
    def test_flo(self, tmp_path: Path):
        flow, valid = some_flow(), torch.ones(9, 14, dtype=torch.bool)
        valid[3, 4] = False
        write_flo(tmp_path / "a.flo", flow, valid)
        back, known = read_flow(tmp_path / "a.flo")
        assert torch.equal(known, valid)
        assert torch.equal(back, flow * valid)

    # Widths around the alignment of FFmpeg's lines.
    @pytest.mark.parametrize("size", [(1, 1), (3, 5), (9, 14), (32, 64), (33, 1242)])
    def test_kitti(self, tmp_path: Path, size: tuple[int, int]):
        flow = (some_flow(*size) * 64).round() / 64
        valid = torch.rand(size, generator=torch.Generator().manual_seed(1)) > 0.5
        write_kitti_png(tmp_path / "a.png", flow, valid)
        back, known = read_flow(tmp_path / "a.png")
        assert torch.equal(known, valid)
        assert torch.equal(back, flow * valid)

    def test_ends_of_the_range_of_kitti(self, tmp_path: Path):
        flow = torch.tensor([[[-512.0, 511.984375]], [[0.0, 0.0]]])
        write_kitti_png(tmp_path / "a.png", flow)
        assert torch.equal(read_flow(tmp_path / "a.png")[0], flow)
        with pytest.raises(BenchmarkError, match=r"a\.png: the flow reaches 512 px"):
            write_kitti_png(tmp_path / "a.png", flow + 0.1)
        write_kitti_png(tmp_path / "a.png", flow + 0.1, torch.tensor([[True, False]]))

    def test_unknown_is_also_what_is_not_a_number(self, tmp_path: Path):
        write_flo(tmp_path / "a.flo", torch.tensor([[[1.0, float("nan"), -2e9]], [[1.0, 0.0, 0.0]]]))
        flow, valid = read_flow(tmp_path / "a.flo")
        assert valid.tolist() == [[True, False, False]]
        assert flow[0].tolist() == [[1, 0, 0]]


class TestDamage:
    @pytest.mark.parametrize("size", [8, 12, 100, 12 + 8 * 9 * 14 - 1, 12 + 8 * 9 * 14 + 1])
    def test_flo_of_another_length(self, tmp_path: Path, size: int):
        path = tmp_path / "a.flo"
        write_flo(path, some_flow())
        path.write_bytes((path.read_bytes() + b"\0")[:size])
        with pytest.raises(BenchmarkError, match=r"a\.flo: .*copy it again"):
            read_flow(path)

    def test_wrong_magic(self, tmp_path: Path):
        path = tmp_path / "a.flo"
        path.write_bytes(b"HEIP" + bytes(20))
        with pytest.raises(BenchmarkError, match="neither a Middlebury"):
            read_flow(path)

    def test_missing(self, tmp_path: Path):
        with pytest.raises(BenchmarkError, match=r"a\.flo: cannot be read"):
            read_flow(tmp_path / "a.flo")

    @pytest.mark.parametrize("keep", [0.5, 0.9])
    def test_truncated_png(self, tmp_path: Path, keep: float):
        path = tmp_path / "a.png"
        write_kitti_png(path, some_flow(90, 120))
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * keep)])
        with pytest.raises(BenchmarkError, match=r"a\.png: the PNG is damaged"):
            read_flow(path)

    def test_flipped_bits_in_a_png(self, tmp_path: Path):
        path = tmp_path / "a.png"
        write_kitti_png(path, some_flow(90, 120))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x10
        path.write_bytes(content)
        with pytest.raises(BenchmarkError, match=r"a\.png: the PNG is damaged"):
            read_flow(path)

    def test_an_ordinary_picture_is_not_a_flow(self, tmp_path: Path):
        Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
        with pytest.raises(BenchmarkError, match="16 bits"):
            read_flow(tmp_path / "a.png")
        assert not is_flow_png(tmp_path / "a.png")
        write_kitti_png(tmp_path / "b.png", some_flow())
        assert is_flow_png(tmp_path / "b.png")
