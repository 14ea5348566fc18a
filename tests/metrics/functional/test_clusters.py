from __future__ import annotations

import doctest

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.metrics.functional import clusters as room
from refine_motion.metrics.functional.clusters import cluster_table, purity

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=30)


def test_examples() -> None:
    assert doctest.testmod(room, extraglobs={"torch": torch}).failed == 0


@given(PAIRS)
def test_by_counting(pairs: list[tuple[int, int]]) -> None:
    clusters, classes = torch.tensor(pairs).T
    table = cluster_table(clusters, classes, (4, 5))
    assert all(table[k, c] == pairs.count((k, c)) for k in range(4) for c in range(5))
    most = sum(max(pairs.count((k, c)) for c in range(5)) for k in range(4))
    assert purity(table).item() == most / len(pairs)


@given(PAIRS)
def test_names_of_clusters_do_not_count(pairs: list[tuple[int, int]]) -> None:
    clusters, classes = torch.tensor(pairs).T
    found, most_common = purity(cluster_table(clusters, classes, (4, 5))), classes.bincount().max().item()
    assert purity(cluster_table(3 - clusters, classes, (4, 5))) == found
    # The classes themselves are pure, and one cluster is as pure as the commonest class is common.
    assert purity(cluster_table(classes, classes, (5, 5))) == 1
    assert purity(cluster_table(torch.zeros_like(classes), classes, (1, 5))) == most_common / len(pairs)


def test_nothing_there() -> None:
    assert purity(torch.zeros(2, 3, dtype=torch.int64)).isnan()


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"clusters must be in 0\.\.1, got 0\.\.2"):
        cluster_table(torch.tensor([0, 2]), torch.tensor([0, 0]), (2, 2))
    with pytest.raises(ValueError, match=r"classes must be in 0\.\.1, got -1\.\.0"):
        cluster_table(torch.tensor([0, 1]), torch.tensor([0, -1]), (2, 2))
    with pytest.raises(ValueError, match=r"got \(2,\) and \(1,\)"):
        cluster_table(torch.tensor([0, 1]), torch.tensor([0]), (2, 2))
