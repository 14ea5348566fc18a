from __future__ import annotations

from pathlib import Path

import yaml

from refine_motion.labels.track_recipe import TRACK_VIEWS, track_filters


def test_it_is_that_of_the_preset() -> None:
    preset = yaml.safe_load((Path(__file__).parents[2] / "configs/refine/tracks.yaml").read_text())
    assert list(TRACK_VIEWS) == preset["label"]["views"]
    filters, wanted = track_filters(), preset["data"]["filters"]
    assert list(filters) == list(wanted)
    for name, rule in wanted.items():
        values = {key: list(v) if isinstance(v, tuple) else v for key, v in vars(filters[name]).items()}
        assert type(filters[name]).__name__ == rule["class_path"]
        assert rule["init_args"].items() <= values.items()
