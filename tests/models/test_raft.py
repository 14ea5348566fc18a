from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from refine_motion.models.load import load_model
from refine_motion.models.raft import Raft
from refine_motion.models.registry import build_model
from tests.models.recipe import recipe_tensor


def frames(z: np.lib.npyio.NpzFile, name: str) -> Tensor:
    return torch.from_numpy(z[name]).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def small(real_data: Path) -> Raft:
    model = load_model("raft_small", weights=real_data / "weights" / "raft-small.pth")
    assert isinstance(model, Raft)
    return model


@pytest.fixture(scope="module")
def large(reference: Path) -> Raft:
    seed = int(np.load(reference / "raft_large_synth.npz")["weight_seed"])
    model = build_model("raft_large")
    model.load_state_dict({k: recipe_tensor(k, tuple(v.shape), seed) for k, v in model.state_dict().items()})
    assert isinstance(model, Raft)
    return model.eval()


def test_small_equals_official_outputs_after_every_iteration(small: Raft, reference: Path) -> None:
    z = np.load(reference / "raft_small_synth.npz")
    with torch.no_grad():
        flows = small.flow_sequence(frames(z, "image1"), frames(z, "image2"), iters=6)
    difference = (torch.cat(flows) - torch.from_numpy(z["flow_up"])).abs()
    assert difference.max() < 1e-3
    assert difference.mean() < 1e-4


def test_small_equals_official_output_on_rubberwhale(small: Raft, reference: Path) -> None:
    z = np.load(reference / "raft_small_rubberwhale.npz")
    flow = small.flow(frames(z, "image1"), frames(z, "image2"), iters=12)
    assert (flow[0] - torch.from_numpy(z["flow_up_last"])).abs().max() < 1e-3


def test_large_equals_official_outputs(large: Raft, reference: Path) -> None:
    z = np.load(reference / "raft_large_synth.npz")
    with torch.no_grad():
        flows = large.flow_sequence(frames(z, "image1"), frames(z, "image2"), iters=4)
    assert (torch.cat(flows) - torch.from_numpy(z["flow_up"])).abs().max() < 1e-3


def test_recipe_weights_are_the_ones_of_the_reference(large: Raft, reference: Path) -> None:
    check = json.loads((reference / "raft_large_recipe_check.json").read_text())
    entries = {key: (shape, total) for key, shape, total, _ in check["tensors"]}
    for key, value in large.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        shape, total = entries[key]
        assert list(value.shape) == shape
        assert value.double().sum().item() == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize(("name", "parameters"), [("raft_small", 990_162), ("raft_large", 5_257_536)])
def test_parameter_counts(name: str, parameters: int) -> None:
    assert sum(p.numel() for p in build_model(name).parameters()) == parameters


@pytest.fixture(scope="module", params=["raft_small", "raft_large"])
def random_model(request: pytest.FixtureRequest) -> Raft:
    torch.manual_seed(0)
    model = build_model(request.param)
    assert isinstance(model, Raft)
    return model.eval()


def test_both_directions_equal_two_separate_matches(random_model: Raft) -> None:
    a, b = torch.randint(0, 256, (2, 1, 3, 67, 90), dtype=torch.uint8)
    forward, backward = random_model.match_both(random_model.encode(a), random_model.encode(b), iters=2)
    assert forward.shape == (1, 2, 67, 90)
    torch.testing.assert_close(forward, random_model.flow(a, b, iters=2), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(backward, random_model.flow(b, a, iters=2), atol=1e-4, rtol=1e-4)


def test_a_pair_does_not_depend_on_its_batch(random_model: Raft) -> None:
    a, b = torch.randint(0, 256, (2, 2, 3, 64, 72), dtype=torch.uint8)
    together = random_model.flow(a, b, iters=2)
    torch.testing.assert_close(together[1:], random_model.flow(a[1:], b[1:], iters=2), atol=1e-4, rtol=1e-4)


def test_start_at_the_truth_beats_start_at_zero(small: Raft) -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 16, 28, generator=generator) * 255
    scene = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 255)
    a, b = scene[..., :160], scene[..., 40:200]
    truth = torch.zeros(1, 2, 128, 160)
    truth[:, 0] = -40
    inner = (..., slice(8, -8), slice(48, -8))
    fa, fb = small.encode(a), small.encode(b)
    with torch.no_grad():
        cold = (small.match(fa, fb, 1)[-1] - truth).norm(dim=1)[inner].mean()
        warm = (small.match(fa, fb, 1, init=truth)[-1] - truth).norm(dim=1)[inner].mean()
    assert warm < 0.25 * cold


def test_frames_of_wrong_shape_are_refused(random_model: Raft) -> None:
    with pytest.raises(ValueError, match="at least"):
        random_model.encode(torch.zeros(1, 3, 40, 200))
    with pytest.raises(ValueError, match=r"\(N, 3, H, W\)"):
        random_model.encode(torch.zeros(3, 64, 64))


def test_batch_norm_stays_frozen(random_model: Raft) -> None:
    before = {k: v.clone() for k, v in random_model.state_dict().items() if "running" in k}
    random_model.train()
    random_model.freeze_batch_norm()
    random_model.flow_sequence(torch.rand(1, 3, 64, 64) * 255, torch.rand(1, 3, 64, 64) * 255, iters=1)
    random_model.eval()
    after = random_model.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items())
