from __future__ import annotations

import doctest
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torchmetrics import Metric

import refine_motion.metrics.flow as metrics_module
from refine_motion.metrics.flow import (
    BoundaryEndPointError,
    EndPointError,
    FlAll,
    ImageEndPointError,
    MatchedEndPointError,
    PixelAccuracy,
    SpeedEndPointError,
    WeightedAreaUnderCurve,
    flow_metrics,
    from_sums,
    sums_of,
)
from refine_motion.metrics.functional import flow as functional


def along_x(*values: float) -> torch.Tensor:
    return torch.stack([torch.tensor([values]), torch.zeros(1, len(values))])


def some_flow(images: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    target = torch.randn(images, 2, 20, 30, generator=generator) * torch.logspace(-1, 2, images)[:, None, None, None]
    pred = target + torch.randn(target.shape, generator=generator) * 3
    return pred, target, torch.rand(images, 20, 30, generator=generator) > 0.3


def value(metric: Metric, pred: torch.Tensor, target: torch.Tensor, valid: torch.Tensor | None = None) -> float:
    metric.update(pred, target, valid)
    return metric.compute().item()


class TestAgainstOfficialCode:
    def test_protocols_of_sintel_and_kitti(self, reference: Path):
        data = np.load(reference / "flow_metrics.npz")
        pred, target, valid = (torch.from_numpy(data[key]) for key in ("flow_pred", "flow_gt", "valid"))
        printed = data["sintel_epe_1px_3px_5px_printed"]
        assert value(EndPointError(), pred, target) == pytest.approx(float(data["sintel_epe_all_pixels"]), rel=1e-5)
        for threshold, share in zip((1, 3, 5), printed[1:], strict=True):
            assert value(PixelAccuracy(threshold), pred, target) == pytest.approx(share, abs=1e-6)
        pooled = value(EndPointError(), pred, target, valid)
        assert pooled == pytest.approx(float(data["epe_pooled_valid"]), rel=1e-5)
        per_image = value(ImageEndPointError(), pred, target, valid)
        assert per_image == pytest.approx(float(data["kitti_epe_mean_of_image_means"]), rel=1e-5)
        assert value(FlAll(), pred, target, valid) == pytest.approx(float(data["kitti_fl_all_percent"]), rel=1e-5)

    def test_numbers_of_the_training_loop(self, reference: Path):
        data = np.load(reference / "raft_sequence_loss.npz")
        pred, target = torch.from_numpy(data["flow_preds"][-1]), torch.from_numpy(data["flow_gt"])
        # The official loop leaves out vectors of 400 px and more.
        valid = torch.from_numpy(data["valid"] >= 0.5) & (target.norm(dim=1) < 400)
        ours = [value(m, pred, target, valid) for m in (EndPointError(), *(PixelAccuracy(k) for k in (1, 3, 5)))]
        np.testing.assert_allclose(ours, data["metric_epe_1px_3px_5px"], rtol=1e-6)


class TestDefinitions:
    def test_the_limit_of_the_accuracy_is_outside(self):
        assert value(PixelAccuracy(3), along_x(3.0), along_x(0.0)) == 0
        assert value(PixelAccuracy(3), along_x(2.999), along_x(0.0)) == 1

    def test_speeds(self):
        target = along_x(0.0, 9.99, 10.0, 39.99, 40.0, 500.0)
        pred = target + along_x(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
        metrics = [SpeedEndPointError(0, 10), SpeedEndPointError(10, 40), SpeedEndPointError(40)]
        assert [value(metric, pred, target) for metric in metrics] == pytest.approx([1.5, 3.5, 5.5], abs=1e-5)
        assert math.isnan(value(SpeedEndPointError(10, 40), along_x(0.0), along_x(1.0)))

    def test_errors_far_from_boundaries_do_not_count_there(self):
        target = along_x(*[0.0] * 20, *[2.0] * 20)
        pred = target.clone()
        pred[0, 0, 0] = 100
        assert value(BoundaryEndPointError(), pred, target) == 0


@pytest.mark.parametrize(
    "make",
    [
        EndPointError,
        lambda: PixelAccuracy(3),
        FlAll,
        lambda: SpeedEndPointError(10, 40),
        BoundaryEndPointError,
        ImageEndPointError,
        WeightedAreaUnderCurve,
    ],
    ids=["epe", "accuracy", "fl", "speed", "boundary", "image", "wauc"],
)
def test_batches_add_up_to_all_pixels_at_once(make: Callable[[], Metric]):
    pred, target, valid = some_flow()
    metric = make()
    for part in (slice(0, 1), slice(1, 4), slice(4, 6)):
        metric.update(pred[part], target[part], valid[part])
    assert metric.compute().item() == pytest.approx(value(make(), pred, target, valid), rel=1e-6)


class TestAggregation:
    def test_kitti_weighs_images_in_epe_and_pixels_in_fl(self):
        # One image with four known pixels 1 px off, one with a single one 10 px off.
        pred, target = torch.zeros(2, 2, 1, 4), torch.zeros(2, 2, 1, 4)
        pred[0, 0], pred[1, 0] = 1.0, 10.0
        valid = torch.tensor([[[True, True, True, True]], [[True, False, False, False]]])
        assert value(ImageEndPointError(), pred, target, valid) == 5.5
        assert value(FlAll(), pred, target, valid) == 20

    def test_an_image_without_truth_takes_no_part_in_the_mean_over_images(self):
        pred = torch.stack([torch.full((2, 1, 2), math.nan), torch.ones(2, 1, 2)])
        valid = torch.tensor([[[False, False]], [[True, True]]])
        metric = WeightedAreaUnderCurve()
        metric.update(pred, torch.ones(2, 2, 1, 2), valid)
        assert (metric.compute().item(), metric.skipped_images) == (100, 1)

    def test_every_pixel_weighs_the_same(self):
        pred, target = torch.zeros(2, 2, 1, 4), torch.zeros(2, 2, 1, 4)
        pred[0, 0], pred[1, 0] = 1.0, 10.0
        valid = torch.tensor([[[True, True, True, True]], [[True, False, False, False]]])
        assert value(EndPointError(), pred, target, valid) == pytest.approx(14 / 5, rel=1e-6)

    def test_images_without_truth_are_counted_and_left_out(self):
        metric = EndPointError()
        metric.update(torch.ones(2, 3, 3), torch.zeros(2, 3, 3), torch.zeros(3, 3, dtype=torch.bool))
        assert math.isnan(metric.compute().item())
        metric.update(torch.ones(2, 3, 3), torch.zeros(2, 3, 3))
        assert metric.compute().item() == pytest.approx(math.sqrt(2), rel=1e-6)
        assert metric.skipped_images == 1

    def test_nan_outside_the_mask_does_no_harm_and_inside_stays_visible(self):
        pred = torch.zeros(2, 1, 2)
        pred[:, 0, 1] = math.nan
        metric = EndPointError()
        metric.update(pred, torch.zeros(2, 1, 2), torch.tensor([[True, False]]))
        assert metric.compute().item() == 0
        metric.update(pred, torch.zeros(2, 1, 2))
        assert math.isnan(metric.compute().item())


class TestMatched:
    def test_known_pixels_are_split_by_the_map(self):
        pred, target = along_x(1.0, 2.0, 4.0, 80.0), torch.zeros(2, 1, 4)
        valid, matched = torch.tensor([[True, True, True, False]]), torch.tensor([[True, False, False, False]])
        metrics = flow_metrics()
        metrics.update(pred[None], target[None], valid[None], matched=matched[None])
        values = metrics.compute()
        assert (values["epe_matched"], values["epe_unmatched"]) == (1, 3)

    def test_without_a_map_there_is_no_value(self):
        metrics = flow_metrics()
        metrics.update(along_x(1.0), along_x(2.0))
        assert math.isnan(metrics.compute()["epe_matched"])

    def test_a_map_of_another_size_is_refused(self):
        with pytest.raises(ValueError, match="valid has shape"):
            MatchedEndPointError().update(along_x(1.0), along_x(2.0), None, torch.ones(2, 2, dtype=torch.bool))


class TestSums:
    def test_sums_of_single_images_give_what_all_together_give(self):
        pred, target, valid = some_flow()
        whole = flow_metrics()
        whole.update(pred, target, valid, matched=~valid)
        parts = []
        for i in range(len(pred)):
            metrics = flow_metrics()
            metrics.update(pred[i], target[i], valid[i], matched=~valid[i])
            parts.append(sums_of(metrics))
        assert all(isinstance(number, (int, float)) for part in parts for s in part.values() for number in s.values())
        expected = whole.compute()
        for name, value in from_sums(parts).compute().items():
            assert value.item() == pytest.approx(expected[name].item(), rel=1e-6, nan_ok=True), name


class TestPrecision:
    def test_small_errors_still_count_beside_a_sum_of_a_hundred_million_pixels(self):
        metric = EndPointError()
        large, small = torch.zeros(1, 2, 1000, 1000), torch.zeros(1, 2, 10, 10)
        large[:, 1], small[:, 0] = 100.0, 0.01
        metric.update(large, torch.zeros_like(large))
        # Then images whose errors add up to 1 px each: less than the 8 px to which a float32 sum of 10^8 is rounded.
        for _ in range(2000):
            metric.update(small, torch.zeros_like(small))
        expected = (1e8 + 2000) / (1e6 + 200_000)
        assert metric.compute().item() == pytest.approx(expected, rel=1e-7)
        assert expected != pytest.approx(1e8 / (1e6 + 200_000), rel=1e-6)

    def test_no_state_needs_float64(self):
        assert {value.dtype for value in EndPointError().metric_state.values()} == {torch.int64, torch.float32}


def _score_half(rank: int, init_file: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{init_file}", rank=rank, world_size=2)
    pred, target, valid = some_flow()
    metrics = flow_metrics()
    for i in range(rank, len(pred), 2):
        metrics.update(pred[i], target[i], valid[i], matched=target[i, 0] > 0)
    values = metrics.compute()
    if rank == 0:
        torch.save(values, out)
    dist.destroy_process_group()


class TestMerging:
    @pytest.mark.skipif(not (dist.is_available() and hasattr(os, "fork")), reason="needs torch.distributed and fork")
    def test_two_processes_with_halves_equal_one_with_all(self, tmp_path: Path):
        out = tmp_path / "values.pt"
        mp.start_processes(_score_half, args=(str(tmp_path / "init"), str(out)), nprocs=2, start_method="fork")
        metrics = flow_metrics()
        pred, target, valid = some_flow()
        metrics.update(pred, target, valid, matched=target[:, 0] > 0)
        expected, merged = metrics.compute(), torch.load(out, weights_only=True)
        assert merged.keys() == expected.keys()
        for name, value in expected.items():
            assert merged[name].item() == pytest.approx(value.item(), rel=1e-6), name

    def test_merge_state(self):
        pred, target, valid = some_flow()
        first, second, both = EndPointError(), EndPointError(), EndPointError()
        first.update(pred[:2], target[:2], valid[:2])
        second.update(pred[2:], target[2:], valid[2:])
        both.update(pred, target, valid)
        first.merge_state(second)
        assert first.compute().item() == pytest.approx(both.compute().item(), rel=1e-7)

    def test_forward_gives_the_batch_and_keeps_the_sum(self):
        pred, target, valid = some_flow()
        metric = EndPointError()
        metric(pred[:3], target[:3], valid[:3])
        batch = metric(pred[3:], target[3:], valid[3:])
        assert batch.item() == pytest.approx(value(EndPointError(), pred[3:], target[3:], valid[3:]), rel=1e-6)
        assert metric.compute().item() == pytest.approx(value(EndPointError(), pred, target, valid), rel=1e-6)


class TestCollection:
    def test_a_first_batch_that_looks_alike_does_not_merge_the_metrics(self):
        metrics = flow_metrics()
        slow, fast = torch.ones(1, 2, 4, 4), torch.full((1, 2, 4, 4), 100.0)
        metrics.update(slow + 0.5, slow)
        metrics.update(fast + 2, fast)
        values = metrics.compute()
        assert values["epe_s0_10"].item() == pytest.approx(math.sqrt(0.5), rel=1e-6)
        assert values["epe_s40"].item() == pytest.approx(math.sqrt(8), rel=1e-6)
        assert values["px1_acc"].item() == 0.5
        assert values["px3_acc"].item() == 1.0
        assert math.isnan(values["epe_s10_40"].item())
        assert math.isnan(values["epe_boundary"].item())

    def test_names(self):
        assert set(flow_metrics().keys()) == {
            *("epe", "px1_acc", "px3_acc", "px5_acc", "fl_all"),
            *("epe_s0_10", "epe_s10_40", "epe_s40", "epe_boundary"),
            *("wauc", "epe_image", "epe_matched", "epe_unmatched"),
        }


@pytest.mark.parametrize("module", [functional, metrics_module], ids=lambda module: module.__name__)
def test_examples_in_the_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
