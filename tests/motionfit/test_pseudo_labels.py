from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.errors import LabelError
from refine_motion.motionfit.pseudo_labels import posterior_labels


def test_the_clips_are_averaged_after_the_softmax() -> None:
    """Of three clips two say class 0, and one says 1 with so much certainty that the mean of the logits does."""
    shares = torch.tensor([[0.9, 0.1], [0.9, 0.1], [1e-9, 1.0]])
    found = posterior_labels(shares.log()[None])
    assert found.ids.tolist() == [0]
    assert found.confidence.item() == pytest.approx(0.6)


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(2, 6))
def test_confidence_is_the_probability(seed: int, clips: int, classes: int) -> None:
    logits = 5 * torch.randn(3, clips, classes, generator=torch.Generator().manual_seed(seed))
    found = posterior_labels(logits)
    assert (found.ids.dtype, found.confidence.dtype) == (torch.int64, torch.float32)
    assert ((found.confidence >= 1 / classes - 1e-6) & (found.confidence <= 1)).all()
    shares = logits.softmax(dim=-1).mean(dim=1)
    torch.testing.assert_close(shares.gather(1, found.ids[:, None])[:, 0], found.confidence)
    assert torch.equal(posterior_labels(logits.flip(1)).ids, found.ids)


def test_of_equals_the_first() -> None:
    assert posterior_labels(torch.zeros(1, 2, 3)).ids.tolist() == [0]


def test_nothing_is_kept_for_gradients() -> None:
    assert not posterior_labels(torch.zeros(1, 1, 2, requires_grad=True)).confidence.requires_grad


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_a_diverged_model_says_is_no_label(value: float) -> None:
    logits = torch.zeros(2, 3, 4)
    logits[1, 2, 0] = value
    with pytest.raises(LabelError, match="diverged"):
        posterior_labels(logits)
