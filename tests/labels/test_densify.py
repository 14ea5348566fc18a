from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.errors import ConfigError
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.densify import Densify
from refine_motion.labels.select import CycleRule, MinSpeed, select
from refine_motion.motion.dominant import affine_flow
from tests.labels.made import kept, made_label

SIZE = (24, 32)
CENTRE = 12 * 32 + 16


def frame(ratio: torch.Tensor, flow: torch.Tensor | None = None) -> FlowLabel:
    """Every pixel of a frame, by cycle ratio ``(H, W)`` and flow ``(2, H, W)``; 3 px to the right when not given."""
    if flow is None:
        flow = torch.tensor([3.0, 0.0]).view(2, 1, 1).expand(2, *SIZE)
    return made_label(flow.flatten(1).T, ratio=ratio.flatten(), size=SIZE)


def near(**settings: float) -> Densify:
    """The rule with a small grid, one round and round numbers."""
    return Densify(**{"pixels": 0.3, "fraction": 0.02, "least": 8, "step": 2, "rounds": 1, **settings})  # type: ignore[arg-type]


def with_hole(ratio: float = 2.0) -> torch.Tensor:
    """Ratios of 0 but for a hole of 5x5 around the centre."""
    found = torch.zeros(SIZE)
    found[10:15, 14:19] = ratio
    return found


def test_what_verified_neighbours_say_too_comes_back() -> None:
    weight = select([CycleRule(), near()], frame(with_hole()), 0)
    assert (weight == 1).all()


def test_what_they_do_not_say_stays_dropped() -> None:
    flow = torch.zeros(2, *SIZE)
    flow[0] = 3.0
    flow[1, 12, 16] = 0.5
    weight = select([CycleRule(), near(pixels=0.3, fraction=0.0)], frame(with_hole(), flow), 0)
    assert weight[CENTRE] == 0
    assert weight.sum() == weight.numel() - 1
    # A fast one may differ by a share of its speed.
    assert (select([CycleRule(), near(pixels=0.3, fraction=0.1)], frame(with_hole(), flow), 0) == 1).all()


def test_nothing_beyond_the_looser_rule_comes_back() -> None:
    assert select([CycleRule(), near(ceiling=3.0)], frame(with_hole(3.1)), 0)[CENTRE] == 0
    assert select([CycleRule(), near(ceiling=3.0)], frame(with_hole(2.9)), 0)[CENTRE] == 1


def test_few_verified_neighbours_are_no_witnesses() -> None:
    ratio = torch.full(SIZE, 2.0)
    # Eight of the 24 places around the centre, at distances of 2 and 4 pixels.
    for y, x in ((-4, -4), (-4, 0), (-4, 4), (0, -4), (0, 4), (4, -4), (4, 0), (4, 4)):
        ratio[12 + y, 16 + x] = 0
    assert kept([CycleRule(), near(least=8)], frame(ratio))[CENTRE]
    assert not kept([CycleRule(), near(least=9)], frame(ratio))[CENTRE]


def test_the_share_is_of_the_verified_ones() -> None:
    # Half of the frame moves otherwise: at the border as many agree as disagree.
    flow = torch.zeros(2, *SIZE)
    flow[0, :, 16:] = 9.0
    ratio = torch.zeros(SIZE)
    ratio[12, 16] = 2.0
    # Of the 24 places, 10 lie to the left of the pixel.
    assert kept([CycleRule(), near(share=14 / 24 - 0.01)], frame(ratio, flow))[CENTRE]
    assert not kept([CycleRule(), near(share=14 / 24 + 0.01)], frame(ratio, flow))[CENTRE]


def test_neighbours_agree_under_a_camera_that_zooms() -> None:
    zoom = torch.tensor([[0.3, 0.0, -5.0], [0.0, 0.3, -4.0]])
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
    flow = affine_flow(zoom, torch.stack((x.flatten(), y.flatten()), dim=1)).T.view(2, *SIZE)
    rules = [CycleRule(), near(pixels=0.1, fraction=0.0)]
    assert kept(rules, frame(with_hole(), flow))[CENTRE]
    # Bent as no camera's motion is, neighbours differ.
    flow[0] += 0.05 * (x - 16).square() * (x < 17)
    assert not kept(rules, frame(with_hole(), flow))[CENTRE]


def test_what_comes_back_weighs_as_its_witnesses_do() -> None:
    label = frame(with_hole())
    weight = torch.full((len(label.flow),), 0.25)
    weight[with_hole().flatten() > 0] = 0
    found = near()(label, weight, torch.Generator())
    torch.testing.assert_close(found, torch.full_like(found, 0.25))


def test_a_second_round_reaches_further() -> None:
    ratio = torch.full(SIZE, 2.0)
    ratio[:, :6] = 0
    one, two = (sum(kept([CycleRule(), near(rounds=rounds)], frame(ratio))) for rounds in (1, 2))
    assert 24 * 6 < one < two < ratio.numel()


def test_rules_after_it_have_the_last_word() -> None:
    assert select([CycleRule(), near(), MinSpeed(4.0)], frame(with_hole()), 0).sum() == 0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    pixels=st.sampled_from([0.1, 0.5, 1.0, 2.0]),
    share=st.sampled_from([0.25, 0.5, 0.75, 1.0]),
    least=st.integers(1, 24),
)
def test_equals_a_search_pixel_by_pixel(seed: int, pixels: float, share: float, least: int) -> None:
    source = torch.Generator().manual_seed(seed)
    flow = torch.randn(2, *SIZE, generator=source)
    stored = torch.rand(SIZE, generator=source).flatten() < 0.8
    index = stored.nonzero().flatten()
    ratio = 5 * torch.rand(len(index), generator=source)
    label = made_label(flow.flatten(1).T[index], ratio=ratio, size=SIZE, index=index)
    rule = Densify(3.0, pixels, 0.0, share, least, step=2, rounds=1)
    found = select([CycleRule(), rule], label, 0) > 0
    place = {int(i): n for n, i in enumerate(index)}
    verified, relative = torch.tensor(kept([CycleRule()], label)), label.relative.double()
    for number in torch.randint(len(index), (40,), generator=source).tolist():
        y, x = divmod(int(index[number]), SIZE[1])
        known = agreeing = 0
        for v in range(y - 4, y + 5, 2):
            for u in range(x - 4, x + 5, 2):
                other = place.get(v * SIZE[1] + u)
                if (v, u) == (y, x) or not (0 <= v < SIZE[0] and 0 <= u < SIZE[1]) or other is None:
                    continue
                known += int(verified[other])
                near = (relative[other] - relative[number]).square().sum() <= pixels**2
                agreeing += int(verified[other] and near)
        back = ratio[number] <= 3.0 and known >= least and agreeing >= share * known
        assert found[number] == (verified[number] or back)


def test_asks_for_labels_up_to_its_ceiling() -> None:
    assert Densify(ceiling=2.5).looseness == 2.5


def test_no_entry_gives_no_weight() -> None:
    assert select([Densify()], made_label(torch.zeros(0, 2)), 0).shape == (0,)


@pytest.mark.parametrize(
    "wrong",
    [{"ceiling": 0}, {"pixels": -1}, {"share": 0}, {"share": 1.1}, {"least": 25}, {"step": 0}, {"rounds": 0}],
    ids=str,
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="Densify"):
        Densify(**wrong)  # type: ignore[arg-type]
