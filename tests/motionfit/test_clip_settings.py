from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from refine_motion.errors import ConfigError
from refine_motion.motionfit.clip_settings import ClipSettings
from refine_motion.motionfit.flow_cache import FlowSettings
from refine_motion.motionfit.readers import FlowReader, RgbReader
from refine_motion.motionfit.timeline import Footage


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"input": "grey"}, r"clip\.input must be rgb or flow, got 'grey'"),
        ({"length": 0}, r"clip\.length must be at least 1 for rgb, got 0"),
        ({"input": "flow", "length": 1}, r"clip\.length must be at least 2 for flow, got 1"),
        ({"strides": ()}, r"clip\.strides must be different numbers from 1, got \[\]"),
        ({"strides": (2, 0)}, r"clip\.strides must be different numbers from 1, got \[2, 0\]"),
        ({"strides": (2, 2)}, r"clip\.strides must be different numbers from 1, got \[2, 2\]"),
    ],
)
def test_what_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        ClipSettings(**values)


def test_what_reads_them(tmp_path: Path) -> None:
    footage, flow = Footage((60, 64), 8.0), FlowSettings(iters=3)
    rgb = ClipSettings("rgb", footage, 1)
    reader = rgb.reader(tmp_path)
    assert isinstance(reader, RgbReader)
    assert (rgb.channels, reader.channels, reader.footage) == (3, 3, footage)
    of_flow = ClipSettings("flow", footage, 2, flow=flow)
    reader = of_flow.reader(tmp_path)
    assert isinstance(reader, FlowReader)
    assert (of_flow.channels, reader.channels, reader.footage) == (2, 2, footage)
    assert (reader.cache.root, reader.cache.settings, reader.cache.footage) == (tmp_path, flow, footage)
