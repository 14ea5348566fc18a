from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from refine_motion.errors import ConfigError, VideoError, WeightsError
from refine_motion.models import pips_chain
from refine_motion.models.load import load_flow_model, load_model, load_track_model
from refine_motion.models.pips import SMALL, Pips, PipsConfig
from refine_motion.models.pips_chain import next_window
from refine_motion.models.pips_layers import DeltaBlock, embed, sample_extrapolating
from refine_motion.models.registry import build_model
from refine_motion.models.weights import save_weights
from refine_motion.motion.on_demand import TargetPyramid
from refine_motion.refine.track_losses import score_map_loss, track_sequence_loss, visibility_loss
from tests.models.recipe import recipe_tensor

TINY = PipsConfig(widths=(8, 8, 8, 8), fused=8, features=16, mixer=16, depth=1)


@pytest.fixture(scope="module")
def forward(reference: Path) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in np.load(reference / "pips_forward.npz").items()}


@pytest.fixture(scope="module")
def parts(reference: Path) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in np.load(reference / "pips_parts.npz").items()}


@pytest.fixture(scope="module")
def official(forward: dict[str, Tensor]) -> Pips:
    """The published size with the reference's weights."""
    model, seed = build_model("pips"), int(forward["weight_seed"])
    model.load_state_dict({k: recipe_tensor(k, tuple(v.shape), seed) for k, v in model.state_dict().items()})
    assert isinstance(model, Pips)
    return model.eval()


@pytest.fixture
def tiny() -> Pips:
    torch.manual_seed(0)
    model = Pips("tiny", TINY)
    # Untrained, the fast sines of the embedding would make anything of a rounding error.
    with torch.no_grad():
        model.delta_block.to_delta[0].weight[:, -195:-3] *= 0.01
    return model.eval()


def losses(found: object, z: dict[str, Tensor]) -> list[float]:
    visible, valid = z["target_vis"], z["target_valid"]
    return [
        track_sequence_loss(found.coords, z["target"], valid).item(),
        visibility_loss(found.visibility, visible, valid).item(),
        score_map_loss(found.score_maps, z["target"] / 4, visible, valid).item(),
    ]


class TestEqualToTheOfficialOutputs:
    def test_weights_are_the_ones_of_the_reference(self, official: Pips, reference: Path) -> None:
        check = json.loads((reference / "pips_recipe_check.json").read_text())
        entries = {key: (shape, total) for key, shape, total, _ in check["tensors"]}
        state = official.state_dict()
        assert set(state) == set(entries)
        assert sum(value.numel() for value in state.values()) == 28_677_713
        for key, value in state.items():
            assert list(value.shape) == entries[key][0]
            assert value.double().sum().item() == pytest.approx(entries[key][1], abs=1e-6)

    def test_places_visibility_and_losses(self, official: Pips, forward: dict[str, Tensor]) -> None:
        with torch.no_grad():
            maps = official.encode(forward["frames"])
            found = official.predict(maps[None], forward["queries"], 6, score_maps=True)
        assert (maps[0, :, ::4, ::4] - forward["fmap_frame0_sub"]).abs().max() < 1e-4
        assert (torch.cat(found.coords) - forward["coords"]).abs().max() < 5e-3
        assert (found.visibility[0] - forward["vis_logits"]).abs().max() < 2e-3
        assert (found.features[0] - forward["feat_init_out"]).abs().max() < 1e-4
        assert losses(found, forward) == pytest.approx(forward["losses_eval"].tolist(), rel=1e-4)

    def test_as_in_training(self, official: Pips, forward: dict[str, Tensor]) -> None:
        with torch.no_grad():
            maps = official.encode(forward["frames"])[None]
            found = official.predict(maps, forward["queries"], 6, locked=False, score_maps=True)
        assert (torch.cat(found.coords) - forward["coords_train"]).abs().max() < 5e-3
        assert losses(found, forward) == pytest.approx(forward["losses_train"].tolist(), rel=1e-4)

    def test_from_places_to_start_from(self, official: Pips, forward: dict[str, Tensor]) -> None:
        with torch.no_grad():
            maps = official.encode(forward["frames"])[None]
            found = official.predict(maps, forward["queries"], 2, init=forward["coords_init"])
        assert (torch.cat(found.coords) - forward["coords_from_init"]).abs().max() < 5e-3

    def test_in_double_precision(self, official: Pips, forward: dict[str, Tensor]) -> None:
        exact = official.double()
        with torch.no_grad():
            found = exact.predict(exact.encode(forward["frames"].double())[None], forward["queries"].double(), 6)
        official.float()
        assert (torch.cat(found.coords) - forward["coords_f64"]).abs().max() < 1e-6
        assert (found.visibility[0] - forward["vis_logits_f64"]).abs().max() < 1e-6

    def test_mixer(self, parts: dict[str, Tensor]) -> None:
        mixer, seed = DeltaBlock(8, 128, 196, 512, 12).eval(), int(parts["mixer_weight_seed"])
        mixer.load_state_dict(
            {k: recipe_tensor(f"delta_block.{k}", tuple(v.shape), seed) for k, v in mixer.state_dict().items()}
        )
        with torch.no_grad():
            delta = mixer(parts["mixer_fhid"], parts["mixer_fcorr"], parts["mixer_flow"])
        assert (delta - parts["mixer_delta"]).abs().max() < 1e-3

    def test_embedding(self, parts: dict[str, Tensor]) -> None:
        assert (embed(parts["xyz"]) - parts["embedding"]).abs().max() < 2e-3
        assert (embed(parts["xyz"].double()) - parts["embedding_f64"]).abs().max() < 1e-9

    def test_look_up(self, parts: dict[str, Tensor]) -> None:
        pyramid = TargetPyramid(parts["corr_fmaps"][0], levels=3)
        found = pyramid.lookup(parts["corr_targets"][0] / 4, parts["corr_coords"][0], radius=3)
        assert (found - parts["corr_sample_r3_l3"][0]).abs().max() < 1e-4

    def test_features_of_a_point(self, parts: dict[str, Tensor]) -> None:
        found = sample_extrapolating(parts["corr_fmaps"][:, 0], parts["corr_coords"][:, 0])
        assert (found.transpose(1, 2) - parts["bilinear_sample_frame0"]).abs().max() < 1e-4

    def test_losses_alone(self, parts: dict[str, Tensor]) -> None:
        predictions = list(parts["preds"])
        found = [
            track_sequence_loss(predictions, parts["target"], parts["valids"], gamma).item() for gamma in (0.8, 0.9)
        ]
        assert found == pytest.approx(parts["seq_loss_g08_g09"].tolist(), rel=1e-5)
        seen = visibility_loss(parts["vis_logits"], parts["vis"], parts["valids"])
        assert seen.item() == pytest.approx(parts["balanced_ce"].item(), rel=1e-5)
        maps = list(parts["fcps"].unbind(dim=2))
        scores = score_map_loss(maps, parts["target"] / 4, parts["vis"], parts["valids"])
        assert scores.item() == pytest.approx(parts["score_map_loss"].item(), rel=1e-5)

    def test_chain(self, official: Pips, reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        z = np.load(reference / "pips_chain.npz")
        queries = torch.cat((torch.zeros(4, 1), torch.from_numpy(z["queries"])), dim=1)
        begun: list[list[int]] = [[] for _ in range(4)]
        lead = pips_chain._Chain._lead

        def noted(self: object, points: Tensor, begin: int, maps: Tensor) -> None:
            for point in points.tolist():
                begun[point].append(begin)
            lead(self, points, begin, maps)

        monkeypatch.setattr(pips_chain._Chain, "_lead", noted)
        tracks = official.track(torch.from_numpy(z["frames"]), queries, confidence=False)
        assert begun == [[start for start in row if start >= 0] for row in z["window_starts"].tolist()]
        assert (tracks.xy.transpose(0, 1) - torch.from_numpy(z["tracks"])).abs().max() < 2e-2
        seen = torch.from_numpy(z["vis_sigmoid"]).T
        sure = (seen - 0.5).abs() > 1e-3
        assert torch.equal((seen > 0.5)[sure], tracks.visible[sure])


def frames(count: int, height: int = 48, width: int = 64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


QUERIES = torch.tensor([[0.0, 10, 20], [0, 63, 47], [3, 5.5, 7.25], [9, 30, 30]])


class TestTracking:
    def test_each_frame_is_encoded_once(self, tiny: Pips, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = []
        encode = tiny.encode
        monkeypatch.setattr(tiny, "encode", lambda batch: seen.append(len(batch)) or encode(batch))
        tiny.chunk = 2
        tiny.track(frames(12), QUERIES)
        assert seen == [1] * 12

    def test_a_point_does_not_depend_on_the_others(self, tiny: Pips) -> None:
        together = tiny.track(frames(12), QUERIES)
        tiny.chunk = 3
        in_chunks = tiny.track(frames(12), QUERIES)
        for name in ("xy", "visible", "confidence", "cycle_error"):
            whole = getattr(together, name)
            torch.testing.assert_close(getattr(in_chunks, name), whole, equal_nan=True, rtol=1e-4, atol=1e-4)
            for n, query in enumerate(QUERIES):
                alone = getattr(tiny.track(frames(12), query[None]), name)
                torch.testing.assert_close(alone[:, 0], whole[:, n], equal_nan=True, rtol=1e-4, atol=1e-4)

    def test_what_comes_out(self, tiny: Pips) -> None:
        tracks = tiny.track(frames(12), QUERIES)
        assert tracks.xy.shape == (12, 4, 2)
        for n, (start, x, y) in enumerate(QUERIES.tolist()):
            start = int(start)
            assert tracks.xy[:start, n].isnan().all()
            assert not tracks.visible[:start, n].any()
            assert tracks.xy[start, n].tolist() == [x, y]
            assert tracks.xy[start:, n].isfinite().all()
            assert tracks.confidence[start, n] == 1
            assert (tracks.confidence[start:, n].diff() <= 0).all()
        assert ((tracks.confidence >= 0) & (tracks.confidence <= 1)).all()

    def test_without_confidence_nothing_is_repeated_backward(self, tiny: Pips, monkeypatch: pytest.MonkeyPatch) -> None:
        wanted = tiny.track(frames(12), QUERIES)
        monkeypatch.setattr(pips_chain._Chain, "_verify", None)
        found = tiny.track(frames(12), QUERIES, confidence=False)
        assert torch.equal(found.xy.nan_to_num(nan=-1), wanted.xy.nan_to_num(nan=-1))
        assert torch.equal(found.visible, wanted.visible)
        assert (found.confidence, found.cycle_error) == (None, None)

    def test_frames_are_asked_for_one_by_one(self, tiny: Pips) -> None:
        video, held = frames(30), []

        def reading() -> object:
            for number, frame in enumerate(video):
                held.append(number)
                yield frame

        torch.testing.assert_close(tiny.follow(reading(), QUERIES[:2]).xy, tiny.track(video, QUERIES[:2]).xy)
        assert held == list(range(30))

    def test_sides_that_are_no_multiple_of_the_stride(self, tiny: Pips) -> None:
        assert tiny.encode(frames(1, 46, 61)).shape == (1, 16, 12, 16)
        assert tiny.track(frames(8, 46, 61), QUERIES[:1]).xy.isfinite().all()

    def test_too_short(self, tiny: Pips) -> None:
        with pytest.raises(VideoError, match="video of 7 frames is too short for tiny, which looks at 8 at a time"):
            tiny.track(frames(7), QUERIES[:1])

    @pytest.mark.parametrize("query", [[0, 64, 10], [0, -1, 10], [0, 3, 48], [-1, 3, 4], [0, float("nan"), 4]])
    def test_points_outside(self, tiny: Pips, query: list[float]) -> None:
        with pytest.raises(ConfigError, match=r"point 1 .* outside the frames, which are 64 x 48 pixels"):
            tiny.track(frames(9), torch.tensor([[0.0, 1, 1], query]))

    def test_a_point_after_the_end(self, tiny: Pips) -> None:
        with pytest.raises(ConfigError, match="frame 9, but the video has frames 0 to 8"):
            tiny.track(frames(9), torch.tensor([[0.0, 1, 1], [9, 1, 1]]))

    def test_no_point(self, tiny: Pips) -> None:
        with pytest.raises(ConfigError, match="no point"):
            tiny.track(frames(9), torch.empty(0, 3))

    def test_nothing_is_computed_where_no_window_begins(self, tiny: Pips, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes = []
        predict = tiny.predict

        def noted(maps: Tensor, xy: Tensor, *args: object, **options: object) -> object:
            sizes.append(xy.shape[1])
            return predict(maps, xy, *args, **options)

        monkeypatch.setattr(tiny, "predict", noted)
        tiny.track(frames(20), QUERIES[:1])
        assert set(sizes) == {1}

    def test_frames_beyond_the_end_do_not_count(self, tiny: Pips, monkeypatch: pytest.MonkeyPatch) -> None:
        """A window of one real frame after one that is verified."""
        monkeypatch.setattr(pips_chain, "next_window", lambda seen: torch.full((seen.shape[1],), 7))
        errors, asked = iter([0.0, 99.0]), []

        def verify(self: object, window: object, places: Tensor, steps: Tensor) -> Tensor:
            asked.append(steps.tolist())
            return torch.full((1,), next(errors))

        monkeypatch.setattr(pips_chain._Chain, "_verify", verify)
        run = pips_chain._Chain(tiny, QUERIES[:1], confidence=True)
        with torch.no_grad():
            for frame in frames(9):
                run.add(frame)
            run.finish()
        assert asked == [[7], [1]]
        assert run.frames.tolist() == [8]
        assert run.verified.tolist() == [7]

    def test_a_frame_that_is_no_number(self, tiny: Pips) -> None:
        video = frames(10).float()
        video[4] = torch.nan
        tracks = tiny.track(video, QUERIES[:2])
        assert tracks.xy[0].isfinite().all()
        assert (tracks.confidence[8:] == 0).all()

    def test_a_frame_number_between_two(self, tiny: Pips) -> None:
        with pytest.raises(ConfigError, match=r"frame 1\.5, which is no whole number"):
            tiny.track(frames(9), torch.tensor([[1.5, 3, 4]]))
        with pytest.raises(ValueError, match=r"\(N, 3\)"):
            tiny.track(frames(9), torch.zeros(3))

    def test_visibilities_that_are_no_numbers_end(self) -> None:
        assert next_window(torch.full((8, 2), torch.nan)).tolist() == [7, 7]


def test_where_the_next_window_begins() -> None:
    seen = torch.zeros(8, 4)
    seen[5, 0] = 0.95
    seen[2, 0] = 0.99
    seen[6, 1], seen[3, 1] = 0.87, 0.885  # 0.88 is tried before 0.86.
    seen[1, 2], seen[4, 2] = 1.0, 0.1  # Not before the third frame.
    seen[7, 3] = 0.5
    assert next_window(seen).tolist() == [5, 3, 4, 7]


def test_small_size() -> None:
    model = Pips("pips_small", SMALL)
    assert 2e6 < sum(value.numel() for value in model.parameters()) < 4e6


def test_a_window_of_another_length(tiny: Pips) -> None:
    with pytest.raises(ValueError, match="windows of 8 frames"):
        tiny.predict(tiny.encode(frames(7))[None], torch.zeros(1, 1, 2), 1)


def test_gradients_reach_every_parameter(tiny: Pips) -> None:
    tiny.train()
    found = tiny.predict(tiny.encode(frames(8))[None], torch.rand(1, 3, 2) * 40, 2, locked=False, score_maps=True)
    total = sum(places.square().sum() for places in found.coords) + found.visibility.square().sum()
    (total + sum(maps.square().sum() for maps in found.score_maps)).backward()
    # A convolution's bias before an instance norm has none but by rounding.
    assert all(value.grad is not None for value in tiny.parameters())
    assert all(value.grad.abs().sum() > 0 for name, value in tiny.named_parameters() if name.endswith("weight"))


class TestLoading:
    @pytest.mark.parametrize("wrap", ["bare", "model_state_dict", "module."])
    def test_forms_of_a_checkpoint(self, tmp_path: Path, wrap: str) -> None:
        state = build_model("pips_small").state_dict()
        if wrap == "model_state_dict":
            content: object = {"model_state_dict": state, "optimizer_state_dict": {}}
        else:
            content = {("" if wrap == "bare" else wrap) + key: value for key, value in state.items()}
        torch.save(content, tmp_path / "model-000200000.pth")
        model = load_model(None, tmp_path / "model-000200000.pth")
        assert model.name == "pips_small"
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())

    def test_another_window(self, tmp_path: Path) -> None:
        other = Pips("pips_small", PipsConfig(**{**SMALL.__dict__, "frames": 16}))
        torch.save(other.state_dict(), tmp_path / "w.pth")
        for name in ("pips_small", None):
            with pytest.raises(WeightsError, match=r"w\.pth: .*'pips_small'; they look at windows of 16 frames"):
                load_model(name, tmp_path / "w.pth")

    def test_another_stride(self, tmp_path: Path) -> None:
        other = Pips("pips_small", PipsConfig(**{**SMALL.__dict__, "stride": 8}))
        save_weights(other, tmp_path / "w.safetensors")
        with pytest.raises(WeightsError, match=r"w\.safetensors: .* 1/8 of the frames' size, and 'pips_small' .* 1/4"):
            load_model("pips_small", tmp_path / "w.safetensors")

    def test_kinds_are_told_apart(self, tmp_path: Path, untrained: Path) -> None:
        weights = save_weights(build_model("pips_small"), tmp_path / "w.safetensors")
        assert load_track_model(None, weights).name == "pips_small"
        assert load_track_model(None, untrained).name == "linked raft_small"
        with pytest.raises(ConfigError, match="'pips_small' tracks points"):
            load_flow_model(None, weights)
