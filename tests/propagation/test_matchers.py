from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from refine_motion.errors import ConfigError
from refine_motion.models.base import MotionModel
from refine_motion.models.linked_flow import LinkedFlow
from refine_motion.models.registry import build_model
from refine_motion.models.weights import save_weights
from refine_motion.motion.propagate import propagate
from refine_motion.propagation.embedding import EmbeddingMatcher
from refine_motion.propagation.flow import FlowMatcher
from refine_motion.propagation.identity import IdentityMatcher
from refine_motion.propagation.matchers import load_matcher, matcher_for
from refine_motion.propagation.settings import PropagationSettings
from refine_motion.propagation.tracks import TrackMatcher
from tests.propagation.made import Drifting, Pixels, Steady, disc, numbered


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Pixels(), EmbeddingMatcher),
        (Steady(0, 0), FlowMatcher),
        (Drifting(0, 0), TrackMatcher),
        (LinkedFlow(Steady(0, 0)), TrackMatcher),
    ],
)
def test_by_kind(model: MotionModel, expected: type) -> None:
    assert type(matcher_for(model)) is expected


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (Pixels(), {"iters": 3}, "iters 3: 'pixels' is an encoder whose features are compared, which has no such"),
        (Steady(0, 0), {"radius": 3}, "radius 3: 'steady' is a model of optical flow, which has no such setting"),
        (Steady(0, 0), {"soft": False}, "soft False: 'steady' is a model of optical flow"),
        (Drifting(0, 0), {"compat": "official"}, "compat official: 'drifting' is a model of tracks"),
    ],
)
def test_settings_without_a_part_are_refused(model: MotionModel, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        matcher_for(model, PropagationSettings(**settings))


def test_settings_with_a_part() -> None:
    matcher_for(Pixels(), PropagationSettings(radius=3, top_k=5, soft=False, compat="official", inputs="lab"))
    matcher_for(Steady(0, 0), PropagationSettings(iters=3))
    matcher_for(Drifting(0, 0), PropagationSettings(spacing=3, neighbours=1))


def test_other_models() -> None:
    class Other(MotionModel):
        name, stride, min_side = "other", 1, 1

    other = Other()
    other.nothing = nn.Parameter(torch.zeros(1))
    with pytest.raises(ConfigError, match="'other' carries no labels"):
        matcher_for(other)


def test_the_baseline_keeps_what_is_given() -> None:
    for labels in (disc(40, 60, 20, 20, 9), torch.tensor([[3.0, 4.0]])):
        found = list(propagate(IdentityMatcher(), labels, numbered(3, 40, 60)))
        assert len(found) == 3
        assert all(torch.equal(each, labels) for each in found)


@pytest.mark.parametrize(
    ("trained", "settings", "message"),
    [
        ({"bottleneck": {"inputs": "grey"}}, {}, "trained on grey input, and rgb is asked for; set inputs to grey"),
        ({"attention": {"compat": {"scaled": False}}}, {}, "similarities that are not scaled; set compat to official"),
        (
            {"attention": {"compat": {"scaled": True}}},
            {"compat": "official"},
            "similarities that are scaled; set compat to fixed",
        ),
    ],
)
def test_what_the_weights_were_not_trained_for_is_refused(
    tmp_path: Path, trained: dict[str, object], settings: dict[str, object], message: str
) -> None:
    file = save_weights(build_model("corrflow_small"), tmp_path / "mine.safetensors", {"settings": trained})
    with pytest.raises(ConfigError, match=message):
        load_matcher(None, file, PropagationSettings(**settings))


def test_what_the_weights_were_trained_for_is_taken(tmp_path: Path) -> None:
    facts = {"settings": {"bottleneck": {"inputs": "lab"}, "attention": {"compat": {"scaled": False}}}}
    file = save_weights(build_model("corrflow_small"), tmp_path / "mine.safetensors", facts)
    matcher = load_matcher(None, file, PropagationSettings(inputs="lab", compat="official"))
    assert isinstance(matcher, EmbeddingMatcher)
    assert not matcher.model.training
    # Files that tell nothing of a training are taken as they are asked for.
    silent = save_weights(build_model("corrflow_small"), tmp_path / "silent.safetensors")
    load_matcher("corrflow_small", silent, PropagationSettings(inputs="grey", compat="official"))
