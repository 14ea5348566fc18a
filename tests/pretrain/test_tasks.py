from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from refine_motion.benchmarks.synthetic.stream import TrackClips
from refine_motion.errors import ConfigError
from refine_motion.models.pips import Pips, PipsConfig
from refine_motion.models.registry import build_model
from refine_motion.pretrain.card import CardSettings
from refine_motion.pretrain.datamodule import PretrainDataModule
from refine_motion.pretrain.module import PretrainModule
from refine_motion.pretrain.run import pretrain
from refine_motion.pretrain.stream import Stage
from refine_motion.pretrain.tasks import FlowTask, TrackTask, task_of
from refine_motion.refine.track_losses import matching_loss, score_map_loss, track_sequence_loss, visibility_loss

TINY = PipsConfig(widths=(8, 8, 8, 8), fused=8, features=16, mixer=16, depth=1)


@pytest.fixture
def tiny() -> Pips:
    torch.manual_seed(0)
    return Pips("tiny", TINY)


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    clips = TrackClips(2, (64, 64), 8, 5, 24.0, domain="particles")
    return {key: torch.stack([clips[n][key] for n in range(2)]) for key in clips[0]}


def test_the_loss_is_that_of_pips_and_of_matching(tiny: Pips, batch: dict[str, Tensor]) -> None:
    loss = TrackTask(tiny).loss(batch, 2)
    maps = tiny.encode(batch["frames"].flatten(0, 1)).unflatten(0, (2, 8))
    found = tiny.predict(maps, batch["xy"][:, 0], 2, locked=False, score_maps=True)
    known = torch.ones(2, 8, 5)
    wanted = (
        track_sequence_loss(found.coords, batch["xy"], known)
        + visibility_loss(found.visibility, batch["visible"], known)
        + score_map_loss(found.score_maps, batch["xy"] / 4, batch["visible"], known)
        + matching_loss(maps, batch["xy"] / 4, batch["visible"])
    )
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    loss.backward()
    assert tiny.delta_block.to_delta[0].weight.grad.abs().sum() > 0


def test_without_iterations_features_alone_learn(tiny: Pips, batch: dict[str, Tensor]) -> None:
    loss = TrackTask(tiny).loss(batch, 0)
    maps = tiny.encode(batch["frames"].flatten(0, 1)).unflatten(0, (2, 8))
    assert loss.item() == pytest.approx(matching_loss(maps, batch["xy"] / 4, batch["visible"]).item(), rel=1e-5)
    loss.backward()
    assert tiny.fnet.conv1.weight.grad.abs().sum() > 0
    assert tiny.delta_block.to_delta[0].weight.grad is None


@pytest.mark.slow
def test_a_model_that_learns_one_clip_beats_standing_still(tiny: Pips, batch: dict[str, Tensor]) -> None:
    """The whole path learns: places that are far off at first are found."""
    task = TrackTask(tiny)
    optimizer = torch.optim.AdamW(tiny.parameters(), lr=3e-3)
    first = None
    for _ in range(60):
        loss = task.loss(batch, 2)
        first = loss.item() if first is None else first
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(tiny.parameters(), 1.0)
        optimizer.step()
    assert loss.item() < 0.5 * first


def test_what_is_measured(tiny: Pips, batch: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    task = TrackTask(tiny.eval())
    task.update(batch, 1)
    found = task.compute()
    still = (batch["xy"] - batch["xy"][:, :1]).norm(dim=-1)[:, 1:]
    seen = batch["visible"][:, 1:]
    shares = [[(still[n] < k)[seen[n]].float().mean() for k in (1, 2, 4, 8, 16)] for n in range(2)]
    assert found["still_delta_avg"].item() == pytest.approx(torch.tensor(shares).mean().item(), abs=1e-6)
    assert set(found) == {"delta_avg", "aj", "oa", "still_delta_avg"}
    task.reset()
    assert task.compute()["delta_avg"].isnan()


def test_a_task_for_each_kind_of_model(tiny: Pips) -> None:
    assert isinstance(task_of(build_model("raft_small")), FlowTask)
    assert isinstance(task_of(tiny), TrackTask)
    assert not list(TrackTask(tiny).parameters())
    with pytest.raises(ConfigError, match="neither a flow model nor a PIPs"):
        task_of(Other())  # type: ignore[abstract]


class Other(nn.Module):
    name = "other"


def test_tracks_are_not_augmented() -> None:
    with pytest.raises(ConfigError, match=r"model\.augment must be false for 'pips_small'"):
        PretrainModule("pips_small")


@pytest.mark.parametrize(
    ("network", "data", "card", "message"),
    [
        ("pips_small", {}, {}, "data.points is 0: 'pips_small' learns tracks"),
        ("raft_small", {"points": 5}, {}, "data.points is 5: 'raft_small' learns flow"),
        ("pips_small", {"points": 5, "frames": 12}, {}, "data.frames is 12: 'pips_small' looks at 8"),
        ("pips_small", {"points": 5}, {"pairs": "somewhere"}, "card.pairs is for flow models"),
    ],
)
def test_what_does_not_fit_together_is_said_before_training(
    tmp_path: Path, network: str, data: dict[str, int], card: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        pretrain(
            tmp_path, [Stage(0, (64, 64), 1, 8.0, 1)], 2, network, augment=False, card=CardSettings(**card), **data
        )


def test_flow_is_not_learnt_without_iterations(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1 iteration"):
        pretrain(tmp_path, [Stage(0, (64, 64), 1, 8.0, 0)], 2, "raft_small", augment=False)


def test_clips_are_served() -> None:
    stages = [Stage(0, (64, 64), 2, 24.0, 1)]
    data = PretrainDataModule(stages, num_workers=0, held_out=2, domain="particles", points=5, frames=6)
    batch = next(iter(data.train_dataloader()))
    assert batch["frames"].shape == (2, 6, 3, 64, 64)
    assert batch["xy"].shape == (2, 6, 5, 2)
    assert batch["visible"].shape == (2, 6, 5)
    held = next(iter(data.val_dataloader()))
    assert not torch.equal(held["frames"], batch["frames"])
    assert data.settings["points"] == 5
    with pytest.raises(ConfigError, match="frames at least 2"):
        PretrainDataModule(stages, points=5, frames=1)
    more = PretrainDataModule([Stage(0, (64, 64), 1, 24.0, 0, points=9)], num_workers=0, held_out=1, points=5)
    assert next(iter(more.train_dataloader()))["xy"].shape == (1, 8, 9, 2)
    # What a stage does not have is not part of its identity, so that trainings begun before there were such go on.
    assert "points" not in data.settings["stages"][0]
    assert more.settings["stages"][0]["points"] == 9
