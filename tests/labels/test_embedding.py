from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save

import refine_motion as rm
from refine_motion.errors import ConfigError, LabelError, WeightsError
from refine_motion.labels.codec import EMBEDDING, FlowLabel, decode, encode, pack_embedding, unpack_embedding
from refine_motion.labels.embedding import WindowEmbedding, load_encoder
from refine_motion.labels.fingerprint import fingerprint
from refine_motion.labels.opened import open_labels
from refine_motion.labels.select import EmbeddingRule, MinSpeed
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.teacher import FlowTeacher, LabelSettings
from refine_motion.models.base import FlowModel
from refine_motion.models.corrflow import CorrFlow
from refine_motion.models.registry import build_model
from refine_motion.models.weights import save_weights
from refine_motion.motion.embedding import embedding_error
from tests.labels.made import kept, moving_right
from tests.labels.test_codec import make_label

KEY = PairKey("abc", 3, 5)


@pytest.fixture(scope="module")
def encoder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save_weights(build_model("corrflow_small"), tmp_path_factory.mktemp("encoder") / "encoder.safetensors")


@pytest.fixture(scope="module")
def encoder(encoder_file: Path) -> CorrFlow:
    return load_encoder(str(encoder_file))


@pytest.fixture(scope="module")
def model() -> FlowModel:
    torch.manual_seed(0)
    return build_model("raft_small").eval()


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    return torch.randint(0, 256, (4, 3, 66, 81), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def with_embedding(label: FlowLabel, seed: int = 0) -> FlowLabel:
    error = 24 * torch.rand(len(label.flow), generator=torch.Generator().manual_seed(seed)).square()
    return replace(label, evidence=replace(label.evidence, embedding_error=error))


def counted(encoder: CorrFlow, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What the encoder is shown from now on."""
    shown: list[torch.Tensor] = []
    encode_as_before = encoder.encode

    def encode_and_count(frames: torch.Tensor) -> torch.Tensor:
        shown.append(frames)
        return encode_as_before(frames)

    monkeypatch.setattr(encoder, "encode", encode_and_count)
    return shown


def test_every_frame_of_a_window_is_encoded_once_and_only_if_it_is_used(
    encoder: CorrFlow, frames: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = 3 * torch.randn(1, 2, 66, 81, generator=torch.Generator().manual_seed(1))
    a, b = encoder.encode(frames[[0]]), encoder.encode(frames[[2]])
    shown = counted(encoder, monkeypatch)
    window = WindowEmbedding(encoder, frames)
    there, back = window.error(flow, 0, 2), window.error(flow, 2, 0)
    window.error(flow, 2, 3)
    assert [int((frames == one).flatten(1).all(dim=1).nonzero()) for one in shown] == [0, 2, 3]
    torch.testing.assert_close(there, embedding_error(a, b, flow, 4))
    torch.testing.assert_close(back, embedding_error(b, a, flow, 4))
    assert there.shape == (1, 66, 81)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(WindowEmbedding(encoder, frames).error(flow, 0, 2), there)


@pytest.mark.parametrize(
    ("trained", "told"),
    [
        ({"bottleneck": {"inputs": "grey"}}, "trained on grey input"),
        ({"attention": {"compat": {"scaled": False}}}, "not scaled"),
    ],
)
def test_an_encoder_of_another_training_is_refused(tmp_path: Path, trained: dict, told: str) -> None:
    file = save_weights(build_model("corrflow_small"), tmp_path / "other.safetensors", {"settings": trained})
    with pytest.raises(ConfigError, match=rf"label\.embedding.*{told}"):
        load_encoder(str(file))


def test_only_an_encoder_of_corrflow_will_do(untrained: Path, tmp_path: Path, model: FlowModel) -> None:
    with pytest.raises(ConfigError, match=r"label\.embedding.*'raft_small' is no encoder of CorrFlow") as raised:
        FlowTeacher(model, LabelSettings(embedding=str(untrained)))
    assert "\n" not in str(raised.value)
    with pytest.raises(WeightsError, match="nowhere"):
        FlowTeacher(model, LabelSettings(embedding=str(tmp_path / "nowhere.safetensors")))


def test_the_teacher_adds_what_the_embedding_says_and_changes_nothing_else(
    model: FlowModel, encoder_file: Path, frames: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_settings = LabelSettings(iters=2, ceiling=1e6)
    teacher = FlowTeacher(model, replace(given_settings, embedding=str(encoder_file)))
    assert teacher.encoder is not None
    assert teacher.models == [model, teacher.encoder]
    assert not teacher.encoder.training
    assert not any(p.requires_grad for p in teacher.encoder.parameters())
    shown = counted(teacher.encoder, monkeypatch)
    pairs = [(0, 1), (1, 2), (2, 1)]
    labels = teacher.label(frames, pairs, [0, 0, 0])
    assert len(shown) == 3
    plainly = FlowTeacher(model, given_settings).label(frames, pairs, [0, 0, 0])
    for label, plain, (a, b) in zip(labels, plainly, pairs, strict=True):
        assert torch.equal(label.index, plain.index)
        assert torch.equal(label.flow, plain.flow)
        assert plain.evidence.embedding_error is None
        for name, values in vars(plain.evidence).items():
            assert values is None or torch.equal(getattr(label.evidence, name), values)
        flow = model.flow(frames[[a]], frames[[b]], 2)
        wanted = WindowEmbedding(teacher.encoder, frames).error(flow, a, b).flatten()[label.index]
        torch.testing.assert_close(label.evidence.embedding_error, wanted, atol=1e-3, rtol=1e-3)
        assert wanted.mean() > 0.1


def test_fingerprint_is_that_of_the_encoders_weights_and_as_ever_without(
    model: FlowModel, encoder_file: Path, tmp_path: Path
) -> None:
    without = FlowTeacher(model, LabelSettings())
    facts = {name: value for name, value in vars(LabelSettings()).items() if name != "embedding"}
    assert without.facts == {"model": "raft_small", **facts}
    assert without.fingerprint == fingerprint(without.facts, model)
    first = FlowTeacher(model, LabelSettings(embedding=str(encoder_file)))
    assert first.facts == {**without.facts, "embedding": "corrflow_small"}
    elsewhere = shutil.copy(encoder_file, tmp_path / "copy.safetensors")
    assert FlowTeacher(model, LabelSettings(embedding=str(elsewhere))).fingerprint == first.fingerprint
    torch.manual_seed(1)
    other = save_weights(build_model("corrflow_small"), tmp_path / "other.safetensors")
    others = FlowTeacher(model, LabelSettings(embedding=str(other))).fingerprint
    assert len({without.fingerprint, first.fingerprint, others}) == 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 100, allow_subnormal=False, width=32), max_size=40))
def test_round_trip_of_any_errors_within_the_stated_rounding(errors: list[float]) -> None:
    true = torch.tensor(errors, dtype=torch.float32)
    packed = pack_embedding(true)
    assert packed.dtype == torch.uint8
    assert len(packed) == math.ceil(len(errors) / 2)
    found = unpack_embedding(packed, len(errors))
    assert found.shape == true.shape
    within = true.clamp(max=EMBEDDING.high)
    assert ((found - within).abs() <= 0.09 * (within + EMBEDDING.knee)).all()
    assert torch.equal(found <= 4, true <= 4)
    assert torch.equal(pack_embedding(found), packed)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.floats(0, 1, allow_subnormal=False), st.integers(0, 5))
def test_labels_with_and_without_come_back(height: int, width: int, share: float, seed: int) -> None:
    plain = make_label((height, width), share, 20.0, seed)
    tensors, header = encode(plain)
    assert "embedding" not in tensors
    assert decode(tensors, header).evidence.embedding_error is None
    told = with_embedding(plain, seed)
    more, same_header = encode(told)
    assert same_header == header
    assert {name: value.tolist() for name, value in tensors.items()} == {
        name: value.tolist() for name, value in more.items() if name != "embedding"
    }
    found = decode(more, header)
    wanted = EMBEDDING.decode(EMBEDDING.encode(told.evidence.embedding_error))
    assert torch.equal(found.evidence.embedding_error, wanted)
    assert torch.equal(found.index, plain.index)


def test_the_largest_error_is_told_from_smaller_ones() -> None:
    assert EMBEDDING.high == pytest.approx(23.2, abs=0.1)
    largest = 16 * math.sqrt(2)
    assert unpack_embedding(pack_embedding(torch.tensor([largest, 1e9])), 2).tolist() == pytest.approx(
        [EMBEDDING.high] * 2
    )


def test_errors_that_do_not_fit_are_damage() -> None:
    tensors, header = encode(with_embedding(make_label((10, 10), 0.5, 5.0)))
    for wrong in (tensors["embedding"][:-1], torch.cat((tensors["embedding"],) * 2)):
        with pytest.raises(ValueError, match="differ in number"):
            decode({**tensors, "embedding": wrong}, header)


@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_at_most_eight_bytes_a_pixel(tmp_path: Path, share: float) -> None:
    label = with_embedding(make_label((240, 320), share, 30.0))
    store = LabelStore(tmp_path, "t")
    assert store.write(KEY, label) <= 8 * len(label.index)
    assert store.read(KEY).evidence.embedding_error is not None


def test_damage_is_found_when_a_label_is_read(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, "t")
    label = with_embedding(make_label((20, 20), 0.5, 2.0))
    path = store.path(KEY)

    store.write(KEY, label)
    content = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    content[start + json.loads(content[8:start])["embedding"]["data_offsets"][0]] ^= 0x80
    path.write_bytes(content)
    with pytest.raises(LabelError, match=r"damaged \(embedding .* checksum\)"):
        store.read(KEY)

    store.write(KEY, label)
    content = path.read_bytes()
    note = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    path.write_bytes(save({name: value for name, value in load_file(path).items() if name != "embedding"}, note))
    with pytest.raises(LabelError, match="damaged"):
        store.read(KEY)
    assert store.problem(KEY) == "absent"


def test_rule_by_hand() -> None:
    label = moving_right([1.0, 1.0, 1.0], embedding_error=torch.tensor([0.0, 4.0, 4.01]))
    assert kept([EmbeddingRule()], label) == [True, True, False]
    assert kept([EmbeddingRule(0.0)], label) == [True, False, False]
    part = label.keep(torch.tensor([False, True, True]))
    assert kept([EmbeddingRule()], part) == [True, False]
    with pytest.raises(ConfigError, match="pixels"):
        EmbeddingRule(-1.0)


def test_joined_evidence_has_what_both_have() -> None:
    told = moving_right([1.0, 2.0], embedding_error=torch.tensor([3.0, 4.0])).evidence
    more = moving_right([5.0], embedding_error=torch.tensor([6.0])).evidence
    both = told.joined(more)
    assert both.speed.tolist() == [1, 2, 5]
    assert both.embedding_error is not None
    assert both.embedding_error.tolist() == [3, 4, 6]
    assert told.joined(moving_right([5.0]).evidence).embedding_error is None


def test_rule_needs_the_evidence_even_of_labels_that_another_rule_dropped() -> None:
    with pytest.raises(ConfigError, match=r"label\.embedding is not set") as raised:
        kept([MinSpeed(5.0), EmbeddingRule()], moving_right([1.0]))
    assert "\n" not in str(raised.value)


def test_from_videos_to_rules_and_back(clip_folder: Path, untrained: Path, encoder_file: Path, tmp_path: Path) -> None:
    def label(embedding: str | None, pixels: float | None) -> LabelStore:
        return rm.label(
            clip_folder / "videos",
            None,
            untrained,
            tmp_path / "labels",
            LabelSettings(iters=1, ceiling=1e4, embedding=embedding),
            "cpu",
            filters={} if pixels is None else {"embedding": EmbeddingRule(pixels)},
            max_pairs=2,
            num_workers=0,
        )

    with pytest.raises(ConfigError, match=r"label\.embedding is not set"):
        label(None, 4.0)
    assert not list((tmp_path / "labels").glob("*/??/*.safetensors"))
    told = label(str(encoder_file), 20.0)
    plain = label(None, None)
    assert told.folder != plain.folder
    opened = open_labels(tmp_path / "labels", teacher=told.teacher)
    manifest = json.loads((told.folder / "manifest.json").read_text())
    assert manifest["settings"]["embedding"] == "corrflow_small"
    assert opened.keys
    for key in opened.keys:
        one, other = told.read(key), plain.read(key)
        error = one.evidence.embedding_error
        assert error is not None
        assert torch.equal(one.flow, other.flow)
        assert other.evidence.embedding_error is None
        assert 0 < error.max() <= EMBEDDING.high
        assert kept([EmbeddingRule(2.0)], one) == (error <= 2.0).tolist()
        with pytest.raises(ConfigError, match=r"label\.embedding is not set"):
            kept([EmbeddingRule()], other)
