from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from refine_motion.errors import ConfigError
from refine_motion.models.base import FrameFeatures
from refine_motion.refine import panel
from refine_motion.refine.decision import Decision
from refine_motion.refine.gain import Gain
from refine_motion.refine.judge import CYCLE, KINDS, LABELS, MOVING, joint_gain
from refine_motion.refine.judging import FlowJudge
from refine_motion.refine.panel import FlowPanel, TrackPanel
from refine_motion.refine.selection import SelectionSettings, choose

HEIGHT, WIDTH = 96, 128
TRUE = (6.0, 2.0)
CPU = torch.device("cpu")


def true_flow() -> Tensor:
    """A shift, against which a part of the frame moves."""
    flow = torch.tensor(TRUE).view(2, 1, 1).repeat(1, HEIGHT, WIDTH)
    flow[:, 30:60, 40:80] += torch.tensor([-9.0, 0.0]).view(2, 1, 1)
    return flow


class Knowing(nn.Module):
    """Says the true flow of the held-out pairs, wrong by ``bias`` behind and by ``moving`` where something moves.

    ``blind`` is the share of rows in which its two directions contradict each other.
    """

    def __init__(self, bias: float = 0.4, moving: float = 0.4, blind: float = 0.0):
        super().__init__()
        self.bias, self.moving = nn.Parameter(torch.tensor(bias)), nn.Parameter(torch.tensor(moving))
        self.blind = nn.Parameter(torch.tensor(blind))

    def flow(self, a: Tensor, b: Tensor, iters: int = 12) -> Tensor:
        return self.match_both(self.encode(a), self.encode(b), iters)[0]

    def encode(self, frames: Tensor) -> FrameFeatures:
        return FrameFeatures(frames, frames, (HEIGHT, WIDTH))

    def match_both(self, a: FrameFeatures, b: FrameFeatures, iters: int) -> tuple[Tensor, Tensor]:
        flow = true_flow()
        error = self.bias * torch.ones(HEIGHT, WIDTH)
        error[30:60, 40:80] = self.moving
        forward = torch.stack((flow[0] + error, flow[1]))
        backward = -flow.roll((2, 6), dims=(1, 2))
        backward[1, : round(self.blind.item() * HEIGHT)] += 50.0
        return forward[None], backward[None]


class Held(list[dict[str, Any]]):
    """Samples, and the window and pair of each."""

    samples: Sequence[tuple[int, int]] = ()


class Data:
    """Held-out pairs of a texture under the true flow; labels are the truth, or what they are said to be."""

    holdout = 0.1

    def __init__(self, label: Tensor | None = None, pairs: int = 2):
        generator = torch.Generator().manual_seed(0)
        self.label, self.parts = true_flow() if label is None else label, {"choose": [], "decide": []}
        for part in self.parts.values():
            for _ in range(pairs):
                coarse = torch.rand(1, 3, HEIGHT // 4, WIDTH // 4, generator=generator)
                b = nn.functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bicubic").clamp(0, 1)[0] * 255
                a = b.roll((-2, -6), dims=(1, 2))
                a[:, 30:60, 40:80] = b.roll((-2, 3), dims=(1, 2))[:, 30:60, 40:80]
                part.append((a.byte(), b.byte()))

    def held_out_samples(self, part: str, limit: int = 32) -> Any:
        region = torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool)
        region[..., -12:] = False
        pairs = self.parts[part][:limit]
        found = Held(
            {"image_a": a, "image_b": b, "flow": self.label, "weight": region.float(), "region": region}
            for a, b in pairs
        )
        found.samples = [(number, 0) for number in range(len(pairs))]
        return found

    def share_faster_than(self, pixels: float) -> float:
        return (self.label.norm(dim=0) > pixels).float().mean().item()


def chosen(trained: dict[str, Knowing], data: Data | None = None, original: Knowing | None = None) -> Decision:
    original = original or Knowing()
    before = copy.deepcopy(original.state_dict())
    states = {name: model.state_dict() for name, model in trained.items()}
    choice = choose(FlowPanel(original, data or Data(), 1, CPU), states)  # type: ignore[arg-type]
    decision, state = choice.decision, choice.state
    assert set(states) < set(choice.worth)
    assert all(torch.equal(value, before[name]) for name, value in original.state_dict().items())
    if decision.candidate is None:
        assert all(torch.equal(value, before[name]) for name, value in state.items())
    elif decision.candidate in states:
        assert all(torch.equal(value, states[decision.candidate][name]) for name, value in state.items())
    return decision


def test_a_better_student_is_taken_and_the_best_of_several() -> None:
    found = chosen({"step 1": Knowing(0.3, 0.3), "last": Knowing(0.08, 0.08), "ema": Knowing(0.2, 0.2)})
    assert (found.decision, found.candidate) == ("improved", "last")
    assert found.gain is not None
    assert found.gain.low > 0.3


def test_a_mixture_is_taken_where_the_training_went_too_far() -> None:
    # From 0.4 px on one side to 0.4 px on the other: half-way is right.
    found = chosen({"last": Knowing(-0.4, -0.4)})
    assert (found.decision, found.candidate) == ("improved", "50% of last")


@pytest.mark.parametrize("student", [Knowing(), Knowing(0.6, 0.6), Knowing(0.4, 1.6)])
def test_a_student_that_is_no_better_is_not_taken(student: Knowing) -> None:
    found = chosen({"last": student})
    assert (found.decision, found.candidate) == ("kept", None)


def test_labels_that_the_frames_contradict_cannot_win() -> None:
    wrong = true_flow()
    wrong[0] += 3.0
    found = chosen({"last": Knowing(3.0, 3.0)}, Data(wrong), Knowing(0.2, 0.2))
    assert found.decision == "kept"


def test_what_moves_by_itself_must_not_pay_for_the_background() -> None:
    found = chosen({"last": Knowing(0.04, 2.0)})
    assert found.decision == "improved" or "moves by itself" in found.reason
    assert found.candidate != "last"
    # The same student with the object as it was is taken as it is.
    assert chosen({"last": Knowing(0.04, 0.4)}).candidate == "last"


def test_what_is_lost_at_some_speed_keeps_the_original(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = Gain(-0.2, -0.2, -0.2)
    monkeypatch.setattr(panel.SpeedTest, "gains", lambda self, model: {40.0: loss})
    found = chosen({"last": Knowing(0.08, 0.08)})
    assert found.decision == "kept"
    assert "motion of 40 px" in found.reason


def test_where_the_best_loses_at_some_speed_one_nearer_to_the_original_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loss, nothing = (Gain(value, value, value) for value in (-0.2, 0.0))
    monkeypatch.setattr(
        panel.SpeedTest, "gains", lambda self, model: {40.0: loss if model.bias.item() < 0.2 else nothing}
    )
    found = chosen({"last": Knowing(0.08, 0.08)})
    assert (found.decision, found.candidate) == ("improved", "50% of last")


def test_a_student_cannot_win_by_judging_fewer_pixels() -> None:
    # Where its directions contradict each other it would have no say, had it a mask of its own.
    data, original = Data(), Knowing()
    judge = FlowJudge(data.held_out_samples("choose"), [0, 1], original, 1, CPU)  # type: ignore[arg-type]
    same, fewer = judge.errors(Knowing()), judge.errors(Knowing(blind=0.5))  # type: ignore[arg-type]
    assert judge.gain(same) == Gain(0.0, 0.0, 0.0)
    cycle = judge.gain(fewer, {CYCLE: 1.0})
    assert cycle is not None
    assert cycle.high < 0
    broken = chosen({"last": Knowing(0.08, 0.08, blind=0.5)})
    assert broken.decision == "kept"
    assert "cycle error" in broken.reason


def test_what_is_not_held_out_has_no_say() -> None:
    class Background(Data):
        def held_out_samples(self, part: str, limit: int = 32) -> Any:
            found = super().held_out_samples(part, limit)
            for sample in found:
                sample["region"][..., 26:64, 36:84] = False
            return found

    judge = FlowJudge(Background().held_out_samples("choose"), [0, 1], Knowing(), 1, CPU)  # type: ignore[arg-type]
    same, other = judge.errors(Knowing()), judge.errors(Knowing(0.4, 9.0))  # type: ignore[arg-type]
    assert all((same[kind] == other[kind]).all() for kind in same)
    assert 0 < judge.weights["labels"].sum() <= 2 * (HEIGHT * (WIDTH - 12) - 38 * 48)


def test_what_was_chosen_on_one_half_is_decided_on_the_other() -> None:
    class Elsewhere(Data):
        def held_out_samples(self, part: str, limit: int = 32) -> Any:
            found = super().held_out_samples(part, limit)
            for sample in found if part == "decide" else ():
                sample["flow"] = sample["flow"] + torch.tensor([3.0, 0.0]).view(2, 1, 1)
            return found

    found = chosen({"last": Knowing(0.08, 0.08)}, Elsewhere())
    assert found.decision == "kept"


def test_the_original_chooses_the_pixels_by_its_own_cycle_and_units_are_those_given() -> None:
    samples = Data().held_out_samples("choose")
    judge = FlowJudge(samples, [4, 7], Knowing(blind=0.5), 1, CPU)  # type: ignore[arg-type]
    assert judge.units == [4, 7]
    whole = 2 * HEIGHT * (WIDTH - 12)
    assert judge.weights["labels"].sum() == whole
    for kind in (CYCLE, "census"):
        assert 0.3 * whole < judge.weights[kind].sum() < 0.5 * whole


def test_a_few_labels_that_move_by_themselves_tell_nothing() -> None:
    for side, counts in ((4, False), (6, True)):
        label = torch.tensor(TRUE).view(2, 1, 1).repeat(1, HEIGHT, WIDTH)
        label[0, 30 : 30 + side, 40 : 40 + side] -= 9
        judge = FlowJudge(Data(label).held_out_samples("choose"), [0, 1], Knowing(), 1, CPU)  # type: ignore[arg-type]
        assert judge.weights[MOVING].sum() == (2 * side**2 if counts else 0)


def test_labels_and_census_make_the_gain() -> None:
    judge = FlowJudge(Data().held_out_samples("choose"), [0, 1], Knowing(), 1, CPU)  # type: ignore[arg-type]
    errors = judge.errors(Knowing(0.1, 0.1))  # type: ignore[arg-type]
    labels, census, both = (judge.gain(errors, kinds) for kinds in ({"labels": 1.0}, {"census": 1.0}, KINDS))
    assert labels is not None
    assert census is not None
    assert both is not None
    assert labels.value == pytest.approx(math.log((0.4 + 0.02) / (0.1 + 0.02)), abs=1e-4)
    assert both.value == pytest.approx(0.6 * labels.value + 0.4 * census.value)
    assert census.value > 0.3


def test_judges_together_weigh_as_many_items_as_they_have() -> None:
    """As if all items were one judge's, its units apart."""
    units = [["a", "b"], ["c", "d", "e", "f"]]
    judges = [FlowJudge(Data(pairs=len(u)).held_out_samples("choose"), u, Knowing(), 1, CPU) for u in units]  # type: ignore[arg-type]
    errors = [judge.errors(model) for judge, model in zip(judges, (Knowing(0.1, 0.1), Knowing(0.3, 0.3)), strict=True)]  # type: ignore[arg-type]
    alone = [judge.gain(found, {LABELS: 1.0}) for judge, found in zip(judges, errors, strict=True)]
    both = joint_gain(list(zip(judges, errors, strict=True)), {LABELS: 1.0})
    assert both is not None
    assert alone[0] is not None
    assert alone[1] is not None
    assert both.value == pytest.approx((2 * alone[0].value + 4 * alone[1].value) / 6)
    # Six units are drawn: the interval holds those of two that gain more and four that gain less.
    assert alone[1].value <= both.low < both.value < both.high < alone[0].value
    assert joint_gain([]) is None
    # Places in the same items are no more units than these: with fewer than six, blocks are drawn instead.
    judges[1].units = ["a", "b", "a", "b"]
    same = joint_gain(list(zip(judges, errors, strict=True)), {LABELS: 1.0})
    assert same is not None
    assert (same.value, same == both) == (both.value, False)
    nothing = FlowJudge(Held(), [], Knowing(), 1, CPU)  # type: ignore[arg-type]
    only = joint_gain([(judges[0], errors[0]), (nothing, nothing.errors(Knowing()))], {LABELS: 1.0})  # type: ignore[arg-type]
    assert only == alone[0]


def test_errors_by_hand() -> None:
    data = Data()
    judge = FlowJudge(data.held_out_samples("choose"), [0, 1], Knowing(), 1, CPU)  # type: ignore[arg-type]
    errors = judge.errors(Knowing(0.25, 3.0))  # type: ignore[arg-type]
    object_share = 30 * 40 / (HEIGHT * (WIDTH - 12))
    expected = 3.0 * object_share + 0.25 * (1 - object_share)
    assert judge.mean(errors, "labels") == pytest.approx(expected, rel=1e-5)
    assert judge.mean(errors, MOVING) == pytest.approx(3.0, rel=1e-5)
    assert judge.mean(judge.original, "labels") == pytest.approx(0.4, rel=1e-5)
    assert set(KINDS) | {CYCLE, MOVING} == set(errors)


def test_a_flow_that_is_not_a_number_is_the_worst() -> None:
    assert chosen({"last": Knowing(float("nan"), 0.1)}).decision == "kept"
    judge = FlowJudge(Data().held_out_samples("choose"), [0, 1], Knowing(), 1, CPU)  # type: ignore[arg-type]
    broken, wild = judge.errors(Knowing(float("nan"))), judge.errors(Knowing(1e6))  # type: ignore[arg-type]
    assert judge.mean(broken, "labels") == pytest.approx(judge.mean(wild, "labels"))
    assert judge.mean(broken, CYCLE) > 15


def test_a_wild_guess_is_bounded_and_what_misses_fast_motion_is_worse_than_what_half_finds_it() -> None:
    fast = true_flow()
    fast[0] += 80.0
    judge = FlowJudge(Data(fast).held_out_samples("choose"), [0, 1], Knowing(), 1, CPU)  # type: ignore[arg-type]

    def distance(bias: float) -> float:
        return judge.mean(judge.errors(Knowing(bias, bias)), "labels")  # type: ignore[arg-type]

    assert [distance(bias) for bias in (80.0, 50.0, 40.0, 0.0)] == pytest.approx([0, 30, 40, 80], abs=1e-3)
    # 20 px more than the label's speed of about 86 px.
    assert 100 < distance(1e6) < 110


def test_labels_of_other_pairs_teach_nothing_that_is_taken() -> None:
    # Each label is right about another pair, and on average near to what the student has learnt from it.
    permuted = true_flow().flip((1, 2)) - torch.tensor([1.5, 0.0]).view(2, 1, 1)
    for bias in (-0.1, -0.5, -1.5, -3.0):
        assert chosen({"last": Knowing(bias, bias)}, Data(permuted), Knowing(0.0, 0.0)).decision == "kept"


def test_without_held_out_labels_the_original_is_kept() -> None:
    class Empty(Data):
        def held_out_samples(self, part: str, limit: int = 32) -> Any:
            found = super().held_out_samples(part, limit)
            for sample in found:
                sample["weight"] = 0 * sample["weight"]
            return found

    found = chosen({"last": Knowing(0.08, 0.08)}, Empty())
    assert found.decision == "kept"
    assert "too little" in found.reason


def test_where_nothing_moves_nothing_is_learnt() -> None:
    still = torch.zeros(2, HEIGHT, WIDTH)
    few = still.clone()
    few[0, :1, :100] = 1.0  # 100 of 96 x 116 labelled pixels: just less than one in a hundred.
    for label in (still, few):
        original = Knowing()
        student = {"last": Knowing(0.08, 0.08).state_dict()}
        found = choose(FlowPanel(original, Data(label), 1, CPU), student)  # type: ignore[arg-type]
        assert found.decision.decision == "kept"
        assert "nothing moves" in found.decision.reason
    few[0, :2] = 1.0
    assert "nothing moves" not in chosen({"last": Knowing(0.08, 0.08)}, Data(few)).reason


def test_slow_footage_allows_a_quarter_of_the_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Most of the frame moves by 6.3 px.
    monkeypatch.setattr(panel.FlowPanel, "slow", 6.0)
    assert chosen({"last": Knowing(0.08, 0.08)}).candidate == "last"
    assert "at speed" not in capsys.readouterr().out
    monkeypatch.setattr(panel.FlowPanel, "slow", 6.5)
    assert chosen({"last": Knowing(0.08, 0.08), "ema": Knowing(0.3, 0.3)}).candidate == "25% of last"
    assert "frame_steps" in capsys.readouterr().out
    # What is no better is not taken for that.
    assert chosen({"last": Knowing(0.6, 0.6)}).decision == "kept"


def test_no_more_of_the_way_than_the_panel_allows_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    student = {"last": Knowing(0.08, 0.08), "ema": Knowing(0.2, 0.2)}
    for largest, candidate in ((1.0, "last"), (0.99, "75% of last"), (0.5, "50% of last"), (0.3, "25% of last")):
        monkeypatch.setattr(panel.FlowPanel, "largest", largest)
        assert chosen(student).candidate == candidate
    # The best of the trained weights is looked for among whole ones, and of what may be taken the best is.
    monkeypatch.setattr(panel.FlowPanel, "largest", 0.5)
    assert chosen({"last": Knowing(-0.4, -0.4), "ema": Knowing(-0.35, -0.35)}).candidate == "50% of ema"
    assert chosen({"last": Knowing(-1.2, -1.2)}).candidate == "25% of last"


class Torn(Data):
    """On the half that decides, labels are off by so many pixels, on the side away from the original."""

    def __init__(self, off: float, pairs: int = 2):
        super().__init__(pairs=pairs)
        self.off = off

    def held_out_samples(self, part: str, limit: int = 32) -> Any:
        found = super().held_out_samples(part, limit)
        for sample in found if part == "decide" else ():
            sample["flow"] = sample["flow"] + self.off * torch.tensor([1.0, 0.0]).view(2, 1, 1)
        return found


def test_one_half_that_is_in_doubt_decides_alone_or_with_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    student = {"last": Knowing(0.08, 0.08)}
    # The original is 0.21 px off there, the student 0.11: hardly a gain of what is asked for.
    monkeypatch.setattr(panel.FlowPanel, "least_gain", 0.9)
    assert chosen(student, Torn(0.19)).decision == "kept"
    monkeypatch.setattr(panel.FlowPanel, "pooled", True)
    assert chosen(student, Torn(0.19)).decision == "improved"
    # Where all of it speaks against the student, so does the sum.
    assert chosen(student, Torn(0.4)).decision == "kept"
    # The sum is of no use where the half that decides speaks against it.
    monkeypatch.setattr(panel.FlowPanel, "least_gain", 0.3)
    found = chosen(student, Torn(0.34))
    assert (found.decision, found.gain is not None and found.gain.value > 0.3) == ("kept", True)
    assert "better only on the half of what is held out on which it was chosen" in found.reason


def test_the_half_that_chose_does_not_decide_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel.FlowPanel, "pooled", True)
    data = Data()
    data.parts["decide"] = []
    assert "too little" in chosen({"last": Knowing(0.08, 0.08)}, data).reason


def test_nothing_to_choose_by_keeps_the_original(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Data()
    data.parts["choose"] = []
    for pooled in (False, True):
        monkeypatch.setattr(panel.FlowPanel, "pooled", pooled)
        found = chosen({"last": Knowing(0.08, 0.08), "ema": Knowing(0.3, 0.3)}, data)
        assert found.decision == "kept"
        assert "too little" in found.reason


def test_candidates_are_compared_by_the_estimate_whose_noise_is_for_the_gate() -> None:
    # The uneven one is as bad as the original where something moves: it gains more than the even one, but less surely.
    trained = {"uneven": Knowing(0.08, 0.4), "even": Knowing(0.115, 0.115)}
    surely = {}
    for name, model in trained.items():
        found = chosen({name: model}).gain
        assert found is not None
        surely[name] = found.low
    assert surely["even"] > surely["uneven"]
    assert chosen(trained).candidate == "uneven"


def test_tracks_go_half_way_at_most_and_their_halves_decide_together() -> None:
    assert (FlowPanel.largest, TrackPanel.largest) == (1.0, 0.5)
    assert (FlowPanel.pooled, TrackPanel.pooled) == (False, True)


def test_settings() -> None:
    with pytest.raises(ConfigError, match="snapshots"):
        SelectionSettings(snapshots=-1)
    assert replace(SelectionSettings(), enabled=False).snapshots == SelectionSettings().snapshots
