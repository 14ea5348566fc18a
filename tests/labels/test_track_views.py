from __future__ import annotations

import pytest

from refine_motion.errors import ConfigError
from refine_motion.labels.track_views import TrackView, parse_track_view
from refine_motion.labels.views import View


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("2x flip", TrackView(View(2.0, True), 6)),
        ("1.5x 12 iters", TrackView(View(1.5), 12)),
        ("1x flip 3 iters", TrackView(View(1.0, True), 3)),
        ("1x reversed", TrackView(View(), 6, reversed=True)),
        ("1x 4 frames", TrackView(View(), 6, 4)),
        ("1.5x flip reversed 4 frames 3 iters", TrackView(View(1.5, True), 3, 4, True)),
    ],
)
def test_texts(text: str, view: TrackView) -> None:
    assert parse_track_view(text, 6) == view


@pytest.mark.parametrize(
    "text",
    [
        "reversed",
        "1x reversed flip",
        "1x 3 iters 4 frames",
        "1x 1 frames",
        "1x 0 frames",
        "1x 0 iters",
        "1x\n",
        "linked",
        "",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^no view [^\n]+$"):
        parse_track_view(text, 6)
