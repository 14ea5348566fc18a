from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.errors import ConfigError
from refine_motion.labels.views import Look, View, look, parse_view
from refine_motion.models.base import FlowModel, FrameFeatures
from refine_motion.models.load import load_model
from refine_motion.motion.grid import pixel_grid
from tests.labels.made import Painted


@given(scale=st.floats(0.5, 3, allow_subnormal=False), flip=st.booleans())
def test_text_of_a_view_reads_back(scale: float, flip: bool) -> None:
    view = View(scale, flip)
    assert parse_view(str(view)) == view
    assert view.mirrored.mirrored == view != view.mirrored


def test_texts() -> None:
    assert [str(View()), str(View(2)), str(View(1.5, True))] == ["1x", "2x", "1.5x flip"]
    assert parse_view("0.5x flip") == View(0.5, True)


@pytest.mark.parametrize("text", ["2", "x", "2xflip", "2x  flip", "-2x", "2x flop", "4x", "0.4x", "nanx", ""])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="view"):
        parse_view(text)


@pytest.fixture(scope="module")
def model() -> FlowModel:
    return load_model("raft_small", "embedded").requires_grad_(False)


def texture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    noise = torch.rand(1, 3, height // 6, width // 6, generator=torch.Generator().manual_seed(seed)) * 255
    return F.interpolate(noise, (height, width), mode="bicubic", align_corners=False)[0].clamp(0, 255).byte()


def test_as_they_are_is_the_model_itself_bit_by_bit(model: FlowModel) -> None:
    frames = torch.stack((texture(68, 92), texture(68, 92, 1)))
    forward, backward, view = Look(model, frames, View(), 2**16, 3).flow(0, 1)
    features = model.encode(frames)
    expected = model.match_both(features[[0]], features[[1]], 3)
    assert torch.equal(forward, expected[0])
    assert torch.equal(backward, expected[1])
    assert view == View()


def test_mirrored_frames_are_padded_after_they_are_mirrored(model: FlowModel) -> None:
    # Neither side is a multiple of eight, so that the model pads.
    frames = torch.stack((texture(67, 93), texture(67, 93, 1)))
    forward, _, _ = Look(model, frames, View(flip=True), 2**16, 3).flow(0, 1)
    mirrored = frames.flip(-1)
    expected = model.flow(mirrored[[0]], mirrored[[1]], 3).flip(-1)
    torch.testing.assert_close(forward[:, 0], -expected[:, 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(forward[:, 1], expected[:, 1], atol=1e-5, rtol=0)
    features = look(model, frames, View(flip=True))
    torch.testing.assert_close(features.matching, model.encode(mirrored).matching)


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("flip", [False, True])
def test_every_view_finds_the_motion_where_it_is(scale: float, flip: bool) -> None:
    # Motion away from the left and the top edge of the frame: half a pixel would be 0.05. Resizing by other than whole
    # factors bends straight lines a little.
    away = 0.1 * (pixel_grid(96, 128)[None] + 0.5)
    frames = Painted.frames(away)
    forward, backward, view = Look(Painted(), frames, View(scale, flip), 10**6, 1).flow(0, 1)  # type: ignore[arg-type]
    inner = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    torch.testing.assert_close(forward[inner], away[inner], atol=1e-2, rtol=0)
    torch.testing.assert_close(backward[inner], -away[inner], atol=1e-2, rtol=0)
    assert view == View(scale, flip)


def test_frames_beyond_what_is_allowed_are_looked_at_in_tiles_that_agree() -> None:
    size = (120, 180)
    wave = torch.sin(pixel_grid(*size)[None] / 20) * 3
    small = Painted()
    forward, backward, view = Look(small, Painted.frames(wave), View(2.0), 30_000, 1).flow(0, 1)  # type: ignore[arg-type]
    assert view == View(2.0)
    assert max(h * w for h, w in small.seen) <= 30_000
    assert len(small.seen) > 4
    whole = Look(Painted(), Painted.frames(wave), View(2.0), 10**6, 1).flow(0, 1)  # type: ignore[arg-type]
    torch.testing.assert_close(forward, whole[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(backward, whole[1], atol=1e-4, rtol=0)
    forward, _, view = Look(small, Painted.frames(wave), View(2.0, True), 30_000, 1).flow(0, 1)  # type: ignore[arg-type]
    assert view == View(2.0, True)
    torch.testing.assert_close(forward, whole[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("speed", "scale"), [(2.0, 2.0), (8.0, 2.0), (12.0, 1.25), (40.0, 1.17)])
def test_the_scale_is_lowered_to_what_keeps_motion_inside_a_tile(speed: float, scale: float) -> None:
    # Tiles reach 18 px at twice the size, 16, 14 and 17 at a quarter less each time.
    motion = torch.zeros(1, 2, 120, 180)
    motion[:, 1] = speed
    forward, backward, view = Look(Painted(), Painted.frames(motion), View(2.0), 30_000, 1).flow(0, 1)  # type: ignore[arg-type]
    assert view == View(scale)
    torch.testing.assert_close(forward, motion, atol=1e-3, rtol=0)
    torch.testing.assert_close(backward, -motion, atol=1e-3, rtol=0)


def test_frames_are_looked_at_whole_in_their_own_size_however_large() -> None:
    assert View(2.0).within((1000, 1000), 4_000_000) == View(2.0)
    assert View(2.0).within((1000, 1000), 2_250_000) == View(1.5)
    assert View(2.0, True).within((1000, 1000), 900_000) == View(1.0, True)
    assert View(1.0).within((1000, 1000), 900_000) == View(1.0)
    assert View(0.5).within((1000, 1000), 2**16) == View(0.5)


def test_tiles_of_a_network_agree_with_its_whole_look_where_all_moves_alike(model: FlowModel) -> None:
    large = texture(150, 210)
    frames = torch.stack((large[:, 4:140, 6:200], large[:, 6:142, 3:197]))
    tiled = Look(model, frames, View(1.5), 2**15, 8)
    forward, _, view = tiled.flow(0, 1)
    assert view == View(1.5)
    assert tiled.whole != view
    whole, _, _ = Look(model, frames, View(1.5), 10**6, 8).flow(0, 1)
    inner = (slice(None), slice(None), slice(12, -12), slice(12, -12))
    truth = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1)
    error, tiled_error = ((flow - truth)[inner].abs().mean() for flow in (whole, forward))
    assert error < 0.2
    assert tiled_error < 1.3 * error
    # They differ by what cells that lie elsewhere make of it.
    assert (forward - whole)[inner].abs().mean() < 0.15
    assert (forward - whole)[inner].abs().max() < 1


def test_features_are_of_every_frame_once() -> None:
    small = Painted()
    one = Look(small, Painted.frames(torch.zeros(1, 2, 40, 60)).repeat(2, 1, 1, 1), View(), 10**6, 1)  # type: ignore[arg-type]
    one.flow(0, 1), one.flow(1, 2), one.flow(3, 0)
    assert small.seen == [(40, 60)]
    assert isinstance(one.features, FrameFeatures)
