from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from refine_motion.labels.codec import COLOUR, CYCLE, EMBEDDING, GRADIENT, FlowLabel
from refine_motion.labels.select import ColourRule, CycleRule, EmbeddingRule, MinSpeed
from refine_motion.labels.yields import YieldCurve, yield_curve
from refine_motion.viz.evidence import draw_evidence, draw_yield
from tests.labels.made import moving_right


def label_of(count: int = 4000) -> FlowLabel:
    """Entries whose every evidence is spread evenly over what a store tells apart."""
    source = torch.Generator().manual_seed(0)

    def draw(low: float, high: float) -> torch.Tensor:
        return 2 ** (low + (high - low) * torch.rand(count, generator=source))

    speed = draw(-3, 6)
    cycle = CYCLE.decode(CYCLE.encode(draw(-8, 0)))
    colour = COLOUR.decode(torch.randint(0, 29, (count,), generator=source))
    gradient = GRADIENT.decode(torch.randint(0, 7, (count,), generator=source))
    return moving_right(speed, size=(50, 80), cycle_error=cycle, colour_error=colour, gradient=gradient)


def test_histograms_count_every_stored_pixel_once_and_stack_the_verdicts() -> None:
    label, rules = label_of(), [CycleRule(), ColourRule()]
    figure = draw_evidence([label, label], rules)
    kept = (label.evidence.cycle_error <= 0.004 * label.evidence.speed + 0.1) & (label.evidence.colour_error < 1.275)
    for axes in figure.axes:
        lower, upper = (patch.get_data() for patch in axes.patches)
        assert lower.values.sum() == pytest.approx(100 * kept.float().mean().item(), rel=1e-5)
        assert upper.values.sum() == pytest.approx(100)
        assert (upper.baseline == lower.values).all()
    assert [len(axes.lines) for axes in figure.axes] == [1, 1, 0, 0]
    assert [axes.lines[0].get_xdata()[0] for axes in figure.axes[:2]] == pytest.approx([1.0, 1.275])


def test_rounding_of_stored_evidence_does_not_show_as_a_comb() -> None:
    figure = draw_evidence([label_of(40000)], [])
    for axes, inner in ((figure.axes[1], slice(3, 20)), (figure.axes[3], slice(1, 5))):
        values = axes.patches[1].get_data().values[inner]
        assert values.max() < 1.2 * values.min()


def test_thresholds_are_marked_only_where_a_rule_has_one() -> None:
    figure = draw_evidence([label_of()], [MinSpeed(2.0)])
    assert [len(axes.lines) for axes in figure.axes] == [0, 0, 1, 0]
    assert draw_evidence([], [])._repr_png_()


def test_yield_shows_share_and_balance() -> None:
    curve: YieldCurve = yield_curve([label_of()], [])
    left, right = draw_yield(curve, [CycleRule()]).axes
    assert left.lines[0].get_ydata() == pytest.approx(100 * curve.shares.sum(dim=1).numpy())
    assert left.lines[1].get_xdata()[0] == 1
    assert len(right.collections) == 6
    assert [text.get_text() for text in right.get_legend().get_texts()][::5] == ["over 40 px", "0 to 1 px"]
    assert left.get_xlim() == right.get_xlim() == pytest.approx((0.25, 4.0))


def test_the_embeddings_opinion_is_drawn_where_labels_have_one() -> None:
    errors = EMBEDDING.decode(torch.randint(0, 16, (4000,), generator=torch.Generator().manual_seed(0)))
    label = label_of()
    told = replace(label, evidence=replace(label.evidence, embedding_error=errors))
    figure = draw_evidence([told], [EmbeddingRule(6.0)])
    assert len(figure.axes) == 5
    lower, upper = (patch.get_data() for patch in figure.axes[4].patches)
    assert lower.values.sum() == pytest.approx(100 * (errors <= 6).float().mean().item(), rel=1e-5)
    assert upper.values.sum() == pytest.approx(100)
    assert figure.axes[4].lines[0].get_xdata()[0] == 6
    assert len(draw_evidence([label], []).axes) == 4
