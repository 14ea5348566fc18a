from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from refine_motion.models.corrflow import CorrFlow, corrflow, corrflow_small
from refine_motion.models.weights import load_weights, read_weights, write_state
from refine_motion.motion.compat import FIXED, OFFICIAL
from refine_motion.motion.label_maps import ids_to_cells
from refine_motion.motion.local_attention import LocalAttention
from tests.models.recipe import recipe_tensor

TINY = (8, 8, 12, 12)


def frames(count: int = 2, height: int = 24, width: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


@pytest.fixture
def tiny() -> CorrFlow:
    torch.manual_seed(0)
    return CorrFlow("tiny", TINY)


@pytest.fixture(scope="module")
def z(reference: Path) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in np.load(reference / "corrflow_encoder.npz").items()}


@pytest.fixture(scope="module")
def official(z: dict[str, Tensor]) -> CorrFlow:
    """The published size with the reference's weights."""
    model, seed = corrflow(), int(z["weight_seed"])
    model.load_state_dict({k: recipe_tensor(k, tuple(v.shape), seed) for k, v in model.state_dict().items()})
    assert isinstance(model, CorrFlow)
    return model.eval()


class TestEqualToTheOfficialOutputs:
    def test_weights_are_the_ones_of_the_reference(self, official: CorrFlow, reference: Path) -> None:
        check = json.loads((reference / "corrflow_recipe_check.json").read_text())
        entries = {key: (shape, total) for key, shape, total, _ in check["tensors"]}
        state = official.state_dict()
        assert set(state) == set(entries)
        for key, value in state.items():
            # The counters are scalars, which the list has as one number.
            assert (list(value.shape) or [1]) == entries[key][0]
            assert value.double().sum().item() == pytest.approx(entries[key][1], abs=1e-6)

    def test_features(self, official: CorrFlow, z: dict[str, Tensor]) -> None:
        with torch.no_grad():
            features = official.encode(z["image"] * 255)
        assert (features - z["encoder_out"]).abs().max() < 1e-4

    def test_colours_of_the_next_frame(self, official: CorrFlow, z: dict[str, Tensor]) -> None:
        with torch.no_grad():
            reference, target = official.encode(255 * torch.cat((z["rgb_ref"], z["rgb_target"]))).split(1)
        labels = ids_to_cells(z["labels_ref"][:, 0], (16, 16), 16, compat=OFFICIAL)
        found = LocalAttention(compat=OFFICIAL).attend(target, reference[:, None], labels[:, None])
        assert (found - z["full_forward_out"]).abs().max() < 1e-4


class TestSizes:
    def test_published(self) -> None:
        model = corrflow()
        assert sum(value.numel() for value in model.parameters()) == 5_291_648
        with torch.no_grad():
            assert model.eval().encode(torch.zeros(1, 3, 256, 256)).shape == (1, 64, 64, 64)
        assert model.stride == 4

    def test_small(self, tmp_path: Path) -> None:
        model = corrflow_small()
        assert sum(value.numel() for value in model.parameters()) == 446_784
        halves = {key: value.half() for key, value in model.state_dict().items()}
        assert write_state(halves, tmp_path / "w.safetensors", {}).stat().st_size < 1e6

    def test_features_of_half_precision_weights(self) -> None:
        """What is shipped: weights rounded to half precision, computed with in float32."""
        torch.manual_seed(0)
        model = corrflow_small().eval()
        exact = model.encode(frames())
        model.load_state_dict({key: value.half() for key, value in model.state_dict().items()})
        rounded = model.encode(frames())
        assert rounded.dtype == torch.float32
        assert (rounded - exact).abs().max() < 5e-3 * exact.abs().max()


class TestEncoding:
    @pytest.mark.parametrize("size", [(24, 32), (22, 29), (4, 4), (5, 7)])
    def test_cells(self, tiny: CorrFlow, size: tuple[int, int]) -> None:
        assert tiny.encode(frames(2, *size)).shape == (2, 64, -(-size[0] // 4), -(-size[1] // 4))

    def test_a_frame_that_is_no_multiple_of_the_stride_goes_on_at_its_edge(self, tiny: CorrFlow) -> None:
        whole = frames(1, 22, 29)
        columns = torch.arange(32).clamp(max=28)
        rows = torch.arange(24).clamp(max=21)
        tiny.eval()
        assert torch.equal(tiny.encode(whole), tiny.encode(whole[:, :, rows][..., columns]))

    def test_bytes_and_floats(self, tiny: CorrFlow) -> None:
        tiny.eval()
        assert torch.equal(tiny.encode(frames()), tiny.encode(frames().float()))
        assert tiny.double().encode(frames()).dtype == torch.float64

    def test_motion_by_whole_cells_moves_the_features(self, tiny: CorrFlow) -> None:
        tiny.eval()
        # Far from the edges, which the padding of every layer sees.
        still, moved = frames(1, 192, 192), frames(1, 192, 192).roll((4, 8), dims=(2, 3))
        a, b = tiny.encode(still), tiny.encode(moved).roll((-1, -2), dims=(2, 3))
        middle = (..., slice(22, 26), slice(22, 26))
        torch.testing.assert_close(a[middle], b[middle])

    def test_gradients_reach_every_parameter(self, tiny: CorrFlow) -> None:
        tiny.train().encode(frames(4)).square().sum().backward()
        assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in tiny.parameters())

    @pytest.mark.parametrize("shape", [(3, 24, 32), (1, 4, 24, 32), (1, 3, 3, 32)])
    def test_refused(self, tiny: CorrFlow, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="frames must be"):
            tiny.encode(torch.zeros(shape))


class TestLoading:
    @pytest.mark.parametrize("wrap", ["bare", "module.", "state_dict"])
    def test_forms_of_a_checkpoint(self, tmp_path: Path, wrap: str) -> None:
        """The official one has a state dict with DataParallel's prefix, beside other things."""
        torch.manual_seed(0)
        source = corrflow_small()
        state = source.state_dict()
        if wrap != "bare":
            state = {f"module.{key}": value for key, value in state.items()}
        content = {"epoch": 3, "state_dict": state} if wrap == "state_dict" else state
        torch.save(content, tmp_path / "checkpoint.pt")
        model = corrflow_small()
        load_weights(model, read_weights(tmp_path / "checkpoint.pt"), tmp_path / "checkpoint.pt")
        assert torch.equal(model.eval().encode(frames()), source.eval().encode(frames()))


class TestSaturationOfAnUntrainedEncoder:
    """Without the scale a cell's softmax is all but decided before anything is learned (D1).

    Measured in training mode, over four seeds: 0.90 to 0.94 of the greatest entropy with the scale, 0.11 to 0.15
    without.
    """

    def entropies(self, training: bool, seed: int) -> tuple[float, float]:
        """Mean entropy over windows as a share of the greatest, with the scale and without."""
        torch.manual_seed(seed)
        model = corrflow().train(training)
        with torch.no_grad():
            target, reference = model.encode(frames(2, 64, 64)).split(1)
        shares = []
        for compat in (FIXED, OFFICIAL):
            weights = LocalAttention(compat=compat).weights(target, reference[:, None])[0, 6:-6, 6:-6].flatten(2)
            shares.append(torch.special.entr(weights).sum(dim=-1).mean().item() / np.log(169))
        return float(shares[0]), float(shares[1])

    @pytest.mark.parametrize("seed", [0, 1])
    def test_in_training(self, seed: int) -> None:
        scaled, raw = self.entropies(training=True, seed=seed)
        assert scaled > 0.8
        assert raw < 0.3
