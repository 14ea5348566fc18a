from __future__ import annotations

from pathlib import Path

import pytest
import torch

from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.store import LabelStore
from refine_motion.labels.windows import PairWindow, plan_windows
from refine_motion.refine.dataset import HeldOutPairs, Source, TrainingPairs, crop_maps
from refine_motion.refine.order import PairRequest
from refine_motion.types import Evidence
from refine_motion.video.index import build_index
from refine_motion.video.reader import read_frames


@pytest.fixture
def source(clip_folder: Path, tmp_path: Path) -> Source:
    """Every pixel labelled with its own place, so that a crop can be checked."""
    windows = plan_windows(build_index(clip_folder / "videos", progress=False).videos, 4, [1])
    store = LabelStore(tmp_path, "t")
    y, x = torch.meshgrid(torch.arange(72.0), torch.arange(96.0), indexing="ij")
    flow = torch.stack((x.flatten(), y.flatten()), dim=1)
    zero = torch.zeros(len(flow))
    label = FlowLabel((72, 96), torch.arange(len(flow)), flow, Evidence(zero, flow.norm(dim=1), zero, zero, zero))
    for window in windows:
        for key in window.pair_keys():
            store.write(key, label)
    return Source(windows, store, [], (64, 64), seed=5)


def test_crops_hold_the_pixels_their_labels_are_of(source: Source) -> None:
    dataset = TrainingPairs(source)
    requests = [PairRequest(0, 0), PairRequest(0, 5), PairRequest(1, 0)]
    items = dataset.__getitems__(requests)
    places = set()
    for request, item in zip(requests, items, strict=True):
        left, top = (int(v) for v in item["flow"][:, 0, 0])
        places.add((left, top))
        assert item["valid"].all()
        window, pair = dataset.samples[request.number]
        clip = source.windows[window].clip
        a, b = source.windows[window].pairs[pair]
        whole = read_frames(clip.video, [clip.frames[a], clip.frames[b]])
        cut = whole[:, :, top : top + 64, left : left + 64]
        assert torch.equal(item["image_a"], cut[0])
        assert torch.equal(item["image_b"], cut[1])
    assert len(places) > 1
    assert items[0]["seed"] != items[2]["seed"]


def test_a_sample_depends_on_run_epoch_and_pair_alone(source: Source) -> None:
    dataset = TrainingPairs(source)
    alone = dataset.__getitems__([PairRequest(2, 3)])[0]
    among = dataset.__getitems__([PairRequest(2, 0), PairRequest(2, 3)])[1]
    again = dataset.__getitems__([PairRequest(2, 3)])[0]
    for other in (among, again):
        assert all(torch.equal(alone[k], other[k]) for k in ("image_a", "image_b", "flow", "valid"))
        assert alone["seed"] == other["seed"]
    elsewhere = TrainingPairs(Source(source.windows, source.store, [], (64, 64), seed=6)).__getitems__(
        [PairRequest(2, 3)]
    )
    assert elsewhere[0]["seed"] != alone["seed"]


def test_held_out_pairs_are_centre_crops(source: Source) -> None:
    item = HeldOutPairs(source).__getitems__([0])[0]
    assert item["flow"][:, 0, 0].tolist() == [16, 4]


def test_frames_smaller_than_the_crop_are_padded_and_the_padding_has_no_label() -> None:
    maps = {
        "image_a": torch.arange(12, dtype=torch.uint8).view(1, 3, 4).expand(3, 3, 4),
        "flow": torch.ones(2, 3, 4),
        "valid": torch.ones(1, 3, 4, dtype=torch.bool),
    }
    cut = crop_maps(maps, (5, 4), 0.3, 0.9)
    assert cut["image_a"].shape == (3, 5, 4)
    assert cut["image_a"].dtype == torch.uint8
    assert torch.equal(cut["image_a"][:, 4], cut["image_a"][:, 2])
    assert cut["valid"][0].sum(dim=1).tolist() == [4, 4, 4, 0, 0]


def test_windows_are_read_once_for_all_their_pairs(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counting(video: object, frames: list[int]) -> torch.Tensor:
        calls.append(frames)
        return read_frames(video, frames)  # type: ignore[arg-type]

    monkeypatch.setattr("refine_motion.refine.dataset.read_frames", counting)
    window: PairWindow = source.windows[0]
    TrainingPairs(source).__getitems__([PairRequest(0, n) for n in range(len(window.pairs))])
    assert calls == [list(window.clip.frames)]
