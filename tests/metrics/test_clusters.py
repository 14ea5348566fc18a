from __future__ import annotations

import doctest
import pickle

import pytest
import torch

from refine_motion.metrics import clusters as room
from refine_motion.metrics.clusters import ClusterPurity, cluster_metrics

pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks", "ignore:Metric .* will save all")


def members(count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Cluster and class of each; every second one has the number of its class."""
    classes = torch.randint(0, 4, (count,), generator=torch.Generator().manual_seed(0))
    clusters = torch.where(torch.arange(count) % 2 == 0, classes, torch.arange(count) % 5)
    return clusters, classes


def test_examples() -> None:
    assert doctest.testmod(room, extraglobs={"torch": torch}).failed == 0


def test_two_processes_give_what_one_gives() -> None:
    clusters, classes = members()
    whole, first, second = (ClusterPurity(5, 4) for _ in range(3))
    whole.update(clusters, classes)
    first.update(clusters[:50], classes[:50])
    second.update(clusters[50:], classes[50:])
    first.merge_state(pickle.loads(pickle.dumps(second)))
    assert first.compute() == whole.compute()
    assert 0.5 < whole.compute() < 1


def test_mutual_information_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import normalized_mutual_info_score

    clusters, classes = members()
    metrics = cluster_metrics(5, 4)
    for part in (slice(0, 120), slice(120, 200)):
        metrics.update(clusters[part], classes[part])
    wanted = normalized_mutual_info_score(classes.numpy(), clusters.numpy())
    assert metrics.compute()["nmi"].item() == pytest.approx(wanted, abs=1e-6)
    assert metrics.compute()["purity"] == metrics["purity"].compute()


@pytest.mark.parametrize(("clusters", "nmi", "purity"), [([2, 2, 0, 0], 1, 1), ([0, 1, 0, 1], 0, 0.5)])
def test_by_hand(clusters: list[int], nmi: float, purity: float) -> None:
    metrics = cluster_metrics(3, 2)
    metrics.update(torch.tensor(clusters), torch.tensor([0, 0, 1, 1]))
    found = metrics.compute()
    assert (found["nmi"].item(), found["purity"].item()) == (pytest.approx(nmi, abs=1e-6), purity)
