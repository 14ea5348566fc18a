from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.metrics.functional import masks as room
from refine_motion.metrics.functional.masks import (
    contour,
    contour_accuracy,
    dilate,
    frame_scores,
    object_count,
    region_similarity,
    split_objects,
    statistics,
    summary,
)


def mask(*rows: str) -> Tensor:
    return torch.tensor([[letter == "#" for letter in row] for row in rows])


@st.composite
def some_masks(draw, count: int = 1) -> Tensor:
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    bits = draw(st.lists(st.booleans(), min_size=count * height * width, max_size=count * height * width))
    return torch.tensor(bits).view(count, height, width)


def test_examples() -> None:
    assert doctest.testmod(room, extraglobs={"torch": torch}).failed == 0


def test_regions_and_contours_equal_the_official_values(reference: Path) -> None:
    z = np.load(reference / "davis_binary.npz")
    assert len(z["names"]) == 21
    for name, region, boundary in zip(z["names"], z["J"], z["F"], strict=True):
        pred, target = torch.from_numpy(z[f"pred_{name}"]), torch.from_numpy(z[f"gt_{name}"])
        assert region_similarity(pred, target).item() == pytest.approx(region, abs=1e-12), name
        assert contour_accuracy(pred, target).item() == pytest.approx(boundary, abs=1e-12), name


def test_sequences_equal_the_official_values(reference: Path) -> None:
    z = np.load(reference / "davis_sequences.npz")
    found: list[dict[str, Tensor]] = []
    for name in "abc":
        pred, target = torch.from_numpy(z[f"pred_{name}"]), torch.from_numpy(z[f"gt_{name}"])
        count = object_count(target[0])
        frames = [frame_scores(*pair, count) for pair in zip(pred[1:-1], target[1:-1], strict=True)]
        regions, contours = (torch.stack(scores, dim=-1) for scores in zip(*frames, strict=True))
        np.testing.assert_allclose(regions.numpy(), z[f"J_frames_{name}"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(contours.numpy(), z[f"F_frames_{name}"], rtol=0, atol=1e-12)
        found.append(summary(regions, contours))
    for ours, theirs in {"mean": "M", "recall": "R", "decay": "D"}.items():
        for letter in "jf":
            values = torch.cat([one[f"{letter}_{ours}"] for one in found]).numpy()
            np.testing.assert_allclose(values, z[f"{letter.upper()}_{theirs}"], rtol=0, atol=1e-12)


def test_statistics_equal_the_official_values(reference: Path) -> None:
    z = np.load(reference / "davis_sequences.npz")
    start = 0
    for length, wanted in zip(z["stat_lengths"], z["stat_mean_recall_decay"], strict=True):
        values = torch.from_numpy(z["stat_series"][start : start + length])
        np.testing.assert_allclose(torch.stack(statistics(values)).numpy(), wanted, rtol=0, atol=1e-12)
        start += length
    assert start == len(z["stat_series"])


def test_regions_by_hand() -> None:
    both, none = mask("##", ".#"), mask("..", "..")
    assert region_similarity(both, mask("#.", "##")).item() == 2 / 4
    assert region_similarity(none, none).item() == 1
    assert region_similarity(both, none).item() == 0
    assert region_similarity(none, both).item() == 0


def test_contours_by_hand() -> None:
    # To the left of an edge and above it; the frame's own edge is none.
    found = contour(mask("....", ".##.", "....", "...."))
    assert torch.equal(found, mask("###.", "###.", "....", "...."))
    assert not contour(mask("##", "##")).any()
    # In the last row a pixel is compared with its right neighbour alone, in the last column with the one below.
    assert torch.equal(contour(mask("...", "..#")), mask(".##", ".#."))


def test_a_contour_may_be_off_by_the_tolerance() -> None:
    # ceil(0.008 * |(50, 100)|) = 1.
    target = torch.zeros(50, 100, dtype=torch.bool)
    target[10:30, 10:30] = True
    assert contour_accuracy(target.roll(1, 1), target).item() == 1
    off = contour_accuracy(target.roll(2, 1), target).item()
    assert 0 < off < 1
    empty = torch.zeros_like(target)
    assert [contour_accuracy(*pair).item() for pair in ((empty, target), (target, empty), (empty, empty))] == [0, 0, 1]


@pytest.mark.parametrize(("size", "tolerance"), [((480, 854), 8), ((300, 400), 4), ((30, 40), 1)])
def test_the_tolerance_is_a_share_of_the_diagonal_rounded_up(size: tuple[int, int], tolerance: int) -> None:
    height, width = size
    edges = torch.arange(width).expand(height, width)
    target = edges < width // 2
    assert contour_accuracy(edges < width // 2 + tolerance, target).item() == 1
    assert contour_accuracy(edges < width // 2 + tolerance + 1, target).item() == 0


@given(some_masks(), st.integers(0, 6))
def test_a_disk_is_all_within_the_radius(masks: Tensor, radius: int) -> None:
    height, width = masks.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack((y, x), dim=-1).view(-1, 2)
    near = (places[:, None] - places).square().sum(dim=-1) <= radius**2
    wanted = (near & masks.view(1, -1)).any(dim=1).view(height, width)
    assert torch.equal(dilate(masks, radius)[0], wanted)


@given(some_masks(2))
def test_scores_are_shares_and_one_of_equal_masks(masks: Tensor) -> None:
    first, second = masks
    for score in (region_similarity, contour_accuracy):
        assert 0 <= score(first, second) <= 1
        assert score(first, second) == pytest.approx(score(second, first).item(), abs=1e-15)
        assert score(first, first) == 1
        batch = score(masks, second)
        assert batch.tolist() == [score(first, second).item(), 1]


@given(some_masks(2))
def test_of_regions_only_equal_ones_are_perfect(masks: Tensor) -> None:
    assert (region_similarity(*masks) == 1) == torch.equal(*masks)


def test_objects() -> None:
    ids = torch.tensor([[0, 1, 3], [255, 3, 3]], dtype=torch.uint8)
    assert object_count(ids) == 3
    assert object_count(torch.full((2, 2), 255)) == 0
    assert split_objects(ids, 3).sum(dim=(1, 2)).tolist() == [1, 0, 3]
    # An object that is never predicted is empty, and one that comes later than the first frame is background.
    regions, contours = frame_scores(torch.tensor([[1, 0]]), torch.tensor([[1, 9]]), 2)
    assert (regions.tolist(), contours.tolist()) == ([1, 1], [1, 1])
    with pytest.raises(ValueError, match="has object 3, but there are 2"):
        frame_scores(torch.tensor([[3, 0]]), torch.tensor([[1, 2]]), 2)


@pytest.mark.parametrize(
    ("count", "first", "last"), [(1, 1, 1), (4, 2, 2), (5, 2, 2), (100, 26, 26), (257, 65, 65), (1001, 251, 251)]
)
def test_decay_is_of_quarters_of_any_length(count: int, first: int, last: int) -> None:
    values = torch.zeros(count, dtype=torch.float64)
    values[:first] = 1
    values[count - last :] += 0.25
    # Each quarter holds both its ends, and none of the values just outside it.
    early, late = values[:first].mean(), values[count - last :].mean()
    assert statistics(values).decay.item() == pytest.approx((early - late).item(), abs=1e-12)
    if count > 2 * first:
        assert statistics(values).decay.item() == pytest.approx(0.75, abs=1e-12)
        values[first] = values[count - last - 1] = 100
        assert statistics(values).decay.item() == pytest.approx(0.75, abs=1e-12)


@given(st.integers(2, 300))
def test_decay_of_a_steady_fall(count: int) -> None:
    """The quarters are those that the official rule states, computed here in floating point as it is there."""
    ends = (np.round(np.linspace(1, count, 5) + 1e-10) - 1).astype(int)
    values = torch.linspace(1, 0, count, dtype=torch.float64)
    wanted = values[: ends[1] + 1].mean() - values[ends[3] :].mean()
    assert statistics(values).decay.item() == pytest.approx(wanted.item(), abs=1e-12)
    assert statistics(values).mean.item() == pytest.approx(0.5)


def test_recall_is_strict() -> None:
    assert statistics(torch.tensor([0.5, 0.5 + 1e-9, 0.2, 0.9], dtype=torch.float64)).recall.item() == 0.5


def test_what_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="no frame is scored"):
        statistics(torch.empty(2, 0))
    for score in (region_similarity, contour_accuracy):
        with pytest.raises(ValueError, match=r"of one size; got \(2, 3\) and \(3, 2\)"):
            score(torch.zeros(2, 3, dtype=torch.bool), torch.zeros(3, 2, dtype=torch.bool))
