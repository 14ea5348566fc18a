from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.metrics.functional import retrieval as room
from refine_motion.metrics.functional.retrieval import KS, NEVER, first_hits, recall_at, video_features


@st.composite
def some_videos(draw, dimensions: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries and a gallery, few places and few classes, so that ties are common."""
    seed = draw(st.integers(0, 10_000))
    counts = draw(st.integers(1, 8)), draw(st.integers(1, 20))
    generator = torch.Generator().manual_seed(seed)
    features = [torch.randint(0, 4, (count, dimensions), generator=generator).float() for count in counts]
    labels = [torch.randint(0, 3, (count,), generator=generator) for count in counts]
    return features[0], labels[0], features[1], labels[1]


def test_examples() -> None:
    assert doctest.testmod(room, extraglobs={"torch": torch}).failed == 0


def test_recall_equals_the_official_values(reference: Path) -> None:
    z = {name: torch.from_numpy(value) for name, value in np.load(reference / "retrieval_recall.npz").items()}
    assert tuple(z["ks"].tolist()) == KS
    places = first_hits(z["query"], z["query_labels"], z["gallery"], z["gallery_labels"])
    assert torch.equal(recall_at(places), z["recall_percent"])
    # The official neighbours say where the first hit is, too.
    hits = z["gallery_labels"][z["neighbours_top10"]] == z["query_labels"][:, None]
    official = torch.where(hits.any(dim=1), 1 + hits.int().argmax(dim=1), 11)
    assert torch.equal(places.clamp(max=11), official)


def test_by_hand() -> None:
    """On a line: the gallery at 0, 1, 2, 3, 10 with classes a, b, a, c, b."""
    gallery = torch.tensor([0.0, 1, 2, 3, 10])[:, None] * torch.tensor([0.6, 0.8])
    classes = torch.tensor([0, 1, 0, 2, 1])
    query = torch.tensor([0.4, 0.4, 0.4, 9, 9])[:, None] * torch.tensor([0.6, 0.8])
    places = first_hits(query, torch.tensor([0, 1, 2, 1, 0]), gallery, classes)
    # From 0.4 the order is 0, 1, 2, 3, 10; from 9 it is 10, 3, 2, 1, 0.
    assert places.tolist() == [1, 2, 4, 1, 3]
    assert recall_at(places, (1, 2, 3, 4)).tolist() == [40, 60, 80, 100]


@settings(deadline=None)
@given(some_videos())
def test_equal_to_sorting(videos: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    query, query_labels, gallery, gallery_labels = videos
    order = (query[:, None] - gallery).double().norm(dim=-1).argsort(dim=1, stable=True)
    hits = gallery_labels[order] == query_labels[:, None]
    wanted = torch.where(hits.any(dim=1), 1 + hits.int().argmax(dim=1), NEVER)
    assert torch.equal(first_hits(*videos), wanted)


@settings(deadline=None)
@given(some_videos())
def test_more_neighbours_never_find_less(videos: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    recall = recall_at(first_hits(*videos), range(1, len(videos[2]) + 5))
    assert (recall.diff() >= 0).all()
    known = torch.isin(videos[1], videos[3])
    # Among all neighbours everything is found that there is, and nothing else, however many are asked for.
    assert (recall[len(videos[2]) - 1 :] == 100 * known.double().mean()).all()


@settings(deadline=None)
@given(some_videos())
def test_a_query_is_never_in_its_own_gallery(videos: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    features, labels = videos[2], videos[3]
    places = first_hits(features, labels, features, labels, same=torch.eye(len(features), dtype=torch.bool))
    for own in range(len(features)):
        others = torch.arange(len(features)) != own
        alone = first_hits(features[own : own + 1], labels[own : own + 1], features[others], labels[others])
        assert places[own] == alone


def test_more_queries_than_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    query, gallery = torch.randn(7, 3, generator=generator), torch.randn(9, 3, generator=generator)
    labels, classes = torch.arange(7) % 3, torch.arange(9) % 3
    same = torch.rand(7, 9, generator=generator) > 0.7
    whole = first_hits(query, labels, gallery, classes, same)
    monkeypatch.setattr(room, "_AT_ONCE", 2)
    assert torch.equal(first_hits(query, labels, gallery, classes, same), whole)


def test_clips_count_alike_whatever_their_length() -> None:
    clips = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    scaled = clips * torch.tensor([1.0, 7.0, 0.2])[:, None]
    torch.testing.assert_close(video_features(scaled), video_features(clips))
    # The mean is not scaled: clips that disagree make a short one.
    assert video_features(torch.tensor([[1.0, 0.0], [-2.0, 0.0]])).tolist() == [0, 0]
    assert video_features(torch.zeros(2, 3)).tolist() == [0, 0, 0]


def test_nothing_there() -> None:
    features, labels = torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)
    assert recall_at(first_hits(features[:0], labels[:0], features, labels)).isnan().all()
    assert first_hits(features, labels, features[:0], labels[:0]).tolist() == [NEVER, NEVER]


def test_what_is_not_a_number_is_never_found() -> None:
    gallery, labels = torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1])
    assert first_hits(torch.tensor([[torch.nan]]), torch.tensor([0]), gallery, labels).tolist() == [NEVER]
    gallery[0] = torch.nan
    assert first_hits(torch.tensor([[0.0], [0.9]]), torch.tensor([0, 1]), gallery, labels).tolist() == [NEVER, 1]


def test_what_is_refused() -> None:
    labels = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"got \(2, 3\), \(2, 4\) and 2 labels"):
        first_hits(torch.zeros(2, 3), labels, torch.zeros(2, 4), labels)
    with pytest.raises(ValueError, match=r"got \(2, 3\), \(1, 3\) and 2 labels"):
        first_hits(torch.zeros(2, 3), labels, torch.zeros(1, 3), labels)
