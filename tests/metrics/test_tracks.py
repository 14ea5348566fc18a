from __future__ import annotations

import doctest
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from refine_motion.metrics import tracks as room
from refine_motion.metrics.tracks import CorrectKeypoints, TapVid, TrackErrors, TransferredKeypoints

Video = tuple[Tensor, Tensor, Tensor, Tensor]


def video(seed: int, frames: int = 6, points: int = 5) -> Video:
    """Estimate, its visibility, truth and its visibility."""
    generator = torch.Generator().manual_seed(seed)
    target = 100 * torch.rand(frames, points, 2, generator=generator)
    pred = target + 8 * torch.randn(frames, points, 2, generator=generator)
    seen, visible = (torch.rand(frames, points, generator=generator) > 0.3 for _ in range(2))
    return pred, seen, target, visible


def test_examples() -> None:
    assert doctest.testmod(room, extraglobs={"torch": torch}).failed == 0


def test_tap_vid_of_the_reference(reference: Path) -> None:
    z = np.load(reference / "tapvid_metrics.npz")
    metric = TapVid("first")
    for n in range(2):
        pred, target = (torch.from_numpy(z[name][n]).transpose(0, 1) for name in ("pred_tracks", "gt_tracks"))
        seen, visible = (~torch.from_numpy(z[name][n]).T for name in ("pred_occluded", "gt_occluded"))
        metric.update(pred, seen, target, visible, torch.from_numpy(z["query_points_first"][n][:, 0]))
    found = metric.compute()
    assert found["aj"].item() == pytest.approx(z["first_average_jaccard"].mean(), abs=1e-12)
    assert found["delta_avg"].item() == pytest.approx(z["first_average_pts_within_thresh"].mean(), abs=1e-12)
    assert found["oa"].item() == pytest.approx(z["first_occlusion_accuracy"].mean(), abs=1e-12)


def taken(kind: str, videos: list[Video]) -> TapVid | TrackErrors:
    metric = TapVid("strided") if kind == "tap" else TrackErrors(16)
    for pred, seen, target, visible in videos:
        if kind == "tap":
            metric.update(pred, seen, target, visible, torch.zeros(pred.shape[1]))
        else:
            metric.update(pred, target, seen, visible)
    return metric


@pytest.mark.parametrize("kind", ["tap", "errors"])
def test_several_videos_are_their_mean_and_processes_add_up(kind: str) -> None:
    videos = [video(seed) for seed in range(4)]
    whole = taken(kind, videos).compute()
    alone = [taken(kind, [one]).compute() for one in videos]
    first, second = taken(kind, videos[:1]), taken(kind, videos[1:])
    first.merge_state(pickle.loads(pickle.dumps(second)))
    merged = first.compute()
    for name, value in whole.items():
        assert value.item() == pytest.approx(np.nanmean([one[name].item() for one in alone]), abs=1e-12)
        assert merged[name].item() == pytest.approx(value.item(), abs=1e-12)


def test_videos_without_a_score_are_counted() -> None:
    pred, seen, target, visible = video(0)
    metric = taken("tap", [(pred, seen, target, visible), (pred, seen, target, torch.zeros_like(visible))])
    assert metric.skipped()["delta_avg"] == 1
    assert metric.skipped()["oa"] == 0
    assert metric.compute()["delta_avg"] == taken("tap", [(pred, seen, target, visible)]).compute()["delta_avg"]
    errors = TrackErrors()
    errors.update(pred, target, torch.zeros_like(visible), visible)
    assert errors.compute()["ate"].isnan()
    assert errors.skipped_tracks == 5


def test_names_tell_the_threshold() -> None:
    assert "survival_16" in TrackErrors(16).names
    assert "survival_50" in TrackErrors().names


def test_errors_take_the_frames_of_the_queries() -> None:
    target = torch.zeros(4, 1, 2)
    pred, valid = target.clone(), torch.ones(4, 1, dtype=torch.bool)
    pred[3] = 99
    late, first = TrackErrors(), TrackErrors()
    late.update(pred, target, valid, valid, torch.tensor([2.0]))
    first.update(pred, target, valid, valid)
    assert late.compute()["survival_50"] == 1 / 2
    assert first.compute()["survival_50"] == 3 / 4


def test_errors_of_tracks_that_are_seen_throughout_and_of_others() -> None:
    target = torch.zeros(3, 2, 2)
    pred, visible = target.clone(), torch.ones(3, 2, dtype=torch.bool)
    pred[:, 0, 0], pred[:, 1, 0], visible[1, 1] = 2, 6, False
    metric = TrackErrors()
    metric.update(pred, target, torch.ones_like(visible), visible)
    found = metric.compute()
    assert [found[name].item() for name in ("ate", "ate_visible", "ate_occluded", "median_error")] == [4, 2, 6, 4]


def test_a_track_that_is_seen_wherever_it_is_labelled_is_not_hidden() -> None:
    """Nobody labelled the frames between, and the frame in which the point is given does not count."""
    target = torch.zeros(4, 2, 2)
    pred, visible, valid = target + 3.0, torch.zeros(4, 2, dtype=torch.bool), torch.zeros(4, 2, dtype=torch.bool)
    visible[[0, 3], 0], valid[3, 0] = True, True
    visible[0, 1], valid[2:, 1] = True, True
    metric = TrackErrors()
    metric.update(pred[:, :1], target[:, :1], valid[:, :1], visible[:, :1])
    assert metric.compute()["ate_visible"].item() == pytest.approx(18**0.5)
    assert metric.compute()["ate_occluded"].isnan()
    metric = TrackErrors()
    metric.update(pred[:, 1:], target[:, 1:], valid[:, 1:], visible[:, 1:])
    assert metric.compute()["ate_visible"].isnan()


def test_transferred_keypoints_are_a_mean_over_videos() -> None:
    metric, target = TransferredKeypoints(), torch.zeros(2, 4, 2)
    pred, visible = target.clone(), torch.ones(2, 4, dtype=torch.bool)
    pred[1, 0] = 50
    metric.update(pred, target, visible, torch.tensor([100, 100]))
    visible[:, 1:] = False
    metric.update(pred, target, visible, torch.tensor([100, 100]))
    assert metric.compute()["pck_t"].item() == pytest.approx((75 + 0) / 2)


def test_keypoints_of_the_reference(reference: Path) -> None:
    z = np.load(reference / "pck_videowalk.npz")
    metric = CorrectKeypoints(15)
    for clip in range(3):
        height, width = z[f"size_hw_{clip}"]
        cells = torch.from_numpy(z[f"pred_cells_{clip}"]).permute(2, 1, 0)
        scale = torch.tensor([width, height], dtype=torch.float64) / float(z["feat_res"])
        pixels = torch.where(cells[..., :1] < 0, -1.0, cells * scale)
        metric.update(pixels, torch.from_numpy(z[f"gt_{clip}"]).permute(2, 1, 0))
    found = metric.compute()
    assert [found[f"pck_{alpha:g}"].item() for alpha in z["alphas"]] == pytest.approx(z["pck_mean"].tolist(), abs=1e-9)
