from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from refine_motion.errors import ConfigError, TrainingError, WeightsError
from refine_motion.models.registry import build_model
from refine_motion.models.weights import read_weights, save_weights
from refine_motion.refine.augment import Augmentation
from refine_motion.refine.losses import official_sequence_loss
from refine_motion.refine.module import RefineModule
from refine_motion.refine.objectives import PseudoLabels
from refine_motion.refine.trainer import RefineTrainer

NO_AUGMENT = Augmentation(jitter_probability=0, hflip_probability=0, vflip_probability=0)


class Pairs(torch.utils.data.Dataset):
    """A few labelled pairs of random frames."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, object]:
        generator = torch.Generator().manual_seed(index)
        images = torch.randint(0, 256, (2, 3, 64, 64), generator=generator, dtype=torch.uint8)
        return {
            "image_a": images[0],
            "image_b": images[1],
            "flow": torch.randn(2, 64, 64, generator=generator),
            "weight": (2 * torch.rand(1, 64, 64, generator=generator) - 1).clamp(min=0),
            "region": torch.ones(1, 64, 64, dtype=torch.bool),
            "seed": index,
            "epoch": 0,
            "counts": True,
            "clip": f"clip {index}",
        }


def trainer(folder: Path, steps: int = 2, **options: object) -> RefineTrainer:
    return RefineTrainer(
        accelerator="cpu",
        devices=1,
        max_steps=steps,
        default_root_dir=str(folder),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )


def loader() -> torch.utils.data.DataLoader:
    return torch.utils.data.DataLoader(Pairs(), batch_size=2)


def test_training_moves_the_student_and_leaves_the_teacher(untrained: Path, tmp_path: Path) -> None:
    module = RefineModule("raft_small", str(untrained), iters=2)
    trainer(tmp_path, enable_checkpointing=False).fit(module, loader())
    before = read_weights(untrained)
    assert all(torch.equal(v, before[k]) for k, v in module.teacher.state_dict().items())
    assert any(not torch.equal(v, before[k]) for k, v in module.student.state_dict().items())


def test_checkpoint_holds_the_student_alone_opens_safely_and_loads(untrained: Path, tmp_path: Path) -> None:
    module = RefineModule("raft_small", str(untrained), iters=2)
    run = trainer(tmp_path)
    run.fit(module, loader())
    path = tmp_path / "c.ckpt"
    run.save_checkpoint(path)
    content = torch.load(path, weights_only=True)
    assert {k.split(".")[0] for k in content["state_dict"]} == {"student"}
    student = module.student.state_dict()
    assert all(torch.equal(v, student[k]) for k, v in read_weights(path).items())

    again = RefineModule("raft_small", str(untrained), iters=2)
    trainer(tmp_path, steps=3, enable_checkpointing=False).fit(again, loader(), ckpt_path=str(path))
    assert all(torch.equal(v, module.teacher.state_dict()[k]) for k, v in again.teacher.state_dict().items())
    again.load_state_dict(content["state_dict"])
    assert all(torch.equal(v, student[k]) for k, v in again.student.state_dict().items())
    with pytest.raises(RuntimeError, match="Missing"):
        again.load_state_dict({})


def test_batch_norm_statistics_stay(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = save_weights(build_model("raft_large"), tmp_path / "large.safetensors")
    module = RefineModule("raft_large", str(weights), iters=1)
    trainer(tmp_path, steps=1, enable_checkpointing=False).fit(module, loader())
    before = read_weights(weights)
    for key, value in module.student.state_dict().items():
        if "running" in key or "num_batches" in key:
            assert torch.equal(value, before[key])


def test_only_training_batches_are_augmented(untrained: Path, tmp_path: Path) -> None:
    seen: dict[str, list[torch.Tensor]] = {"train": [], "val": []}

    class Watching(RefineModule):
        def training_step(self, batch, batch_idx):
            seen["train"].append(batch["image_a"])
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch, batch_idx):
            seen["val"].append(batch["image_a"])
            return super().validation_step(batch, batch_idx)

    module = Watching("raft_small", str(untrained), iters=1)
    trainer(tmp_path, steps=2, enable_checkpointing=False, val_check_interval=2).fit(module, loader(), loader())
    original = next(iter(loader()))["image_a"]
    assert seen["val"][0].dtype == torch.uint8
    assert torch.equal(seen["val"][0], original)
    assert not torch.allclose(seen["train"][0], original.float())


def test_validation_compares_student_and_teacher(untrained: Path, tmp_path: Path) -> None:
    module = RefineModule("raft_small", str(untrained), iters=1)
    run = trainer(tmp_path, enable_checkpointing=False)
    first = run.validate(module, loader(), verbose=False)[0]
    assert first["val/cycle_error"] == pytest.approx(first["val/teacher_cycle_error"])
    run.fit(module, loader())
    second = run.validate(module, loader(), verbose=False)[0]
    assert second["val/teacher_cycle_error"] == pytest.approx(first["val/teacher_cycle_error"])
    assert second["val/cycle_error"] != pytest.approx(first["val/cycle_error"])


def test_validation_looks_only_where_a_sample_is_held_out(untrained: Path, tmp_path: Path) -> None:
    class HeldOut(Pairs):
        """Two pairs of which the second one counts in its upper half, and in both only weighted labels do."""

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> dict[str, object]:
            item = super().__getitem__(index)
            if index == 1:
                item["region"] = torch.arange(64).view(1, 64, 1).expand(1, 64, 64) < 32
            return item

    def measured(samples: list[dict[str, object]]) -> dict[str, float]:
        loader = torch.utils.data.DataLoader(samples, batch_size=2)  # type: ignore[arg-type]
        return dict(trainer(tmp_path, enable_checkpointing=False).validate(module, loader, verbose=False)[0])

    module = RefineModule("raft_small", str(untrained), iters=1)
    samples = [HeldOut()[0], HeldOut()[1]]
    found = measured(samples)
    outside = ~samples[1]["region"].expand(2, 64, 64)  # type: ignore[attr-defined]
    # Labels outside the region, or without weight, and samples that only fill a round up do not matter.
    changed = samples[1] | {"flow": torch.where(outside, 99.0, samples[1]["flow"])}  # type: ignore[call-overload]
    assert measured([samples[0], changed])["val/label_epe"] == pytest.approx(found["val/label_epe"])
    unknown = samples[0] | {"flow": torch.where(samples[0]["weight"] > 0, samples[0]["flow"], 99.0)}  # type: ignore
    assert measured([unknown, samples[1]])["val/label_epe"] == pytest.approx(found["val/label_epe"])
    repeated = samples[1] | {"counts": False}
    alone = measured([samples[0]])
    for name in ("val/label_epe", "val/cycle_error"):
        assert measured([samples[0], repeated])[name] == pytest.approx(alone[name])
        assert alone[name] != pytest.approx(found[name])
    # The cycle error too is that of the region alone.
    whole = measured([samples[0], samples[1] | {"region": torch.ones(1, 64, 64, dtype=torch.bool)}])
    assert whole["val/cycle_error"] != pytest.approx(found["val/cycle_error"])


def test_mixed_precision_trains_in_finite_numbers(untrained: Path, tmp_path: Path) -> None:
    module = RefineModule("raft_small", str(untrained), iters=2, augment=Augmentation(jitter_probability=0))
    run = trainer(tmp_path, enable_checkpointing=False, precision="bf16-mixed")
    run.fit(module, loader())
    assert torch.isfinite(run.callback_metrics["train/loss"])
    assert all(p.dtype == torch.float32 for p in module.parameters())


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true", "transformer-engine"])
def test_precision_that_rounds_coordinates_is_refused(precision: str) -> None:
    with pytest.raises(ConfigError, match="precision"):
        RefineTrainer(accelerator="cpu", precision=precision)


def test_impossible_settings_are_refused(untrained: Path) -> None:
    with pytest.raises(ConfigError, match="gamma"):
        RefineModule("raft_small", str(untrained), gamma=0)
    with pytest.raises(ConfigError, match="weights"):
        RefineModule("raft_small")
    with pytest.raises(WeightsError, match="raft_small"):
        RefineModule("raft_large", str(untrained))
    with pytest.raises(ConfigError, match="ema"):
        RefineModule("raft_small", str(untrained), ema=1.0)
    with pytest.raises(ConfigError, match="pull"):
        RefineModule("raft_small", str(untrained), pull=-1.0)


def test_running_mean_follows_the_student_and_is_saved(untrained: Path, tmp_path: Path) -> None:
    module = RefineModule("raft_small", str(untrained), iters=1, ema=0.5)
    seen = [{k: v.clone() for k, v in module.student.state_dict().items()}]

    class Watch(Callback):
        def on_train_batch_end(self, *args: object) -> None:
            seen.append({k: v.clone() for k, v in module.student.state_dict().items()})

    run = trainer(tmp_path, steps=3, callbacks=[Watch()], enable_checkpointing=False)
    run.fit(module, loader())
    students = module.students()
    assert list(students) == ["student", "ema"]
    mean = students["ema"].state_dict()
    for key, value in mean.items():
        if value.is_floating_point() and "running" not in key:
            # The first step sets it, as a mean of one.
            expected = 0.25 * seen[1][key] + 0.25 * seen[2][key] + 0.5 * seen[3][key]
            torch.testing.assert_close(value, expected, atol=1e-6, rtol=1e-5)
    path = tmp_path / "c.ckpt"
    run.save_checkpoint(path)
    state = torch.load(path, weights_only=True)["state_dict"]
    assert all(torch.equal(state[f"average.module.{k}"], v) for k, v in mean.items())
    assert all(torch.equal(v, module.student.state_dict()[k]) for k, v in read_weights(path).items())


def test_the_pull_adds_the_squared_distance_from_the_teacher(untrained: Path, tmp_path: Path) -> None:
    losses = {}
    for pull in (0.0, 3.0):
        module = RefineModule("raft_small", str(untrained), iters=2, pull=pull, augment=NO_AUGMENT)
        with torch.no_grad():
            for number, parameter in enumerate(module.student.parameters()):
                if number < 2:
                    parameter += 0.01 * (number + 1)
            moved = [p.numel() for p in module.student.parameters()][:2]
        run = trainer(tmp_path, steps=1, enable_checkpointing=False)
        run.fit(module, loader())
        losses[pull] = run.callback_metrics["train/loss"].item()
        assert ("train/pull" in run.callback_metrics) == bool(pull)
    added = 3.0 * (moved[0] * 0.01**2 + moved[1] * 0.02**2)
    assert losses[3.0] - losses[0.0] == pytest.approx(added, rel=1e-3)
    assert run.callback_metrics["train/pull"].item() == pytest.approx(added, rel=1e-3)


def test_the_pull_leads_back_to_the_teacher_and_moves_it_not(untrained: Path) -> None:
    gradients = {}
    for pull in (0.0, 3.0):
        module = RefineModule("raft_small", str(untrained), iters=2, pull=pull)
        with torch.no_grad():
            next(module.student.parameters()).add_(0.01)
        module.training_step(next(iter(loader())), 0).backward()
        gradients[pull] = [p.grad for p in module.student.parameters()]
        assert all(p.grad is None for p in module.teacher.parameters())
    changes = [with_it - without for with_it, without in zip(gradients[3.0], gradients[0.0], strict=True)]
    torch.testing.assert_close(changes[0], torch.full_like(changes[0], 2 * 3.0 * 0.01), atol=1e-4, rtol=1e-3)
    assert all(change.abs().max() < 1e-4 for change in changes[1:])


def test_a_leaking_mask_is_the_loss_of_the_published_code(untrained: Path, tmp_path: Path) -> None:
    losses = {}
    for leaking in (False, True):
        objective = PseudoLabels(leaking=leaking)
        module = RefineModule("raft_small", str(untrained), iters=2, objective=objective, augment=NO_AUGMENT)
        run = trainer(tmp_path, steps=1, enable_checkpointing=False)
        run.fit(module, loader())
        losses[leaking] = run.callback_metrics["train/loss"].item()
    batch = next(iter(loader()))
    teacher = RefineModule("raft_small", str(untrained)).teacher
    with torch.no_grad():
        flows = teacher.flow_sequence(batch["image_a"], batch["image_b"], 2)
    official = official_sequence_loss(flows, batch["flow"], batch["weight"], 0.85).item()
    assert losses[True] == pytest.approx(official, rel=1e-4)
    assert losses[False] != pytest.approx(official, rel=0.1)


@pytest.mark.parametrize(("broken", "precision"), [("flow", "32-true"), ("flow", "16-mixed"), ("gradient", "32-true")])
def test_training_stops_before_what_is_no_number_reaches_the_weights(
    untrained: Path, tmp_path: Path, broken: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a CPU Lightning turns 16-mixed into bf16-mixed; what it says of itself decides how the module judges.
    monkeypatch.setattr(RefineTrainer, "precision", property(lambda self: precision))

    class Broken(RefineModule):
        def training_step(self, batch, batch_idx):
            if batch_idx == 1 and broken == "flow":
                # The second of the two.
                batch = batch | {"image_a": batch["image_a"].float().index_fill(0, torch.tensor([1]), float("nan"))}
            loss = super().training_step(batch, batch_idx)
            if batch_idx == 1 and broken == "gradient":
                loss = loss + (self.student.update_block.flow_head.conv1.bias.sum() * 0).sqrt()
            return loss

    checkpoint = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_last=True)
    module = Broken("raft_small", str(untrained), iters=1, augment=NO_AUGMENT)
    with pytest.raises(TrainingError, match=r"step 1: .*clip 3.*last\.ckpt") as error:
        trainer(tmp_path, steps=3, callbacks=[checkpoint]).fit(module, loader())
    assert ("clip 2" in str(error.value)) == (broken == "gradient")
    assert "clip 1" not in str(error.value)
    assert all(torch.isfinite(v).all() for v in module.student.state_dict().values())
    saved = read_weights(tmp_path / "last.ckpt")
    assert all(torch.equal(v, saved[k]) for k, v in module.student.state_dict().items())
