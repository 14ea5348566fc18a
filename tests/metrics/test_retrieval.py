from __future__ import annotations

import doctest
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from refine_motion.metrics import retrieval as room
from refine_motion.metrics.retrieval import VideoRetrieval


def videos(count: int = 30, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Features of 3 clips, class and number of each."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    clips = torch.randn(count, 3, 6, generator=generator) + torch.eye(6)[labels][:, None]
    return clips, labels, torch.randperm(count, generator=generator) + 100 * seed


def taken(metric: VideoRetrieval, these: tuple[Tensor, Tensor, Tensor], part: slice, gallery: bool) -> None:
    clips, labels, numbers = (values[part] for values in these)
    metric.update(clips, labels, numbers, gallery=gallery)


def test_examples() -> None:
    assert doctest.testmod(room, extraglobs={"torch": torch}).failed == 0


def test_the_official_values(reference: Path) -> None:
    z = {name: torch.from_numpy(value) for name, value in np.load(reference / "retrieval_recall.npz").items()}
    metric = VideoRetrieval()
    # Of length 1 already, so that a video of one clip keeps its features but for rounding.
    for name, gallery in (("gallery", True), ("query", False)):
        labels = z[f"{name}_labels"]
        metric.update(z[name][:, None], labels, torch.arange(len(labels)) + 1000 * gallery, gallery=gallery)
    assert torch.equal(torch.stack(list(metric.compute().values())), z["recall_percent"])
    assert list(metric.compute()) == ["r_at_1", "r_at_5", "r_at_10", "r_at_20", "r_at_50"]


@pytest.mark.parametrize("parts", [(slice(0, 15), slice(15, 30)), (slice(0, 30, 2), slice(1, 30, 2))])
def test_two_processes_give_what_one_gives(parts: tuple[slice, slice]) -> None:
    train, test = videos(), videos(seed=1)
    whole = VideoRetrieval(ks=(1, 2, 3))
    taken(whole, train, slice(None), True)
    taken(whole, test, slice(None), False)
    halves = [VideoRetrieval(ks=(1, 2, 3)) for _ in parts]
    for half, part in zip(halves, parts, strict=True):
        taken(half, train, part, True)
        taken(half, test, part, False)
    halves[0].merge_state(pickle.loads(pickle.dumps(halves[1])))
    assert halves[0].compute() == whole.compute()
    assert 0 < whole.compute()["r_at_1"] < 100


def test_as_gathered_over_processes() -> None:
    """The states are stacked along the videos, as torchmetrics does with those of all processes."""
    train, test = videos(), videos(seed=1)
    asked = iter(("features", "facts"))

    def gather(_: Tensor, group: object) -> list[Tensor]:
        name = next(asked)
        return [torch.cat(states[name]) for states in both]

    whole = VideoRetrieval()
    halves = [VideoRetrieval(dist_sync_fn=gather, distributed_available_fn=lambda: True) for _ in range(2)]
    for part, half in zip((slice(0, 20), slice(20, 30)), halves, strict=True):
        for metric in (whole, half):
            taken(metric, train, part, True)
            taken(metric, test, part, False)
    both = [{name: list(getattr(half, name)) for name in ("features", "facts")} for half in halves]
    assert halves[1].compute() == whole.compute()


def test_a_video_seen_twice_counts_once() -> None:
    train, test = videos(), videos(seed=1)
    once, twice = VideoRetrieval(ks=(1, 2, 3)), VideoRetrieval(ks=(1, 2, 3))
    for metric in (once, twice):
        taken(metric, train, slice(None), True)
        taken(metric, test, slice(None), False)
    taken(twice, train, slice(0, 9), True)
    taken(twice, test, slice(3, 5), False)
    assert twice.compute() == once.compute()


def test_a_video_does_not_find_itself() -> None:
    """The nearest of each is itself, and the next one is of another class."""
    clips = torch.tensor([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]])[:, None]
    labels, numbers = torch.tensor([0, 1, 0, 1]), torch.arange(4)
    metric = VideoRetrieval(ks=(1, 3, 4))
    metric.update(clips, labels, numbers, gallery=True)
    metric.update(clips, labels, numbers, gallery=False)
    assert [value.item() for value in metric.compute().values()] == [0, 100, 100]


def test_nothing_there() -> None:
    metric = VideoRetrieval(ks=(1,))
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert metric.compute()["r_at_1"].isnan()
    for gallery in (False, True):
        alone = VideoRetrieval(ks=(1,))
        taken(alone, videos(), slice(None), gallery)
        assert alone.compute()["r_at_1"].isnan()


def test_what_is_refused() -> None:
    clips, labels, numbers = videos()
    with pytest.raises(ValueError, match=r"got \(30, 3, 6\), \(30,\) and \(29,\)"):
        VideoRetrieval().update(clips, labels, numbers[1:], gallery=True)
    with pytest.raises(ValueError, match=r"clips must be \(B, N, D\)"):
        VideoRetrieval().update(clips[0], labels, numbers, gallery=True)
