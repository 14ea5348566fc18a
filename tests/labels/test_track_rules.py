from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.errors import ConfigError
from refine_motion.labels.balance import MotionBalance
from refine_motion.labels.select import ColourRule, LabelRule, MinSpeed, SpeedStratifiedCap, select
from refine_motion.labels.track_codec import TrackLabel, decode, encode, mean_step
from refine_motion.labels.track_rules import (
    AllFrames,
    LeastKnown,
    MinTrackSpeed,
    TrackRule,
    VisibilityAgreement,
    pixels_at,
)
from tests.labels.made import moving_right
from tests.labels.made_tracks import made_tracks, straight


def kept(rules: list[LabelRule], label: TrackLabel, seed: int = 0) -> list[bool]:
    return (select(rules, label, seed) > 0).tolist()


def with_cycle(errors: list[float], size: tuple[int, int] = (256, 448)) -> TrackLabel:
    return made_tracks(torch.zeros(8, len(errors), 2), size=size, cycle_error=torch.tensor(errors))


def seen_in(*patterns: str) -> torch.Tensor:
    """``(S, N)`` bool of one text a track, ``1`` where it is seen."""
    return torch.tensor([[sign == "1" for sign in pattern] for pattern in patterns]).T


def test_the_official_cycle_check(reference: Path) -> None:
    z = {name: torch.from_numpy(value) for name, value in np.load(reference / "cycle_tracks.npz").items()}
    places, back = z["tracks_fw"], z["tracks_bw_reversed_time"].flip(0)
    # Every frame is known, as where hidden points are followed.
    distance = (places - back).norm(dim=-1)
    label = made_tracks(places, cycle_error=distance.amax(dim=0))
    for pixels, name in ((3.0, "3"), (1.5, "1p5")):
        assert 0 < z[f"keep_{name}"].sum() < 96
        assert kept([AllFrames(pixels)], label) == z[f"keep_{name}"].tolist()
        # The same at another size of the frames and of the threshold.
        other = made_tracks(places, size=(512, 896), cycle_error=2 * distance.amax(dim=0))
        assert kept([AllFrames(pixels)], other) == z[f"keep_{name}"].tolist()
    assert torch.equal((distance < 3).double().mean(dim=0), z["frac_within_3"])


def test_the_official_speed_filter(reference: Path) -> None:
    z = {name: torch.from_numpy(value) for name, value in np.load(reference / "cycle_tracks.npz").items()}
    label = made_tracks(z["tracks_fw"])
    torch.testing.assert_close(label.evidence.speed * 7 / 8, z["speed"], atol=1e-5, rtol=0)
    assert 0 < z["speed_keep_gt5"].sum() < 96
    assert kept([MinTrackSpeed()], label) == z["speed_keep_gt5"].tolist()
    assert kept([MinTrackSpeed()], label) == z["speed_keep_gt5"].tolist()
    # By seven steps, more are fast enough.
    assert sum(kept([MinTrackSpeed(official=False)], label)) >= z["speed_keep_gt5"].sum()


def test_all_frames_is_strict_and_its_pixels_grow_with_the_frame() -> None:
    assert kept([AllFrames(3)], with_cycle([0.0, 2.999, 3.0, 3.001])) == [True, True, False, False]
    assert kept([AllFrames(3)], with_cycle([5.999, 6.0], (512, 896))) == [True, False]
    assert kept([AllFrames(3)], with_cycle([1.499, 1.5], (128, 224))) == [True, False]
    # As published for CroHD: by the root of the area, at twice the height and half the width.
    assert kept([AllFrames(1.5, (768, 1280))], with_cycle([1.499, 1.501], (1536, 640))) == [True, False]
    assert AllFrames().looseness == pytest.approx(1)
    assert AllFrames(6).looseness == pytest.approx(2)
    assert AllFrames(6, (512, 896)).looseness == pytest.approx(1)


@given(pixels=st.floats(0.1, 50), height=st.integers(1, 4000), factor=st.integers(1, 4))
def test_pixels_are_in_proportion_to_the_side(pixels: float, height: int, factor: int) -> None:
    size = (height, 2 * height)
    larger = (factor * height, factor * 2 * height)
    assert pixels_at(pixels, size, larger) == pytest.approx(factor * pixels)
    assert pixels_at(pixels_at(pixels, size, larger), larger, size) == pytest.approx(pixels)


@settings(max_examples=30, deadline=None)
@given(frame=st.integers(0, 7), over=st.booleans())
def test_one_frame_over_rejects_a_track(frame: int, over: bool) -> None:
    distance = torch.full((8, 1), 1.0)
    distance[frame] = 3.1 if over else 2.9
    label = made_tracks(torch.zeros(8, 1, 2), cycle_error=distance.amax(dim=0))
    assert kept([AllFrames()], label) == [not over]


def test_agreement_on_what_is_seen() -> None:
    there = seen_in("11111111", "11111111", "11110000", "11110000")
    back = seen_in("11111111", "11101111", "11110000", "11000000")
    label = made_tracks(torch.zeros(8, 4, 2), there, back)
    assert kept([VisibilityAgreement()], label) == [True, False, True, False]
    assert kept([VisibilityAgreement(7 / 8)], label) == [True, True, True, False]
    assert kept([VisibilityAgreement(0.75)], label) == [True] * 4


def test_least_known_frames_do_not_count_the_first() -> None:
    there = seen_in("10011000", "10011100", "11111111", "11111111")
    back = seen_in("10011000", "10011100", "10000011", "10000111")
    label = made_tracks(torch.zeros(8, 4, 2), there, back)
    assert kept([LeastKnown()], label) == [False, True, False, True]
    assert kept([LeastKnown(2)], label) == [True] * 4


def test_speed_is_over_the_frames_as_published_or_over_the_steps() -> None:
    # 7 steps of so many pixels, over 8 frames or 7 steps.
    label = made_tracks(straight(torch.tensor([[5.0, 0.0], [0.0, 5.1], [-5.8, 0.0], [3.0, 5.0]])))
    assert kept([MinTrackSpeed()], label) == [False, False, True, True]
    assert kept([MinTrackSpeed(official=False)], label) == [False, True, True, True]
    # It is the way that counts and not where it ends.
    there_and_back = torch.tensor([0.0, 9, 0, 9, 0, 9, 0, 0]).view(8, 1, 1) * torch.tensor([1.0, 0.0])
    assert kept([MinTrackSpeed()], made_tracks(there_and_back)) == [True]
    larger = made_tracks(straight(torch.tensor([[11.0, 0.0], [12.0, 0.0]])), size=(512, 896))
    assert kept([MinTrackSpeed()], larger) == [False, True]
    # Strictly faster.
    exact = made_tracks(straight(torch.tensor([[8.0, 0.0]])))
    assert kept([MinTrackSpeed(7.0)], exact) == [False]
    assert kept([MinTrackSpeed(6.99)], exact) == [True]


def test_rules_keep_the_weight_of_those_before_them_and_use_what_a_store_gives() -> None:
    label = decode(*encode(with_cycle([0.5, 5.0, 1.0])))
    weight = torch.tensor([0.25, 1.0, 0.0])
    left = AllFrames()(label, weight, torch.Generator())
    assert left.tolist() == [0.25, 0, 0]
    assert weight.tolist() == [0.25, 1, 0]


@pytest.mark.parametrize("rule", [AllFrames(), VisibilityAgreement(), MinTrackSpeed(), LeastKnown()])
def test_labels_of_flow_are_refused_in_a_line(rule: TrackRule) -> None:
    with pytest.raises(ConfigError, match=f"^{type(rule).__name__} is a rule for tracks[^\n]*$"):
        select([rule], moving_right([1.0]), 0)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: AllFrames(0), "pixels"),
        (lambda: AllFrames(3, (0, 448)), "[0, 448]"),
        (lambda: MinTrackSpeed(-1), "pixels"),
        (lambda: MinTrackSpeed(1, (256, 0)), "[256, 0]"),
        (lambda: VisibilityAgreement(0), "share"),
        (lambda: VisibilityAgreement(1.01), "share"),
        (lambda: LeastKnown(0), "frames"),
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], TrackRule], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        make()


def test_rules_of_flow_serve_tracks() -> None:
    # A camera of 2 px a frame to the right and ten tracks of a hundred that go down.
    steps = torch.tensor([[2.0, 0.0]]).repeat(100, 1)
    steps[90:] = torch.tensor([0.0, 6.0])
    start = torch.rand(100, 2, generator=torch.Generator().manual_seed(0)) * 200
    colour = torch.zeros(100)
    colour[:30] = 2.0
    label = made_tracks(straight(steps, start=start), colour_error=colour)
    weight = select([MotionBalance()], label, 0)
    assert weight.sum().item() == pytest.approx(100, rel=1e-5)
    assert weight[90:].sum().item() == pytest.approx(50, rel=1e-5)
    assert weight[:90].unique().numel() == 1
    assert kept([ColourRule()], label) == [False] * 30 + [True] * 70
    assert kept([MinSpeed(5.0)], label) == [False] * 90 + [True] * 10
    capped = torch.tensor(kept([SpeedStratifiedCap(5, [5.0])], label))
    assert (capped[:90].sum(), capped[90:].sum()) == (5, 5)
    assert kept([SpeedStratifiedCap(5, [5.0])], label) == capped.tolist()
    # After the colour rule, of what it left.
    weight = select([ColourRule(), MotionBalance()], label, 0)
    assert (weight[:30].sum(), weight[90:].sum()) == (0, pytest.approx(35, rel=1e-5))


def test_the_papers_filters() -> None:
    fast, slow = [6.0, 0.0], [1.0, 0.0]
    label = made_tracks(
        straight(torch.tensor([fast, fast, slow, slow])), cycle_error=torch.tensor([1.0, 4.0, 1.0, 4.0])
    )
    assert kept([AllFrames(), MinTrackSpeed()], label) == [True, False, False, False]
    assert mean_step(label.places).tolist() == [6, 6, 1, 1]
