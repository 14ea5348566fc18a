"""The weights that come with the package carry masks on made scenes that they were not trained on."""

from __future__ import annotations

from statistics import mean

import torch

from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.models.load import load_model
from refine_motion.models.registry import build_model
from refine_motion.motion.propagate import Matcher
from refine_motion.propagation.identity import IdentityMatcher
from refine_motion.propagation.matchers import matcher_for
from refine_motion.propagation.predictors import MaskPropagation

_SIZE, _FRAMES = (128, 160), 6


def overlap(matcher: Matcher) -> float:
    """Mean J of all objects together in the last frame of three scenes."""
    found = []
    for seed in (820_000, 820_001, 820_002):
        scene = random_scene(seed, _SIZE, 16.0, _FRAMES, "source")
        frames = [scene.render(t) for t in range(_FRAMES)]
        *_, last = MaskPropagation(matcher)(scene.masks(0), frames)
        truth, objects = scene.masks(_FRAMES - 1) > 0, last > 0
        found.append(((truth & objects).sum() / (truth | objects).sum()).item())
    return mean(found)


def test_better_than_no_motion_and_than_no_training() -> None:
    torch.manual_seed(0)
    untrained = overlap(matcher_for(build_model("corrflow_small").eval()))
    still, found = overlap(IdentityMatcher()), overlap(matcher_for(load_model(None, "embedded_corrflow")))
    assert found > still + 0.1
    assert found > untrained + 0.1
