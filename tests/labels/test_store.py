from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from refine_motion.errors import LabelError
from refine_motion.labels import codec
from refine_motion.labels.codec import TENSORS, FlowLabel, encode
from refine_motion.labels.select import ColourRule, CycleRule
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.summary import summarise
from tests.labels.test_codec import make_label

KEY = PairKey("abc", 3, 5)


def test_round_trip_and_size(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, "t1")
    label = make_label((120, 160), 0.5, 20.0)
    size = store.write(KEY, label)
    assert size <= 8 * len(label.index)
    assert torch.equal(store.read(KEY).index, label.index)
    assert store.missing([KEY, PairKey("abc", 3, 6)]) == [(PairKey("abc", 3, 6), "absent")]
    assert not list(tmp_path.rglob("*.partial"))
    # Others may read what this user may show them.
    (tmp_path / "plain").touch()
    assert store.path(KEY).stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_at_most_eight_bytes_a_pixel_even_where_kept_pixels_are_scattered(tmp_path: Path, share: float) -> None:
    label = make_label((240, 320), share, 30.0)
    assert LabelStore(tmp_path, "t").write(KEY, label) <= 8 * len(label.index)


def test_files_that_do_not_fit_are_named_and_made_again(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, "t1")
    label = make_label((20, 20), 0.5, 2.0)
    store.write(KEY, label)
    content = store.path(KEY).read_bytes()

    store.path(KEY).write_bytes(content[: len(content) // 2])
    assert "damaged" in (store.problem(KEY) or "")
    with pytest.raises(LabelError, match="damaged"):
        store.read(KEY)

    other = PairKey("abc", 4, 6)
    store.path(other).parent.mkdir(parents=True, exist_ok=True)
    store.path(other).write_bytes(content)
    assert store.problem(other) == "of another frames"

    store.write(KEY, label)
    assert store.problem(KEY) is None


@pytest.mark.parametrize("tensor", TENSORS)
def test_a_changed_byte_is_found_when_it_is_read_and_the_label_made_again(tmp_path: Path, tensor: str) -> None:
    store = LabelStore(tmp_path, "t1")
    store.write(KEY, make_label((20, 20), 0.5, 2.0))
    path = store.path(KEY)
    content = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    first, end = json.loads(content[8:start])[tensor]["data_offsets"]
    content[start + (first + end) // 2] ^= 0x80
    path.write_bytes(content)
    assert store.problem(KEY) is None
    with pytest.raises(LabelError, match=rf"damaged \({tensor} .* checksum\)"):
        store.read(KEY)
    assert store.problem(KEY) == "absent"


def test_positions_that_do_not_fit_are_found_when_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LabelStore(tmp_path, "t1")
    label = make_label((20, 20), 0.5, 2.0)
    other, _ = encode(make_label((20, 20), 0.6, 2.0))

    def wrong(made: FlowLabel) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        tensors, header = encode(made)
        return tensors | {"position": other["position"]}, header

    with monkeypatch.context() as patch:
        patch.setattr(codec, "encode", wrong)
        store.write(KEY, label)
    found = store.read(KEY)
    assert len(found.evidence.cycle_error) == len(label.flow)
    with pytest.raises(LabelError, match=rf"{store.path(KEY)}.*damaged \(positions"):
        _ = found.index
    assert store.problem(KEY) == "absent"


def test_teachers_live_side_by_side(tmp_path: Path) -> None:
    first, second = LabelStore(tmp_path, "t1"), LabelStore(tmp_path, "t2")
    first.write(KEY, make_label((20, 20), 0.5, 2.0))
    assert second.problem(KEY) == "absent"
    second.path(KEY).parent.mkdir(parents=True)
    second.path(KEY).write_bytes(first.path(KEY).read_bytes())
    assert second.problem(KEY) == "of another teacher"


def test_manifest_is_rebuilt_from_headers(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, "t1", {"iters": 3})
    keys = [PairKey("v", i, i + 1) for i in range(3)]
    kept = {k: make_label((20, 24), 0.5, 2.0, seed) for seed, k in enumerate(keys)}
    for k, label in kept.items():
        store.write(k, label)
    first = store.write_manifest().read_text()
    store.write_manifest().unlink()
    assert store.write_manifest().read_text() == first
    content = json.loads(first)
    assert content["settings"] == {"iters": 3}
    assert sorted(e["kept"] for e in content["labels"]) == sorted(len(v.index) for v in kept.values())


def test_absent_labels_are_named(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="absent"):
        LabelStore(tmp_path, "t").read(KEY)


def test_five_thresholds_on_400_labels(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, "t")
    keys = [PairKey(f"clip{number}", 0, 1) for number in range(400)]
    label = make_label((96, 128), 0.5, 10.0)
    for key in keys:
        store.write(key, label)
    shares, seconds = [], []
    for beta in (0.05, 0.1, 0.2, 0.3, 0.4):
        start = time.perf_counter()
        evidence = [store.read(key).evidence for key in keys]
        seconds.append(time.perf_counter() - start)
        assert len(evidence) == 400
        shares.append(summarise(store, keys, [CycleRule(0.002, beta), ColourRule(1.275)], max_read=100).kept_share)
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1]
    # The fastest of the five, because whatever else the machine does only ever adds time.
    assert min(seconds) < 1
