from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from refine_motion.errors import LabelError
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.track_codec import TENSORS
from refine_motion.labels.track_store import ClipKey, TrackStore
from tests.labels.made import moving_right
from tests.labels.test_track_codec import random_tracks

KEY = ClipKey("abc", tuple(range(3, 11)))
BACK = ClipKey("abc", KEY.frames[::-1])


@pytest.fixture
def store(tmp_path: Path) -> TrackStore:
    return TrackStore(tmp_path, "t1", {"iters": 3, "ceiling": 2.0})


def test_round_trip_and_at_most_eight_bytes_a_point(store: TrackStore) -> None:
    label = random_tracks(512, 20.0)
    assert store.write(KEY, label) <= 8 * 8 * 512
    found = store.read(KEY)
    assert torch.equal(found.xy, label.xy)
    assert (found.places - label.places).abs().max() <= 1 / 128 + 1e-5
    assert torch.equal(found.known, label.known)
    assert store.missing([KEY, BACK]) == [(BACK, "absent")]


def test_a_label_of_no_track_can_be_stored(store: TrackStore) -> None:
    store.write(KEY, random_tracks(0, 1.0))
    assert store.read(KEY).places.shape == (8, 0, 2)


def test_equal_labels_are_equal_files(store: TrackStore) -> None:
    store.write(KEY, random_tracks(20, 1.0))
    first = store.path(KEY).read_bytes()
    store.write(KEY, random_tracks(20, 1.0))
    assert store.path(KEY).read_bytes() == first


def test_there_and_back_in_time_are_two_labels(store: TrackStore) -> None:
    there, back = random_tracks(5, 1.0, seed=1), random_tracks(5, 1.0, seed=2)
    store.write(KEY, there)
    store.write(BACK, back)
    assert torch.equal(store.read(KEY).xy, there.xy)
    assert torch.equal(store.read(BACK).xy, back.xy)
    # Nor is it the label of frames 31 to 0 that reads like it.
    assert len({ClipKey("a", frames).digest for frames in ((3, 1), (31,), (1, 3), (3, 1, 0), (3, 10))}) == 5


def test_files_that_do_not_fit_are_named_and_made_again(store: TrackStore) -> None:
    store.write(KEY, random_tracks(20, 1.0))
    content = store.path(KEY).read_bytes()
    store.path(KEY).write_bytes(content[: len(content) // 2])
    assert "damaged" in (store.problem(KEY) or "")
    assert [key for key, _ in store.missing([KEY])] == [KEY]
    with pytest.raises(LabelError, match=rf"{store.path(KEY)}: label damaged"):
        store.read(KEY)

    store.path(BACK).parent.mkdir(parents=True, exist_ok=True)
    store.path(BACK).write_bytes(content)
    assert store.problem(BACK) == "of another frames"
    other = TrackStore(store.root, "t2")
    other.path(KEY).parent.mkdir(parents=True)
    other.path(KEY).write_bytes(content)
    assert other.problem(KEY) == "of another teacher"

    store.write(KEY, random_tracks(20, 1.0))
    assert store.problem(KEY) is None
    store.read(KEY)


@pytest.mark.parametrize("tensor", TENSORS)
def test_a_changed_byte_is_found_when_it_is_read_and_the_label_made_again(store: TrackStore, tensor: str) -> None:
    store.write(KEY, random_tracks(20, 1.0))
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


def test_labels_of_flow_are_not_those_of_tracks(tmp_path: Path) -> None:
    # A window of two frames has the name of their pair.
    flow, tracks = LabelStore(tmp_path, "t"), TrackStore(tmp_path, "t")
    pair, clip = PairKey("v", 0, 1), ClipKey("v", (0, 1))
    flow.write(pair, moving_right([1.0]))
    assert flow.path(pair) == tracks.path(clip)
    assert tracks.problem(clip) == "of another schema"
    assert not list(tracks.headers())


def test_manifest_is_rebuilt_from_headers(store: TrackStore) -> None:
    for count, key in ((4, KEY), (7, BACK)):
        store.write(key, random_tracks(count, 1.0))
    manifest = json.loads(store.write_manifest().read_text())
    assert manifest["settings"] == {"iters": 3, "ceiling": 2.0}
    found = {entry["frames"]: (entry["kept"], entry["size"], entry["video"]) for entry in manifest["labels"]}
    assert found == {"3,4,5,6,7,8,9,10": (4, [72, 96], "abc"), "10,9,8,7,6,5,4,3": (7, [72, 96], "abc")}
