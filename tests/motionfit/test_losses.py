from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.motionfit.losses import MultiClipLoss

KINDS = ("consensus", "mean", "both")
LOGITS = st.floats(-30, 30, allow_subnormal=False)
TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}


@st.composite
def some_logits(draw, clips: int | None = None) -> tuple[Tensor, Tensor]:
    videos, classes = draw(st.integers(1, 3)), draw(st.integers(2, 5))
    clips = clips or draw(st.integers(1, 5))
    values = draw(st.lists(LOGITS, min_size=videos * clips * classes, max_size=videos * clips * classes))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=videos, max_size=videos))
    return torch.tensor(values, dtype=torch.float64).view(videos, clips, classes), torch.tensor(labels)


@pytest.mark.parametrize("kind", KINDS)
@given(drawn=some_logits(clips=1))
def test_of_one_clip_it_is_cross_entropy(kind: str, drawn: tuple[Tensor, Tensor]) -> None:
    logits, labels = drawn
    torch.testing.assert_close(MultiClipLoss(kind)(logits, labels), F.cross_entropy(logits[:, 0], labels), **TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
@given(drawn=some_logits(), seed=st.integers(0, 100))
def test_the_order_of_the_clips_does_not_count(kind: str, drawn: tuple[Tensor, Tensor], seed: int) -> None:
    logits, labels = drawn
    order = torch.randperm(logits.shape[1], generator=torch.Generator().manual_seed(seed))
    loss = MultiClipLoss(kind)
    torch.testing.assert_close(loss(logits[:, order], labels), loss(logits, labels), **TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
@given(drawn=some_logits(clips=1), count=st.integers(2, 5))
def test_identical_clips_are_one(kind: str, drawn: tuple[Tensor, Tensor], count: int) -> None:
    logits, labels = drawn
    loss = MultiClipLoss(kind)
    torch.testing.assert_close(loss(logits.repeat(1, count, 1), labels), loss(logits, labels), **TOLERANCE)


@given(drawn=some_logits())
def test_the_mean_is_never_less_than_the_consensus(drawn: tuple[Tensor, Tensor]) -> None:
    """Jensen: cross-entropy is convex in the logits."""
    consensus, mean, both = (MultiClipLoss(kind)(*drawn) for kind in KINDS)
    assert mean >= consensus - 1e-9
    assert consensus - 1e-9 <= both <= mean + 1e-9


@pytest.mark.parametrize("kind", KINDS)
@given(drawn=some_logits(), weights=st.lists(st.floats(0, 1, allow_subnormal=False), min_size=3, max_size=3))
def test_weights(kind: str, drawn: tuple[Tensor, Tensor], weights: list[float]) -> None:
    logits, labels = drawn
    given_weights, loss = torch.tensor(weights[: len(labels)], dtype=torch.float64), MultiClipLoss(kind)
    alone = torch.stack([loss(logits[i : i + 1], labels[i : i + 1]) for i in range(len(labels))])
    torch.testing.assert_close(loss(logits, labels, given_weights), (alone * given_weights).mean(), **TOLERANCE)
    torch.testing.assert_close(loss(logits, labels, torch.ones_like(given_weights)), loss(logits, labels), **TOLERANCE)


def test_by_hand() -> None:
    """Two clips of one video: one gives 3/4 to the right class and one 1/4, so together they give half."""
    logits, label = torch.tensor([[[3.0, 1.0], [1.0, 3.0]]], dtype=torch.float64).log(), torch.tensor([0])
    consensus, mean = math.log(2), (math.log(4 / 3) + math.log(4)) / 2
    assert MultiClipLoss("consensus")(logits, label).item() == pytest.approx(consensus)
    assert MultiClipLoss("mean")(logits, label).item() == pytest.approx(mean)
    mixed = MultiClipLoss("both", mean_share=0.25)(logits, label).item()
    assert mixed == pytest.approx(0.75 * consensus + 0.25 * mean)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind: str) -> None:
    logits = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    labels, weights = torch.tensor([4, 0, 2]), torch.tensor([1.0, 0.3, 0.0], dtype=torch.float64)
    loss = MultiClipLoss(kind)
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits)
    assert torch.autograd.gradcheck(lambda z: loss(z, labels, weights), logits)
    loss(logits, labels, weights).backward()
    assert logits.grad is not None
    assert logits.grad[2].abs().max() == 0 < logits.grad[0].abs().max()


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"loss\.kind must be consensus, mean or both, got 'median'"):
        MultiClipLoss("median")
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match=r"loss\.mean_share must be in 0\.\.1"):
            MultiClipLoss("both", share)
    logits, labels = torch.zeros(2, 3, 4), torch.zeros(2, dtype=torch.int64)
    for wrong in ((logits[0], labels, None), (logits, labels[:1], None), (logits, labels, torch.ones(3))):
        with pytest.raises(ValueError, match=r"logits must be \(B, N, K\), labels and weights \(B,\)"):
            MultiClipLoss()(*wrong)
