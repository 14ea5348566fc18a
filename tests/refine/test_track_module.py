from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from refine_motion.models.registry import build_model
from refine_motion.models.weights import save_weights
from refine_motion.refine import track_module
from refine_motion.refine.track_losses import fullness
from refine_motion.refine.track_module import TrackRefineModule


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrackRefineModule:
    torch.manual_seed(0)
    weights = save_weights(build_model("pips_small"), tmp_path / "pips.safetensors")
    made = TrackRefineModule(None, str(weights), iters=2)
    monkeypatch.setattr(made, "log", lambda *_, **__: None)
    return made


def batch_of(known: int, seed: int) -> dict[str, Any]:
    """One window with so many of ten points."""
    source = torch.Generator().manual_seed(seed)
    valid = (torch.arange(10) < known).expand(1, 8, 10)
    return {
        "frames": torch.randint(0, 256, (1, 8, 3, 64, 64), dtype=torch.uint8, generator=source),
        "xy": torch.rand(1, 8, 10, 2, generator=source) * 60,
        "valid": valid,
        "visible": valid,
        "clip": ["clip"],
    }


def gradient(module: TrackRefineModule, *batches: dict[str, Any]) -> Tensor:
    """Of the mean over batches, as gradients are accumulated."""
    module.zero_grad()
    for number, batch in enumerate(batches):
        (module.training_step(batch, number) / len(batches)).backward()
    return torch.cat([p.grad.flatten() for p in module.student.parameters() if p.grad is not None])


def test_a_batch_is_the_mean_of_its_samples(module: TrackRefineModule) -> None:
    full, sparse = batch_of(10, 1), batch_of(1, 2)
    both = {key: [*full[key], *sparse[key]] if key == "clip" else torch.cat((full[key], sparse[key])) for key in full}
    at_once, in_turn = gradient(module, both), gradient(module, full, sparse)
    assert (at_once - in_turn).norm() < 1e-4 * in_turn.norm()


def test_points_seen_in_hardly_any_frame_teach_less(module: TrackRefineModule) -> None:
    # Two of 80 places are half of 5 %: the mean over them counts half.
    batch = batch_of(2, 1)
    batch["valid"] = batch["visible"] = batch["valid"] & (torch.arange(8) == 0)[:, None]
    whole = module.training_step(batch, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(track_module, "fullness", lambda valid: torch.ones(len(valid)))
        assert whole.item() == pytest.approx(module.training_step(batch, 0).item() / 2, rel=1e-5)
    hidden = batch | {"visible": batch["visible"] & False}
    assert module.training_step(hidden, 0) < whole


def test_a_sample_with_hardly_a_label_weighs_less() -> None:
    valid = torch.zeros(3, 8, 20)
    valid[0] = 1
    valid[1, :2, :2] = 1  # 4 of 160 are half of 5 %
    assert fullness(valid).tolist() == pytest.approx([1, 0.5, 0])


def test_the_visibility_head_learns_from_what_is_hidden_for_certain_where_it_may(module: TrackRefineModule) -> None:
    batch = batch_of(10, 1)
    covered = batch | {"visible": batch["visible"] & (torch.arange(8) < 4)[:, None]}
    weights = str(module.hparams["weights"])
    free = TrackRefineModule(None, weights, iters=2, freeze_visibility=False)
    free.log = lambda *_, **__: None  # type: ignore[method-assign]

    def learnt(taught: TrackRefineModule, shown: dict[str, Any]) -> float:
        gradient(taught, shown)
        return sum(0 if p.grad is None else p.grad.norm().item() for p in taught.student.vis_predictor.parameters())

    assert learnt(free, covered) > 0
    # Of points that are all seen one would learn to see everything; yet every weight takes part, as DDP wants it.
    assert learnt(free, batch) == 0
    assert all(p.grad is not None for p in free.student.vis_predictor.parameters())
    assert learnt(module, covered) == 0
