from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from refine_motion.errors import ConfigError, LabelError
from refine_motion.labels.select import LabelRule, MinSpeed
from refine_motion.labels.store import LabelStore
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.dataset import HeldOutPairs, TrainingPairs
from tests.labels.made import made_label

SIZE = (72, 96)


def module(clip_folder: Path, folder: Path, **options: object) -> VideoLabelDataModule:
    """Eight labelled pairs of a clip; pair ``t`` moves ``t + 1`` px to the right everywhere."""
    settings: dict[str, object] = {"crop": SIZE, "num_workers": 0, "batch_size": 2, "filters": {}}
    data = VideoLabelDataModule(
        str(clip_folder / "videos"), str(folder / "labels"), str(folder / "index"), **{**settings, **options}
    )
    data.prepare_data()
    data.store = LabelStore(folder / "labels", "t")
    for key, _ in data.store.missing(data.label_keys()):
        flow = torch.tensor([key.frame_a + 1.0, 0.0]).expand(SIZE[0] * SIZE[1], 2)
        data.store.write(key, made_label(flow, size=SIZE))
    return data


def trained_on(data: VideoLabelDataModule) -> dict[int, torch.Tensor]:
    """Weights of each pair in training, by its first frame."""
    found = {}
    for batch in data.train_dataloader():
        for clip, weight in zip(batch["clip"], batch["weight"], strict=True):
            found[int(re.findall(r"frames (\d+) and", clip)[0])] = weight
    return found


def test_short_material_is_judged_in_blocks_of_every_pair(clip_folder: Path, tmp_path: Path) -> None:
    data = module(clip_folder, tmp_path)
    trained = trained_on(data)
    assert sorted(trained) == list(range(8))
    parts = {part: list(data.held_out_samples(part)) for part in ("choose", "decide")}
    for part in parts.values():
        assert [item["key"].frame_a for item in part] == list(range(8))
        for item in part:
            assert torch.equal(item["weight"] > 0, item["region"])
            assert not (item["region"] & (trained[item["key"].frame_a] > 0)).any()
            assert item["region"].any()
    for chosen, decided in zip(*parts.values(), strict=True):
        assert not (chosen["region"] & decided["region"]).any()
        assert torch.equal(chosen["flow"], decided["flow"])
    ((batch, *_),) = [list(loader) for loader in data.val_dataloader()]
    both = parts["choose"][0]["region"] | parts["decide"][0]["region"]
    assert torch.equal(batch["region"][0], both)


def test_longer_material_is_judged_in_windows_of_its_own(clip_folder: Path, tmp_path: Path) -> None:
    data = module(clip_folder, tmp_path, window=2, holdout=0.5)
    trained = trained_on(data)
    parts = {part: [item["key"].frame_a for item in data.held_out_samples(part)] for part in ("choose", "decide")}
    assert {part: len(frames) for part, frames in parts.items()} == {"choose": 2, "decide": 2}
    assert sorted([*trained, *parts["choose"], *parts["decide"]]) == list(range(8))
    assert all((weight == 1).all() for weight in trained.values())
    for item in data.held_out_samples("choose"):
        assert item["region"].all()
        assert (item["weight"] == 1).all()
        assert (item["flow"][0] == item["key"].frame_a + 1).all()


def test_at_most_so_many_pairs_are_judged(clip_folder: Path, tmp_path: Path) -> None:
    samples = module(clip_folder, tmp_path).held_out_samples("decide", limit=2)
    assert [item["key"].frame_a for item in samples] == [2, 6]


def test_nothing_held_out_leaves_everything_to_training(clip_folder: Path, tmp_path: Path) -> None:
    data = module(clip_folder, tmp_path, holdout=0)
    assert all((weight == 1).all() for weight in trained_on(data).values())
    assert len(data.held_out_samples("choose")) == 0
    assert data.val_dataloader() == []


def test_blocks_follow_the_seed(clip_folder: Path, tmp_path: Path) -> None:
    first, same, other = (
        trained_on(module(clip_folder, tmp_path / str(n), seed=s))[0] for n, s in enumerate((0, 0, 1))
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_rules_hold_for_training_and_judging(clip_folder: Path, tmp_path: Path) -> None:
    data = module(clip_folder, tmp_path, filters={"fast": MinSpeed(4.5)})
    assert {t: bool(weight.any()) for t, weight in trained_on(data).items()} == {t: t >= 4 for t in range(8)}
    assert [bool(item["weight"].any()) for item in data.held_out_samples("choose")] == [False] * 4 + [True] * 4


def test_speed_of_what_is_learnt_from(clip_folder: Path, tmp_path: Path) -> None:
    data = module(clip_folder, tmp_path)
    # Eight pairs of 1 to 8 px.
    assert [data.share_faster_than(speed) for speed in (0.5, 2.0, 6.5, 8.0)] == [1, 6 / 8, 2 / 8, 0]
    # Half the windows of two frames are held out.
    windows = module(clip_folder, tmp_path, window=2, holdout=0.5)
    learnt = sorted(trained_on(windows))
    assert windows.share_faster_than(4.5) == sum(t >= 4 for t in learnt) / len(learnt)
    # What the rules refuse is not learnt from.
    assert module(clip_folder, tmp_path, filters={"fast": MinSpeed(4.5)}).share_faster_than(6.5) == 2 / 4
    assert module(clip_folder, tmp_path, filters={"fast": MinSpeed(9)}).share_faster_than(6.5) == 1


class LeftHalf(LabelRule):
    """Only what lies in the left half weighs anything."""

    def __call__(self, label: object, weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return weight * (torch.arange(len(weight)) % SIZE[1] < SIZE[1] // 2)


def test_candidates_put_crops_where_the_labels_weigh(clip_folder: Path, tmp_path: Path) -> None:
    def share(candidates: int) -> float:
        options = {"crop": (64, 64), "crop_candidates": candidates, "filters": {"l": LeftHalf()}, "holdout": 0}
        modules = [module(clip_folder, tmp_path, seed=seed, **options) for seed in range(6)]
        found = torch.stack([weight > 0 for data in modules for weight in trained_on(data).values()])
        return found.float().mean().item()

    # Crops see 16 to 48 columns of the half; taken in proportion, those that see more come more often.
    assert share(1) == pytest.approx(32 / 64, abs=0.03)
    assert share(16) == pytest.approx((32**2 + 32**2 / 12) / 32 / 64, abs=0.03)
    assert share(16) > share(1) + 0.02


def test_no_label_yet_is_said(clip_folder: Path, tmp_path: Path) -> None:
    data = module(clip_folder, tmp_path)
    data.store = None
    with pytest.raises(LabelError, match="stage 1"):
        data.held_out_samples("choose")


@pytest.mark.parametrize("wrong", [{"crop_candidates": 0}, {"holdout": 0.6}, {"holdout": -0.1}], ids=str)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="data"):
        VideoLabelDataModule("videos", **wrong)  # type: ignore[arg-type]


def test_datasets_are_told_apart(clip_folder: Path, tmp_path: Path) -> None:
    data = module(clip_folder, tmp_path, crop_candidates=3)
    dataset = data.train_dataloader().dataset
    assert isinstance(dataset, TrainingPairs)
    assert dataset.candidates == 3
    assert isinstance(data.val_dataloader()[0].dataset, HeldOutPairs)
