from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from refine_motion.corrflow.losses import ColourLoss, colour_cross_entropy, draw_truth, truth_probability
from refine_motion.errors import ConfigError
from refine_motion.models.corrflow import CorrFlow
from refine_motion.motion.compat import OFFICIAL
from refine_motion.motion.full_attention import FullAttention
from refine_motion.motion.label_maps import ids_to_cells, to_cells, to_pixels
from refine_motion.motion.local_attention import LocalAttention

LOCAL = LocalAttention(radius=2)


def features(frames: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(2, frames, 8, 6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def colours(frames: int = 3, classes: int = 16) -> Tensor:
    return torch.randint(0, classes, (2, frames, 24, 20), generator=torch.Generator().manual_seed(1))


def copied(reference: Tensor, target: Tensor, labels: Tensor) -> Tensor:
    """One call as the official code makes it: labels of full size in, ids or soft, and out."""
    size = (target.shape[2], target.shape[3])
    cells = to_cells(labels, size) if labels.is_floating_point() else ids_to_cells(labels, size, 16)
    shares = LOCAL.attend(target, reference[:, None], cells[:, None])
    return to_pixels(shares, (4 * size[0], 4 * size[1]))


def published_loss(pair: object, ids: Tensor, given: bool) -> tuple[Tensor, Tensor]:
    """Similarity and cycle of three frames, written out; ``pair(r, t)`` gives the features of the two frames."""
    first = copied(*pair(0, 1), ids[:, 0])
    second = copied(*pair(1, 2), ids[:, 1] if given else first)
    similarity = colour_cross_entropy(first, ids[:, 1]) + colour_cross_entropy(second, ids[:, 2])
    back_by_one = copied(*pair(1, 0), first)
    back_by_two = copied(*pair(1, 0), copied(*pair(2, 1), copied(*pair(1, 2), first)))
    return similarity, colour_cross_entropy(back_by_one, ids[:, 0]) + colour_cross_entropy(back_by_two, ids[:, 0])


class TestThreeFrames:
    @pytest.mark.parametrize("given", [True, False])
    def test_as_published(self, given: bool) -> None:
        maps, ids = features(), colours()
        similarity, cycle = published_loss(lambda r, t: (maps[:, r], maps[:, t]), ids, given)
        found = ColourLoss(LOCAL)(maps, ids, [given])
        torch.testing.assert_close(found.similarity, similarity)
        torch.testing.assert_close(found.cycle, cycle)
        torch.testing.assert_close(found.total, similarity + 0.1 * cycle)

    def test_gradients_are_those_of_the_published_loss(self) -> None:
        """Nothing is detached, on the way there or back."""
        maps, ids = features().requires_grad_(), colours()
        expected = published_loss(lambda r, t: (maps[:, r], maps[:, t]), ids, given=False)
        found = ColourLoss(LOCAL)(maps, ids, [False])
        for part, published in zip((found.similarity, found.cycle), expected, strict=True):
            gradients = [torch.autograd.grad(loss, maps, retain_graph=True)[0] for loss in (part, published)]
            torch.testing.assert_close(*gradients)

    def test_the_choice_matters(self) -> None:
        maps, ids = features(), colours()
        given, own = (ColourLoss(LOCAL)(maps, ids, [choice]) for choice in (True, False))
        assert (given.similarity - own.similarity).abs() > 1e-3
        assert given.cycle == own.cycle

    def test_features_of_each_frame_once_are_as_those_of_each_pair(self) -> None:
        """In evaluation mode; in training, statistics of batch normalisation are taken over what is given at once."""
        torch.manual_seed(0)
        model = CorrFlow("tiny", (8, 8, 12, 12)).eval()
        frames = torch.randint(0, 256, (2, 3, 3, 24, 20), generator=torch.Generator().manual_seed(2)).float()

        def pair(r: int, t: int) -> list[Tensor]:
            return list(model.encode(torch.cat((frames[:, r], frames[:, t]))).chunk(2))

        with torch.no_grad():
            similarity, cycle = published_loss(pair, colours(), given=False)
            once = model.encode(frames.flatten(0, 1)).unflatten(0, (2, 3))
            found = ColourLoss(LOCAL)(once, colours(), [False])
        torch.testing.assert_close(found.similarity, similarity, rtol=0, atol=1e-6)
        torch.testing.assert_close(found.cycle, cycle, rtol=0, atol=1e-6)

    def test_rules_of_the_official_code_reach_the_labels(self) -> None:
        maps, ids = features(), colours()
        official = LocalAttention(radius=2, compat=OFFICIAL)
        cells = ids_to_cells(ids[:, 0], (6, 5), 16, compat=OFFICIAL)
        first = to_pixels(official.attend(maps[:, 1], maps[:, :1], cells[:, None]), (24, 20))
        found = ColourLoss(official, cycle_weight=0)(maps[:, :2], ids[:, :2], [])
        torch.testing.assert_close(found.similarity, colour_cross_entropy(first, ids[:, 1]))


class TestMoreFrames:
    def test_teacher_forcing_is_a_sum_over_pairs(self) -> None:
        maps, ids = features(5), colours(5)
        found = ColourLoss(LOCAL)(maps, ids, draw_truth(1.0, 5, seed=0)).similarity
        pairs = [colour_cross_entropy(copied(maps[:, k], maps[:, k + 1], ids[:, k]), ids[:, k + 1]) for k in range(4)]
        torch.testing.assert_close(found, sum(pairs))

    def test_free_running_goes_on_from_what_was_copied(self) -> None:
        maps, ids = features(5), colours(5)
        found = ColourLoss(LOCAL)(maps, ids, draw_truth(0.0, 5, seed=0)).similarity
        labels, losses = ids[:, 0], []
        for k in range(4):
            labels = copied(maps[:, k], maps[:, k + 1], labels)
            losses.append(colour_cross_entropy(labels, ids[:, k + 1]))
        torch.testing.assert_close(found, sum(losses))

    def test_each_choice_is_of_its_own_frame(self) -> None:
        maps, ids = features(4), colours(4)
        found = ColourLoss(LOCAL)(maps, ids, [False, True]).similarity
        one = copied(maps[:, 0], maps[:, 1], ids[:, 0])
        two = copied(maps[:, 1], maps[:, 2], one)
        three = copied(maps[:, 2], maps[:, 3], ids[:, 2])
        parts = [colour_cross_entropy(o, ids[:, k]) for k, o in enumerate((one, two, three), start=1)]
        torch.testing.assert_close(found, sum(parts))

    def test_cycles_of_every_length(self) -> None:
        maps, ids = features(4), colours(4)
        found = ColourLoss(LOCAL)(maps, ids, [True, True]).cycle
        expected = []
        for path in ([0, 1, 0], [0, 1, 2, 1, 0], [0, 1, 2, 3, 2, 1, 0]):
            labels = ids[:, 0]
            for r, t in pairwise(path):
                labels = copied(maps[:, r], maps[:, t], labels)
            expected.append(colour_cross_entropy(labels, ids[:, 0]))
        torch.testing.assert_close(found, sum(expected))

    def test_gradients_flow_through_every_link(self) -> None:
        maps = features(4).requires_grad_()
        # Of the last frame's loss alone: what the first frame's features do reaches it through all links.
        ids = colours(4)
        loss = ColourLoss(LOCAL, cycle_weight=0)
        whole = loss(maps, ids, [False, False]).similarity
        shorter = loss(maps[:, :3], ids[:, :3], [False]).similarity
        (gradient,) = torch.autograd.grad(whole - shorter, maps)
        assert (gradient.abs().amax(dim=(0, 2, 3, 4)) > 1e-6).all()


class TestKnownValues:
    def test_still_frames_of_one_colour(self) -> None:
        still = features(1).expand(-1, 3, -1, -1, -1)
        found = ColourLoss(LOCAL)(still, torch.full((2, 3, 24, 20), 7), [False])
        for part in (found.similarity, found.cycle):
            assert part.abs().item() < 1e-7

    @pytest.mark.parametrize("attention", [FullAttention(), LocalAttention(radius=7)])
    def test_no_preference_on_a_balanced_picture(self, attention: FullAttention) -> None:
        """Every cell takes the mean of all: 2 log 16 + 0.1 x 2 log 16 = 6.10."""
        ids = torch.arange(16).view(4, 4).repeat_interleave(8, 0).repeat_interleave(8, 1).expand(1, 3, 32, 32)
        found = ColourLoss(attention)(torch.zeros(1, 3, 8, 8, 8, dtype=torch.float64), ids, [False])
        assert found.similarity.item() == pytest.approx(2 * math.log(16), abs=1e-6)
        assert found.cycle.item() == pytest.approx(2 * math.log(16), abs=1e-6)
        assert found.total.item() == pytest.approx(6.10, abs=5e-3)

    def test_cross_entropy(self) -> None:
        shares = torch.tensor([0.2, 0.5, 0.3]).view(1, 3, 1, 1).expand(1, 3, 1, 2)
        found = colour_cross_entropy(shares, torch.tensor([[[0, 1]]]))
        assert found.item() == pytest.approx(-(math.log(0.2) + math.log(0.5)) / 2)
        nothing = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
        assert colour_cross_entropy(nothing, torch.tensor([[[0]]])).item() == pytest.approx(-math.log(1e-8))

    def test_weight_of_the_cycle(self) -> None:
        maps, ids = features(), colours()
        tenth, whole, none = (ColourLoss(LOCAL, cycle_weight=w)(maps, ids, [True]) for w in (0.1, 1.0, 0.0))
        assert tenth.total == tenth.similarity + 0.1 * tenth.cycle
        assert whole.total == whole.similarity + whole.cycle
        assert none.total == none.similarity == whole.similarity
        assert none.cycle == 0


class TestScheduledSampling:
    def test_probability(self) -> None:
        assert truth_probability(0, 1000) == 0.9
        assert truth_probability(1000, 1000) == pytest.approx(0.6)
        assert truth_probability(250, 1000) == pytest.approx(0.825)
        assert truth_probability(5000, 1000) == pytest.approx(0.6)
        assert truth_probability(500, 1000, first=1.0, last=1.0) == 1.0

    def test_draws(self) -> None:
        draws = torch.tensor([draw_truth(0.7, 4, seed) for seed in range(10_000)]).float()
        assert draws.shape == (10_000, 2)
        torch.testing.assert_close(draws.mean(dim=0), torch.tensor([0.7, 0.7]), rtol=0, atol=0.02)
        # Every frame on its own.
        assert (draws[:, 0] * draws[:, 1]).mean().item() == pytest.approx(0.49, abs=0.02)

    def test_a_step_does_not_depend_on_those_before(self) -> None:
        """So that a training that goes on draws what one in a single piece does."""
        draws = [draw_truth(0.5, 6, seed) for seed in range(20)]
        torch.manual_seed(5)
        assert draws[10:] == [draw_truth(0.5, 6, seed) for seed in range(10, 20)]
        assert len({tuple(d) for d in draws}) > 5

    def test_two_frames_leave_nothing_to_choose(self) -> None:
        assert draw_truth(0.5, 2, seed=0) == []


class TestRefused:
    def test_shapes(self) -> None:
        for maps, ids, truth in (
            (features(3), colours(4), [True]),
            (features(3), colours(3), []),
            (features(1), colours(1), []),
        ):
            with pytest.raises(ValueError, match="do not fit together"):
                ColourLoss(LOCAL)(maps, ids, truth)

    @pytest.mark.parametrize("weight", [-0.1, float("nan")])
    def test_weight(self, weight: float) -> None:
        with pytest.raises(ConfigError, match=r"loss\.cycle_weight must be at least 0"):
            ColourLoss(LOCAL, cycle_weight=weight)
