from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.viz.axes import linear_axis, log_axis, number
from refine_motion.viz.curves import Curves, spread

# Torch flushes denormal numbers in these tests.
FINITE = st.floats(-1e9, 1e9, allow_subnormal=False).filter(lambda value: value == 0 or abs(value) > 1e-6)


def drawn(curves: Curves, series: int = 0) -> list[list[tuple[float, float]]]:
    """Pieces of a line in the wide chart."""
    wide, _ = curves.html().split('<div class="for-phone">')
    path = re.findall(rf'<g class="series-{series}"><path d="([^"]*)"/>', wide)[-1]
    pieces = [piece for piece in path.split("M") if piece]
    return [[tuple(map(float, point.split())) for point in piece.split("L")] for piece in pieces]


class TestAxes:
    @given(st.lists(FINITE, min_size=1, max_size=5), st.integers(3, 9))
    def test_linear_ticks_are_round_and_few_and_hold_the_values(self, values: list[float], most: int):
        axis = linear_axis(values, most, to_ticks=True)
        assert all(-1e-9 <= axis.place(value) <= 1 + 1e-9 for value in values)
        assert 2 <= len(axis.ticks) <= most + 2
        assert all(-1e-6 <= axis.place(tick) <= 1 + 1e-6 for tick in axis.ticks)
        step = (axis.ticks[-1] - axis.ticks[0]) / (len(axis.ticks) - 1)
        digit = step / 10 ** math.floor(math.log10(step) + 1e-9)
        assert min(abs(digit - round_one) for round_one in (1, 2, 5)) < 1e-3

    @given(st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=5))
    def test_logarithmic_ticks_hold_the_values(self, values: list[float]):
        axis = log_axis(values)
        assert axis.low <= min(values) <= max(values) <= axis.high
        assert 1 <= len(axis.ticks) <= 8
        assert all(0 <= axis.place(tick) <= 1 for tick in axis.ticks)

    def test_axis_starts_at_zero_where_the_values_come_near(self):
        assert linear_axis([0.2, 0.9], 5, to_ticks=True).low == 0
        assert linear_axis([0.8, 0.9], 5, to_ticks=True).low == pytest.approx(0.8)

    def test_horizontal_axis_ends_with_the_values(self):
        axis = linear_axis([0, 2380], 6, to_ticks=False)
        assert (axis.low, axis.high, axis.ticks) == (0, 2380, (0, 500, 1000, 1500, 2000))

    def test_labels_have_as_many_decimals_each(self):
        assert linear_axis([0.45, 0.61], 5, to_ticks=True).labels == ["0.45", "0.50", "0.55", "0.60", "0.65"]
        assert linear_axis([-2000, 4000], 4, to_ticks=True).labels == ["−2\u202f000", "0", "2\u202f000", "4\u202f000"]

    def test_numbers_are_short(self):
        assert [number(value) for value in (0, 0.25, 9999.6, 3e7, 1e-5)] == [
            "0",
            "0.25",
            "10\u202f000",
            "3e7",
            "1e−5",
        ]


class TestCurves:
    def test_points_stand_where_their_values_are(self):
        ((left, bottom), (middle, centre), (right, top)) = drawn(Curves({"a": [(0, 0), (5, 1), (10, 2)]}, "x", "y"))[0]
        assert middle == pytest.approx((left + right) / 2, abs=0.1)
        assert centre == pytest.approx((bottom + top) / 2, abs=0.1)
        assert bottom > top

    def test_logarithmic_axis_makes_ratios_equal_lengths(self):
        curves = Curves({"a": [(0, 0.01), (1, 0.1), (2, 1.0)]}, "x", "y", log_y=True)
        (_, bottom), (_, centre), (_, top) = drawn(curves)[0]
        assert bottom - centre == pytest.approx(centre - top, abs=0.11)

    def test_lines_break_where_there_is_no_value(self):
        points = [(0, 1.0), (1, 2.0), (2, math.nan), (3, 2.0), (4, 0.0)]
        assert [len(piece) for piece in drawn(Curves({"a": points}, "x", "y"))] == [2, 2]
        assert [len(piece) for piece in drawn(Curves({"a": points}, "x", "y", log_y=True))] == [2, 1]

    def test_series_without_a_value_does_not_stop_the_others(self):
        html = Curves({"a": [(0, 1.0)], "b": [(0, math.nan)]}, "x", "y").html()
        assert "a from 1 to 1." in html

    def test_short_names_stand_at_their_lines_and_long_ones_in_a_legend(self):
        points = [(0, 1.0), (1, 2.0)]
        assert "series-names" not in Curves({"a": points}, "x", "y").html()
        html = Curves({"a name that needs much more room": points}, "x", "y").html()
        assert html.count("series-names") == 2

    def test_words_are_escaped(self):
        html = Curves({"<a>": [(0, 1.0)]}, "<x>", '"y"', "<c>").html()
        assert not re.search("<[axc]>", html)

    def test_many_points_have_no_marks(self):
        assert "<circle" not in Curves({"a": [(x, 1.0) for x in range(100)]}, "x", "y").html()

    @pytest.mark.parametrize("series", [{}, {str(i): [(0, 1.0)] for i in range(7)}])
    def test_refuses_too_few_and_too_many_series(self, series: dict[str, list[tuple[float, float]]]):
        with pytest.raises(ValueError, match="1 to 6 series"):
            Curves(series, "x", "y")

    def test_refuses_series_without_a_point(self):
        with pytest.raises(ValueError, match="no point"):
            Curves({"a": [(0, -1.0)]}, "x", "y", log_y=True)


@given(st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1, max_size=6))
def test_spread_names_do_not_overlap(places: list[float]) -> None:
    found = spread(sorted(places), 15, 0, 100)
    assert all(b - a >= 15 - 1e-9 for a, b in pairwise(found))
    assert found[0] >= 0
    assert found[-1] <= 100
