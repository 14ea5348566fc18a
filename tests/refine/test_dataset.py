from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

from refine_motion.labels.select import LabelRule
from refine_motion.labels.store import LabelStore
from refine_motion.labels.weighted import WeightedLabels
from refine_motion.labels.windows import PairWindow, plan_windows
from refine_motion.motion.grid import in_bounds, warp
from refine_motion.refine.dataset import (
    HeldOutPairs,
    HeldOutSamples,
    Source,
    SourceExamples,
    TrainingPairs,
    choose_place,
    collate_padded,
    crop_maps,
)
from refine_motion.refine.holdout import Blocks
from refine_motion.refine.order import PairRequest
from refine_motion.video.index import build_index
from refine_motion.video.reader import read_frames
from tests.labels.made import made_label

SIZE = (72, 96)


class ByPlace(LabelRule):
    """Weights that tell the place of a label, the first one dropped."""

    def __call__(self, label: object, weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return weight * torch.arange(len(weight)) / len(weight)


def source_of(windows: list[PairWindow], store: LabelStore, rules: list[LabelRule], seed: int = 5) -> Source:
    keys = [key for window in windows for key in window.label_keys()]
    return Source(windows, WeightedLabels(store, rules, keys), (64, 64), seed)


@pytest.fixture
def source(clip_folder: Path, tmp_path: Path) -> Source:
    """Every pixel labelled with its own place, so that a crop can be checked."""
    windows = plan_windows(build_index(clip_folder / "videos", progress=False).videos, 4, [1])
    store = LabelStore(tmp_path, "t")
    y, x = torch.meshgrid(torch.arange(72.0), torch.arange(96.0), indexing="ij")
    label = made_label(torch.stack((x.flatten(), y.flatten()), dim=1), size=SIZE)
    for window in windows:
        for key in window.label_keys():
            store.write(key, label)
    return source_of(windows, store, [])


def test_crops_hold_the_pixels_their_labels_are_of(source: Source) -> None:
    dataset = TrainingPairs(source)
    requests = [PairRequest(0, 0), PairRequest(0, 5), PairRequest(1, 0)]
    items = dataset.__getitems__(requests)
    places = set()
    for request, item in zip(requests, items, strict=True):
        left, top = (int(v) for v in item["flow"][:, 0, 0])
        places.add((left, top))
        assert item["weight"].dtype == torch.float32
        assert (item["weight"] == 1).all()
        window, pair = dataset.samples[request.number]
        clip = source.windows[window].clip
        a, b = source.windows[window].pairs[pair]
        whole = read_frames(clip.video, [clip.frames[a], clip.frames[b]])
        cut = whole[:, :, top : top + 64, left : left + 64]
        assert torch.equal(item["image_a"], cut[0])
        assert torch.equal(item["image_b"], cut[1])
    assert len(places) > 1
    assert items[0]["seed"] != items[2]["seed"]


def test_weights_lie_where_their_labels_do(source: Source) -> None:
    weighted = source_of(list(source.windows), source.labels.store, [ByPlace()])
    (item,) = TrainingPairs(weighted).__getitems__([PairRequest(0, 4)])
    x, y = item["flow"]
    torch.testing.assert_close(item["weight"][0], (y * 96 + x) / (72 * 96))


@pytest.mark.parametrize("candidates", [1, 4])
def test_a_sample_depends_on_run_epoch_and_pair_alone(source: Source, candidates: int) -> None:
    dataset = TrainingPairs(source, candidates=candidates)
    alone = dataset.__getitems__([PairRequest(2, 3)])[0]
    among = dataset.__getitems__([PairRequest(2, 0), PairRequest(2, 3)])[1]
    again = dataset.__getitems__([PairRequest(2, 3)])[0]
    for other in (among, again):
        assert all(torch.equal(alone[k], other[k]) for k in ("image_a", "image_b", "flow", "weight"))
        assert alone["seed"] == other["seed"]
    elsewhere = TrainingPairs(source_of(list(source.windows), source.labels.store, [], seed=6)).__getitems__(
        [PairRequest(2, 3)]
    )
    assert elsewhere[0]["seed"] != alone["seed"]


def test_held_out_pairs_are_centre_crops(source: Source) -> None:
    item = HeldOutPairs(source).__getitems__([0])[0]
    assert item["flow"][:, 0, 0].tolist() == [16, 4]
    assert item["region"].all()
    assert item["region"].dtype == torch.bool


def test_training_and_judging_in_blocks_share_no_label(source: Source) -> None:
    blocks = Blocks(0.2, 1)
    whole = [Source(source.windows, source.labels, SIZE, 5, region) for region in (blocks.training, blocks.judged)]
    trained = TrainingPairs(whole[0]).__getitems__([PairRequest(0, 2)])[0]
    held = HeldOutPairs(whole[1]).__getitems__([2])[0]
    assert torch.equal(trained["weight"][0] > 0, blocks.training(SIZE))
    assert torch.equal(held["weight"][0] > 0, blocks.judged(SIZE))
    assert torch.equal(held["region"][0], blocks.judged(SIZE))
    assert not ((trained["weight"] > 0) & (held["weight"] > 0)).any()
    assert torch.equal(held["image_a"], trained["image_a"])


def test_held_out_samples_are_whole_pairs_spread_evenly(source: Source) -> None:
    samples = HeldOutSamples(source, limit=3)
    assert len(samples) == len(list(samples)) == 3
    keys = [key for window in source.windows for key in window.label_keys()]
    assert [item["key"] for item in samples] == [keys[n] for n in (1, 4, 6)]
    item = samples[1]
    assert item["image_a"].shape == (3, *SIZE)
    assert item["image_b"].dtype == torch.uint8
    assert item["flow"].shape == (2, *SIZE)
    assert item["weight"].shape == item["region"].shape == (1, *SIZE)
    with pytest.raises(IndexError):
        samples[3]
    assert len(HeldOutSamples(source, limit=100)) == 8


def sample_of(height: int, width: int) -> dict[str, object]:
    return {
        "image_a": torch.arange(height * width, dtype=torch.uint8).view(1, height, width).expand(3, height, width),
        "flow": torch.ones(2, height, width),
        "weight": torch.ones(1, height, width),
        "region": torch.ones(1, height, width, dtype=torch.bool),
        "seed": 2**60 + 1,
        "clip": "a.mp4",
    }


def test_some_samples_have_made_motion_of_their_own_frame(source: Source) -> None:
    requests = [PairRequest(epoch, number) for epoch in range(6) for number in range(8)]
    plain = TrainingPairs(source).__getitems__(requests)
    mixed, again = (TrainingPairs(source, made_share=0.4).__getitems__(requests) for _ in range(2))
    made = []
    for one, other, repeated in zip(plain, mixed, again, strict=True):
        assert all(torch.equal(other[name], repeated[name]) for name in ("image_a", "flow"))
        if not torch.equal(one["flow"], other["flow"]):
            made.append(other)
        else:
            assert torch.equal(one["image_a"], other["image_a"])
    assert 10 <= len(made) <= 28
    for sample in made:
        a, b, flow = sample["image_a"].float(), sample["image_b"][None].float(), sample["flow"][None]
        # What has left the crop is not there to compare.
        known = (sample["weight"][0] > 0) & in_bounds(flow)[0]
        error = (warp(b, flow)[0] - a).abs().mean(0)[known]
        assert error.mean() < 0.5 * (b[0] - a).abs().mean(0)[known].mean()


def test_a_side_smaller_than_the_crop_is_taken_whole() -> None:
    maps = {name: value for name, value in sample_of(3, 8).items() if isinstance(value, torch.Tensor)}
    cut = crop_maps(maps, (5, 4), 0.3, 1.0)
    assert torch.equal(cut["image_a"], maps["image_a"][..., 4:])


def test_only_what_is_smaller_than_the_rest_of_its_batch_is_padded_and_the_padding_has_no_label() -> None:
    batch = collate_padded([sample_of(3, 4), sample_of(5, 4)])
    assert batch["image_a"].shape == (2, 3, 5, 4)
    assert batch["image_a"].dtype == torch.uint8
    assert torch.equal(batch["image_a"][0, :, 4], batch["image_a"][0, :, 2])
    assert batch["weight"][0, 0].sum(dim=1).tolist() == [4, 4, 4, 0, 0]
    assert batch["region"][0, 0].sum(dim=1).tolist() == [4, 4, 4, 0, 0]
    assert batch["region"].dtype == torch.bool
    assert batch["seed"].tolist() == [2**60 + 1] * 2
    assert batch["clip"] == ["a.mp4"] * 2
    assert collate_padded([sample_of(3, 4)])["image_a"].shape == (1, 3, 3, 4)


def test_a_crop_is_as_likely_as_its_labels_weigh() -> None:
    # An object in the left half that weighs three times as much as all else: a crop is as wide as a quarter of it.
    weight = torch.ones(1, 8, 80)
    weight[..., :40] = 3.0
    share = {
        candidates: sum(choose_place(weight, (8, 10), candidates, seed)[1] < 0.5 for seed in range(2000)) / 2000
        for candidates in (1, 2, 16)
    }
    # Of two places one of each kind in half of the cases, of which the heavier is then taken three times in four.
    assert share[1] == pytest.approx(0.5, abs=0.04)
    assert share[2] == pytest.approx(0.5 + 0.5 * 0.25, abs=0.04)
    assert share[16] == pytest.approx(0.75, abs=0.04)


def test_crops_without_a_label_are_taken_only_where_there_are_no_others() -> None:
    weight = torch.zeros(1, 8, 80)
    weight[..., 30:50] = 1.0
    for seed in range(100):
        _, v = choose_place(weight, (8, 10), 32, seed)
        assert 0.29 <= v <= 0.71
    nothing = [choose_place(torch.zeros(1, 8, 80), (8, 10), 4, seed) for seed in range(5)]
    assert nothing == [choose_place(weight, (8, 10), 1, seed) for seed in range(5)]


def test_one_candidate_is_uniform_whatever_the_labels_weigh() -> None:
    places = Counter(int(4 * choose_place(torch.rand(1, 8, 8), (4, 4), 1, seed)[0]) for seed in range(2000))
    assert min(places.values()) > 420


class Known(SourceExamples):
    """The examples themselves as the domain."""

    def __init__(self) -> None:
        super().__init__(self, [7], (64, 64))  # type: ignore[arg-type]

    def example(self, number: int) -> dict[str, torch.Tensor]:
        valid = torch.zeros(1, 64, 64, dtype=torch.bool)
        valid[:, :number] = True
        image = torch.zeros(3, 64, 64, dtype=torch.uint8)
        return {"image_a": image, "image_b": image, "flow": torch.ones(2, 64, 64), "valid": valid}


def test_every_known_pixel_of_the_source_domain_weighs_one(source: Source) -> None:
    domain = Known()
    replayed = TrainingPairs(source, domain).__getitems__([PairRequest(0, 7, True)])[0]  # type: ignore[arg-type]
    for item in (domain[0], replayed):
        assert item["weight"].dtype == torch.float32
        assert item["weight"].sum() == 7 * 64
        assert "valid" not in item
    assert domain[0]["region"].all()


def test_windows_are_read_once_for_all_their_pairs(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counting(video: object, frames: list[int]) -> torch.Tensor:
        calls.append(frames)
        return read_frames(video, frames)  # type: ignore[arg-type]

    monkeypatch.setattr("refine_motion.refine.dataset.read_frames", counting)
    window: PairWindow = source.windows[0]
    TrainingPairs(source).__getitems__([PairRequest(0, n) for n in range(len(window.pairs))])
    assert calls == [list(window.clip.frames)]
