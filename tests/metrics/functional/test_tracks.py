from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.metrics.functional import tracks as room
from refine_motion.metrics.functional.tracks import (
    THRESHOLDS,
    average_trajectory_error,
    correct_keypoints,
    correct_transfers,
    counted,
    distance,
    median_trajectory_error,
    queries,
    survival,
    tap_vid,
    within_thresholds,
)


def yes(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.bool)


def test_examples() -> None:
    assert doctest.testmod(room, extraglobs={"torch": torch}).failed == 0


OFFICIAL = {
    "oa": "occlusion_accuracy",
    "aj": "average_jaccard",
    "delta_avg": "average_pts_within_thresh",
    **{f"delta_{k}": f"pts_within_{k}" for k in THRESHOLDS},
    **{f"jaccard_{k}": f"jaccard_{k}" for k in THRESHOLDS},
}


@pytest.mark.parametrize("mode", ["first", "strided"])
@pytest.mark.parametrize("per_track", [False, True])
def test_tap_vid_equals_the_official_values(reference: Path, mode: str, per_track: bool) -> None:
    z = np.load(reference / "tapvid_metrics.npz")
    for video in range(2):
        pred, target = (torch.from_numpy(z[name][video]).transpose(0, 1) for name in ("pred_tracks", "gt_tracks"))
        hidden, truly_hidden = (torch.from_numpy(z[name][video]).T for name in ("pred_occluded", "gt_occluded"))
        frames = torch.from_numpy(z[f"query_points_{mode}"][video][:, 0])
        found = tap_vid(pred, ~hidden, target, ~truly_hidden, counted(frames, len(pred), mode), per_track)
        for ours, theirs in OFFICIAL.items():
            wanted = z[f"{mode}_{'track_' if per_track else ''}{theirs}"][video]
            np.testing.assert_allclose(found[ours].numpy(), wanted, rtol=0, atol=1e-12, err_msg=ours)


@pytest.mark.parametrize("mode", ["first", "strided"])
def test_queries_equal_the_official_reader(reference: Path, mode: str) -> None:
    z = np.load(reference / "tapvid_reader.npz")
    size = torch.tensor([z["video"].shape[2], z["video"].shape[1]])
    xy = torch.from_numpy(z["points"]).transpose(0, 1) * size
    frames, points = queries(torch.from_numpy(~z["occluded"]).T, mode)
    wanted = torch.from_numpy(z[f"{mode}_query_points"][0]).float()
    assert torch.equal(frames.float(), wanted[:, 0])
    torch.testing.assert_close(xy[frames, points].flip(-1), wanted[:, 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(xy[:, points].transpose(0, 1), torch.from_numpy(z[f"{mode}_target_points"][0]).float())
    if mode == "strided":
        assert torch.equal(points, torch.from_numpy(z["strided_trackgroup"][0]))


def test_tap_vid_by_hand() -> None:
    place, seen, late = torch.zeros(4, 1, 2), yes(4, 1), counted(torch.zeros(1), 4, "first")
    assert late[:, 0].tolist() == [False, True, True, True]
    perfect = tap_vid(place, seen, place, seen, late)
    assert [perfect[name].item() for name in ("aj", "delta_avg", "oa")] == [1, 1, 1]
    hidden = tap_vid(place, ~seen, place, seen, late)
    assert [hidden[name].item() for name in ("aj", "delta_avg", "oa")] == [0, 1, 0]
    # Just on a threshold does not count.
    off = tap_vid(place + torch.tensor([1.0, 0]), seen, place, seen, late)
    assert (off["delta_1"], off["delta_2"]) == (0, 1)


def test_a_far_point_that_is_seen_counts_twice_against_the_jaccard() -> None:
    pred = torch.zeros(2, 2, 2)
    pred[1, 1] = 100
    found = tap_vid(pred, yes(2, 2), torch.zeros(2, 2, 2), yes(2, 2), counted(torch.zeros(2), 2, "first"))
    assert found["jaccard_16"].item() == pytest.approx(1 / 3, abs=1e-12)


def test_nothing_to_score_is_no_number() -> None:
    place, seen = torch.zeros(3, 1, 2), yes(3, 1)
    found = tap_vid(place, seen, place, ~seen, counted(torch.zeros(1), 3, "first"))
    assert found["delta_avg"].isnan()
    # Although it is said to be seen where nothing is to be seen, which officially is a 0.
    assert found["aj"].isnan()
    assert tap_vid(place, seen, place, seen, ~seen)["oa"].isnan()
    assert average_trajectory_error(torch.zeros(3, 1), ~seen).isnan()
    assert within_thresholds(torch.zeros(3, 1), ~seen)["d_avg"].isnan()


def test_an_estimate_that_is_no_number_is_far_away() -> None:
    pred = torch.full((2, 1, 2), torch.nan)
    assert distance(pred, torch.zeros(2, 1, 2)).isinf().all()
    found = tap_vid(pred, yes(2, 1), torch.zeros(2, 1, 2), yes(2, 1), counted(torch.zeros(1), 2, "first"))
    assert (found["delta_16"], found["jaccard_16"]) == (0, 0)


def test_frames_before_a_query_count_when_strided() -> None:
    assert counted(torch.tensor([5.0]), 7, "strided")[:, 0].tolist() == [True] * 5 + [False, True]
    visible = torch.rand(23, 9, generator=torch.Generator().manual_seed(0)) > 0.4
    frames, _ = queries(visible, "strided")
    assert len(frames) == sum(int(visible[t].sum()) for t in range(0, 23, 5))


@given(st.integers(1, 12), st.integers(1, 12))
def test_survival_of_a_track_that_fails(frames: int, fails: int) -> None:
    away = torch.zeros(frames, 1)
    away[fails:] = 60.0
    assert survival(away, yes(frames, 1), 50).item() == pytest.approx(min(fails, frames) / frames, abs=1e-12)
    assert survival(away, yes(frames, 1), 60) == 1
    assert survival(away, ~yes(frames, 1), 50) == 1


@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 99))
def test_survival_of_points_of_the_first_frame_is_the_mean_over_all(frames: int, points: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    away = 60 * torch.rand(frames, points, generator=generator)
    valid = torch.rand(frames, points, generator=generator) > 0.2
    official = (1 - ((away > 50) & valid).double()).cumprod(dim=0).mean()
    assert survival(away, valid, 50) == official
    assert survival(away, valid, 50, torch.zeros(points)) == official


def test_survival_counts_from_the_query() -> None:
    # Given in frame 90 of 100 and lost at once, whatever is said before.
    away = torch.full((100, 1), torch.inf)
    away[90] = 0
    valid = yes(100, 1)
    assert survival(away, valid, 50, torch.tensor([90.0])).item() == pytest.approx(1 / 10, abs=1e-12)
    valid[:91] = False
    assert survival(away, valid, 50, torch.tensor([90.0])).item() == pytest.approx(1 / 10, abs=1e-12)
    # Beside one of the first frame that is kept, frames count alike.
    both = survival(torch.cat((away, 0 * away.nan_to_num()), 1), yes(100, 2), 50, torch.tensor([90, 0]))
    assert both.item() == pytest.approx(101 / 110, abs=1e-12)


def test_median_trajectory_error() -> None:
    away = torch.tensor([[1.0, 7.0, 9.0], [3.0, 8.0, 9.0], [100.0, 9.0, 9.0]])
    valid = torch.tensor([[True, True, False], [True, True, False], [True, False, False]])
    value, skipped = median_trajectory_error(away, valid)
    assert (value.item(), skipped) == ((3 + 7.5) / 2, 1)
    value, skipped = median_trajectory_error(away, ~yes(3, 3))
    assert value.isnan()
    assert skipped == 3


def test_within_thresholds_leaves_out_the_first_frame() -> None:
    away = torch.tensor([[0.0], [3.0], [1.0]])
    found = within_thresholds(away, yes(3, 1))
    assert [found[f"d_{k}"].item() for k in THRESHOLDS] == [0, 0.5, 1, 1, 1]
    assert found["d_avg"].item() == pytest.approx(0.7)


def test_average_trajectory_error() -> None:
    away, valid = torch.tensor([[1.0, torch.inf], [3.0, 5.0]]), torch.tensor([[True, False], [True, True]])
    assert average_trajectory_error(away, valid).item() == 3


def test_pck_equals_the_official_values(reference: Path) -> None:
    z = np.load(reference / "pck_videowalk.npz")
    alphas, found, estimated = torch.from_numpy(z["alphas"]), 0, 0
    for clip in range(3):
        height, width = z[f"size_hw_{clip}"]
        scale = torch.tensor([width, height], dtype=torch.float64) / float(z["feat_res"])
        cells = torch.from_numpy(z[f"pred_cells_{clip}"]).permute(2, 1, 0)
        pixels = torch.where(cells[..., :1] < 0, -1.0, cells * scale)
        target = torch.from_numpy(z[f"gt_{clip}"]).permute(2, 1, 0)
        right, counted = correct_keypoints(pixels, target, alphas)
        found, estimated = found + right, estimated + counted
    per_joint = 100 * found.double() / estimated
    np.testing.assert_allclose(per_joint.numpy(), z["pck_per_joint"], atol=1e-9)
    np.testing.assert_allclose(per_joint.mean(dim=1).numpy(), z["pck_mean"], atol=1e-9)


def test_pck_by_hand() -> None:
    # A box of 3 by 4: its diagonal is 5, and 0.2 of 0.6 of it is 0.6.
    target = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [9.0, 9.0]]], dtype=torch.float64).repeat(2, 1, 1)
    pred = target.clone()
    pred[:, 2] = -1
    pred[1, 0, 0] += 0.6
    alphas = torch.tensor([0.2 - 1e-9, 0.2 + 1e-9], dtype=torch.float64)
    found, estimated = correct_keypoints(pred, target, alphas)
    assert found.tolist() == [[0, 1, 0], [1, 1, 0]]
    assert estimated.tolist() == [1, 1, 0]


def test_transfers_are_judged_by_the_area_of_their_own_frame() -> None:
    away = torch.tensor([[9.0], [2.0], [2.0], [2.1]])
    found, counted = correct_transfers(away, yes(4, 1), torch.tensor([1, 100, 121, 100]))
    # 0.2 of a root of 10 is just 2, which does not count.
    assert (found.item(), counted.item()) == (1, 3)


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"\(T, N, 2\)"):
        distance(torch.zeros(3, 2, 2), torch.zeros(3, 3, 2))
