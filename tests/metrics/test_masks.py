from __future__ import annotations

import doctest
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from refine_motion.metrics import masks as room
from refine_motion.metrics.masks import JAndF


def sequence(seed: int, objects: int) -> tuple[Tensor, Tensor]:
    """Estimate and truth: squares that jump, numbered."""
    generator = torch.Generator().manual_seed(seed)
    both = torch.zeros(2, 6, 30, 40, dtype=torch.uint8)
    for number in range(1, objects + 1):
        for ids in both.view(12, 30, 40):
            y, x = (int(torch.randint(0, 10, (), generator=generator)) for _ in range(2))
            ids[y + 5 * number : y + 5 * number + 8, x : x + 12] = number
    return both[0], both[1]


def test_examples() -> None:
    assert doctest.testmod(room, extraglobs={"torch": torch}).failed == 0


def test_the_mean_over_objects_is_the_official_one(reference: Path) -> None:
    z = np.load(reference / "davis_sequences.npz")
    metric = JAndF()
    for name in "abc":
        metric.update(torch.from_numpy(z[f"pred_{name}"]), torch.from_numpy(z[f"gt_{name}"]))
    found = [value.item() for value in metric.compute().values()]
    np.testing.assert_allclose(found, z["global_JF_JM_JR_JD_FM_FR_FD"], rtol=0, atol=1e-12)


def test_the_mean_is_over_objects_and_processes_add_up() -> None:
    sequences = [sequence(seed, objects) for seed, objects in enumerate((1, 3, 2))]
    whole, alone = JAndF(), []
    for one in sequences:
        whole.update(*one)
        alone.append(JAndF())
        alone[-1].update(*one)
    mean = sum(n * each.compute()["jf"].item() for n, each in zip((1, 3, 2), alone, strict=True)) / 6
    assert whole.compute()["jf"].item() == pytest.approx(mean, abs=1e-12)
    merged = JAndF()
    merged.update(*sequences[0])
    for other in alone[1:]:
        merged.merge_state(pickle.loads(pickle.dumps(other)))
    for name, value in whole.compute().items():
        assert merged.compute()[name].item() == pytest.approx(value.item(), abs=1e-12)


def test_the_first_and_the_last_frame_do_not_count() -> None:
    _, truth = sequence(0, 2)
    pred = truth.clone()
    # Not even objects that there are not.
    pred[0], pred[-1] = 0, 7
    metric = JAndF()
    metric.update(pred, truth)
    assert metric.compute()["jf"] == 1
    pred[1] = 0
    metric.update(pred, truth)
    assert metric.compute()["jf"] < 1


def test_void_is_background() -> None:
    truth = torch.zeros(3, 8, 8, dtype=torch.uint8)
    truth[:, :4], truth[:, 6:] = 1, 255
    pred = torch.where(truth == 255, 0, truth)
    metric = JAndF()
    metric.update(pred, truth)
    assert metric.objects == 1
    assert metric.compute()["j_mean"] == 1
    pred[:, 6:] = 1
    metric.update(pred, truth)
    assert metric.compute()["j_mean"].item() == pytest.approx((1 + 4 / 6) / 2)


def test_what_is_refused() -> None:
    masks = torch.ones(3, 4, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match="2 frames"):
        JAndF().update(masks[:2], masks[:2])
    with pytest.raises(ValueError, match=r"both alike; got \(2, 4, 4\) and \(3, 4, 4\)"):
        JAndF().update(masks[:2], masks)
    with pytest.raises(ValueError, match="has object 2, but there are 1"):
        JAndF().update(2 * masks, masks)


def test_nothing_to_score_is_no_number() -> None:
    metric, empty = JAndF(), torch.zeros(3, 4, 4, dtype=torch.uint8)
    metric.update(empty, empty)
    assert metric.compute()["jf"].isnan()
