from __future__ import annotations

import math

import pytest
import torch

from refine_motion.metrics.functional.flow import (
    end_point_error_map,
    known_pixels,
    moves_at,
    near_motion_boundary,
    outliers,
    wauc_map,
)

SPEEDS = [(0, 10), (10, 40), (40, math.inf)]


def along_x(*values: float) -> torch.Tensor:
    return torch.stack([torch.tensor([values]), torch.zeros(1, len(values))])


class TestOutliers:
    @pytest.mark.parametrize(
        ("error", "speed", "expected"), [(3, 1, False), (4, 80, False), (4, 79, True), (4, 0, True)]
    )
    def test_both_limits_are_strict(self, error: float, speed: float, expected: bool):
        assert outliers(along_x(speed + error), along_x(speed)).item() is expected

    def test_not_a_number_is_an_outlier(self):
        assert outliers(along_x(math.nan), along_x(1.0)).item() is True


class TestWauc:
    def test_ends_and_middle(self):
        assert wauc_map(torch.zeros(4)).tolist() == [100] * 4
        assert wauc_map(torch.tensor([5.0001, 1e9, math.inf, math.nan])).tolist() == [0] * 4
        half = 100 * sum(1 - (i - 1) / 100 for i in range(50, 101)) / 50.5
        assert wauc_map(torch.tensor(2.5)).item() == pytest.approx(half, abs=1e-9)

    def test_every_limit_belongs_to_the_smaller_error(self):
        limits = torch.arange(1, 101, dtype=torch.float64) / 20
        weights = [1 - (i - 1) / 100 for i in range(1, 101)]
        expected = [100 * sum(weights[i:]) / 50.5 for i in range(101)]
        assert wauc_map(limits).tolist() == pytest.approx(expected[:-1], abs=1e-9)
        assert wauc_map(limits + 1e-12).tolist() == pytest.approx(expected[1:], abs=1e-9)


class TestSeveralTrueVectors:
    """As the server of the Spring benchmark scores a pixel with four true vectors."""

    def four(self, *speeds: float) -> torch.Tensor:
        target = torch.zeros(1, 4, 2, 1, 1)
        target[0, :, 0, 0, 0] = torch.tensor(speeds)
        return target

    def test_the_nearest_counts(self):
        assert end_point_error_map(along_x(5.0)[None], self.four(0, 4, 9, 20)).item() == 1

    def test_speed_is_the_mean_in_bins_and_the_largest_in_outliers(self):
        target = self.four(0, 4, 9, 20)
        assert moves_at(target, 8.25, 8.26).item() is True
        # Off by 3.5 px from the nearest: 5 % of the fastest decide.
        assert outliers(along_x(23.5)[None], target).item() is True
        assert outliers(along_x(83.5)[None], self.four(0, 4, 9, 80)).item() is False

    def test_one_unknown_vector_makes_the_pixel_unknown(self):
        assert known_pixels(self.four(1, 1, 1, math.nan)).item() is False
        assert known_pixels(self.four(1, 1, 1, 1), torch.ones(1, 1, 1)).item() is True

    def test_four_equal_vectors_are_as_good_as_one(self):
        target, pred = torch.randn(2, 2, 9, 14) * 5, torch.randn(2, 2, 9, 14) * 5
        four = target[:, None].expand(-1, 4, -1, -1, -1)
        assert torch.equal(end_point_error_map(pred, four), end_point_error_map(pred, target))
        assert torch.equal(outliers(pred, four), outliers(pred, target))
        assert torch.equal(near_motion_boundary(four), near_motion_boundary(target))

    def test_shapes_are_checked(self):
        with pytest.raises(ValueError, match="differ in shape"):
            end_point_error_map(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 2, 2, 2))


class TestMovesAt:
    def test_bins_share_no_pixel_and_leave_none_out(self):
        target = along_x(0.0, 9.99, 10.0, 39.99, 40.0, 500.0)
        bins = [moves_at(target, low, high)[0].nonzero()[:, 0].tolist() for low, high in SPEEDS]
        assert bins == [[0, 1], [2, 3], [4, 5]]


class TestKnownPixels:
    def test_a_mask_that_would_broadcast_is_refused(self):
        with pytest.raises(ValueError, match="valid has shape"):
            known_pixels(torch.zeros(3, 2, 4, 5), torch.ones(3, 1, 4, 5))

    def test_unknown_flow_of_middlebury_is_left_out(self):
        assert known_pixels(along_x(1.0, 1e10, 999.0)).tolist() == [[True, False, True]]

    def test_numbers_serve_as_a_mask(self):
        assert known_pixels(along_x(1.0, 1.0), torch.tensor([[1.0, 0.0]])).tolist() == [[True, False]]


class TestMotionBoundary:
    def test_a_square_is_surrounded_by_a_ring_of_five_pixels_on_each_side(self):
        target = torch.zeros(1, 2, 60, 60)
        target[:, 1, 20:40, 20:40] = -1.5
        near = near_motion_boundary(target)[0]
        # On the boundary: 19|20 and 39|40 in both axes; dilated by 5 (the corner outside is 4-connected to no edge).
        expected = torch.zeros(60, 60, dtype=torch.bool)
        for y in range(60):
            for x in range(60):
                on = [
                    (j, i)
                    for j in range(max(y - 5, 19), min(y + 5, 40) + 1)
                    for i in range(max(x - 5, 19), min(x + 5, 40) + 1)
                    if (j in (19, 20, 39, 40) and 20 <= i < 40) or (i in (19, 20, 39, 40) and 20 <= j < 40)
                ]
                expected[y, x] = bool(on)
        assert torch.equal(near, expected)
        assert not near[30, 30]
        assert near[14, 30]
        assert not near[13, 30]

    def test_a_step_of_exactly_one_pixel_is_none(self):
        assert not near_motion_boundary(along_x(0.0, 1.0, 2.0, 3.0)).any()
        assert near_motion_boundary(along_x(0.0, 1.01)).all()

    def test_unknown_truth_makes_no_boundary(self):
        target = torch.zeros(2, 20, 20)
        target[:, 5:9, 5:9] = 1e10
        assert not near_motion_boundary(target).any()
        target[:, 5:9, 5:9] = 50.0
        valid = torch.ones(20, 20, dtype=torch.bool)
        valid[5:9, 5:9] = False
        assert not near_motion_boundary(target, valid).any()
        assert near_motion_boundary(target).any()

    def test_samples_of_a_batch_do_not_touch(self):
        target = torch.zeros(2, 2, 12, 12)
        target[1, 0, :, 6:] = 3
        assert torch.equal(near_motion_boundary(target)[0], torch.zeros(12, 12, dtype=torch.bool))
        assert torch.equal(near_motion_boundary(target)[1], near_motion_boundary(target[1]))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="differ in shape"):
        end_point_error_map(torch.zeros(1, 2, 4, 5), torch.zeros(2, 2, 4, 5))
    with pytest.raises(ValueError, match="a flow has shape"):
        end_point_error_map(torch.zeros(3, 4, 5), torch.zeros(3, 4, 5))
