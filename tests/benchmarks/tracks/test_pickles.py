from __future__ import annotations

import pickle
import resource
from pathlib import Path

import numpy as np
import pytest

from refine_motion.benchmarks.tracks.pickles import read_pickle
from refine_motion.errors import BenchmarkError

ran: list[str] = []


class Runs:
    def __reduce__(self):  # type: ignore[no-untyped-def]
        return ran.append, ("ran",)


class Opens:
    """What an attacker would really write."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):  # type: ignore[no-untyped-def]
        import os

        return os.system, (f"touch {self.marker}",)


DATA = {
    "video": np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3),
    "points": np.array([[[0.25, 0.5]]], np.float32),
    "occluded": np.array([[True, False]]),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(3, 2)),
    "big endian": np.arange(3, dtype=">i4"),
    "empty": np.zeros((0, 3)),
    "text": np.array(["ab", "c"]),
    "objects": np.array([1, "a", b"c", None, 2.5], dtype=object),
}
PLAIN = {"scalar": np.float64(3.5), "plain": [1, 2.5, "a", b"bytes \xff", b"", None, True, (1, {"k": []})]}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_values_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(DATA | PLAIN, protocol=protocol))
    found = read_pickle(tmp_path / "a.pkl")
    assert {name: found[name] for name in PLAIN} == PLAIN
    for name, array in DATA.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype.kind == array.dtype.kind


@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_either_name_of_numpys_core(tmp_path: Path, core: bytes) -> None:
    """NumPy 1 calls it one way, NumPy 2 the other; both are read wherever they were written."""
    written = pickle.dumps(DATA["points"], protocol=2)
    here = b"numpy._core" if b"numpy._core" in written else b"numpy.core"
    (tmp_path / "a.pkl").write_bytes(written.replace(here + b".multiarray\n", core + b".multiarray\n"))
    np.testing.assert_array_equal(read_pickle(tmp_path / "a.pkl"), DATA["points"])


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(BenchmarkError) as error:
        read_pickle(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_code_is_named_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    assert "posix.system" in refused(tmp_path / "a.pkl", pickle.dumps({"video": Opens(marker)}, protocol=4))
    assert not marker.exists()
    # The same file does run in an ordinary reader, so the test would notice.
    pickle.loads((tmp_path / "a.pkl").read_bytes())
    assert marker.exists()
    for protocol in (0, 2, 4):
        refused(tmp_path / "a.pkl", pickle.dumps([np.zeros(2), Runs()], protocol=protocol))
    assert ran == []


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(V1+1\ntR.",
        b"cnumpy\nload\n(Vx\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(Vx\ntR.",
        b"cnumpy\nndarray\n(I5\ntR.",
        # An object type whose bytes would be taken for addresses, and such a scalar.
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR(I1\n(I1\ntcnumpy\ndtype\n(VO8\nI0\nI1\ntR"
        b"I00\nVAAAAAAAA\ntb.",
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(VO8\nI0\nI1\ntRVAAAAAAAA\ntR.",
        # A structured type, and a function whose insides are set.
        b"cnumpy\ndtype\n(VV8\nI0\nI1\ntR.",
        b"cnumpy\ndtype\n(dVcall\nI1\nsb.",
        # An array of a thousand numbers out of eight bytes.
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR(I1\n(I1000\ntcnumpy\ndtype\n(Vf8\nI0\nI1\ntR"
        b"I00\nVAAAAAAAA\ntb.",
        # Numbers that lie in the memory of an array of objects, and an array that is filled a second time.
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntRp0\n(I1\n(I1\ntcnumpy\ndtype\n(VO8\nI0\n"
        b"I1\ntRI00\n(lNatb0cnumpy.core.numeric\n_frombuffer\n(g0\ncnumpy\ndtype\n(Vu8\nI0\nI1\ntR(I1\ntVC\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR(I1\n(I1\ntcnumpy\ndtype\n(Vu1\nI0\nI1\ntR"
        b"p1\nI00\nVA\ntb(I1\n(I2\ntg1\nI00\nVAA\ntb.",
        # Entries of no size, of which an array of any shape needs no byte.
        b"cnumpy\ndtype\n(VS0\nI0\nI1\ntR.",
        # Tuples within tuples as a key, as SETITEM, SETITEMS and DICT write it: Python dies when it hashes them.
        b"\x80\x02}" + b"N" + b"\x85" * 1_000_000 + b"Ns.",
        b"\x80\x02}(" + b"N" + b"\x85" * 1_000_000 + b"Nu.",
        b"(" + b"N" + b"\x85" * 1_000_000 + b"Nd.",
        # Names of two lines.
        b"\x80\x04\x8c\x04os\nx\x8c\x01y\x93.",
    ],
)
def test_what_is_no_data(tmp_path: Path, content: bytes) -> None:
    assert "which is no data" in refused(tmp_path / "a.pkl", content)


def test_numbers_in_a_buffer_are_a_copy_of_it(tmp_path: Path) -> None:
    array = b"cnumpy.core.numeric\n_frombuffer\n(g0\ncnumpy\ndtype\n(Vu1\nI0\nI1\ntR(I2\ntVC\ntR"
    (tmp_path / "a.pkl").write_bytes(b"\x80\x05\x96\x02" + bytes(7) + b"abp0\n0(" + array + array + b"g0\nt.")
    first, second, raw = read_pickle(tmp_path / "a.pkl")
    first[0] = 0
    assert (second.tolist(), raw) == ([97, 98], b"ab")


@pytest.mark.parametrize(
    "content", [b"", b"not a pickle", b"\x80\x05", b"\x89PNG\r\n\x1a\n" * 40, b"\x80\x04]q\x00h\x07."]
)
def test_what_is_no_pickle(tmp_path: Path, content: bytes) -> None:
    assert "damaged or no pickle file" in refused(tmp_path / "a.pkl", content)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_cut_off_anywhere(tmp_path: Path, protocol: int) -> None:
    whole = pickle.dumps({"video": np.zeros((2, 3, 4, 3), np.uint8), "name": "a"}, protocol=protocol)
    for length in range(0, len(whole) - 1, 7):
        refused(tmp_path / "a.pkl", whole[:length])


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"absent\.pkl: cannot be read \(No such file"):
        read_pickle(tmp_path / "absent.pkl")


def test_no_more_memory_than_the_file_has_bytes(tmp_path: Path) -> None:
    """Many arrays of the same bytes, and of the same objects."""
    array = b"cnumpy.core.numeric\n_frombuffer\n(g0\ncnumpy\ndtype\n(Vu1\nI0\nI1\ntR(I1000\ntVC\ntR"
    buffer = b"\x80\x05\x96\xe8\x03" + bytes(6) + b"x" * 1000 + b"p0\n0("
    (tmp_path / "a.pkl").write_bytes(buffer + array + b"t.")
    assert len(read_pickle(tmp_path / "a.pkl")[0]) == 1000
    assert "more memory than its file has bytes" in refused(tmp_path / "a.pkl", buffer + array * 30 + b"t.")
    objects = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR(I1\n(I1000\ntcnumpy\ndtype\n"
    objects += b"(VO8\nI0\nI1\ntRI00\ng0\ntb"
    content = b"(" + b"N" * 1000 + b"lp0\n0("
    (tmp_path / "a.pkl").write_bytes(content + objects + b"t.")
    assert len(read_pickle(tmp_path / "a.pkl")[0]) == 1000
    assert "more memory than its file has bytes" in refused(tmp_path / "a.pkl", content + objects * 30 + b"t.")


def test_a_large_number_of_a_memory_costs_nothing(tmp_path: Path) -> None:
    """Nine bytes that would make the reader in C keep a table of a few hundred megabytes."""
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04Nr\x00\x00\x80\x01.")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_pickle(tmp_path / "a.pkl") is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_sets_are_no_data(tmp_path: Path) -> None:
    refused(tmp_path / "a.pkl", pickle.dumps({1, 2}, protocol=4))
