from __future__ import annotations

from pathlib import Path

import pytest
import torch

from refine_motion.benchmarks.flow_evaluation import evaluate_flow
from refine_motion.benchmarks.pairs import find_pairs, read_pair
from refine_motion.benchmarks.synthetic.truth import TRUTH, read_truth
from refine_motion.demo.job import DemoResult
from refine_motion.labels.codec import FlowLabel
from refine_motion.models.load import load_model
from refine_motion.motion.grid import length


def test_stages_are_told_and_timed_in_order(result: DemoResult, said: list[tuple[str, str]]) -> None:
    assert [title for title, _ in said] == ["Render", "Label", "Refine", "Judge"] == list(result.seconds)
    assert all(sentence.endswith(".") for _, sentence in said)
    assert all(seconds > 0 for seconds in result.seconds.values())


def test_training_sees_videos_alone(result: DemoResult) -> None:
    learnt = [path for path in result.folder.videos.parent.rglob("*") if path.is_file()]
    assert [path.name for path in sorted(learnt)] == ["fog_1300.mp4", "fog_1301.mp4"]
    labelled = {path.stem for path in result.folder.videos.iterdir()}
    held_out = {pair.sequence for pair in find_pairs(result.folder.truth)}
    assert held_out == {"fog_500300", "fog_500301"}
    assert not labelled & held_out
    assert read_truth(result.folder.truth / "fog_500300" / TRUTH).starts.shape == (2,)


def test_table_compares_the_given_weights_with_the_refined_ones(result: DemoResult, untrained: Path) -> None:
    assert result.before == untrained
    again = evaluate_flow(load_model(None, untrained), result.folder.truth, iters=2, progress=False)
    before, after = result.epe
    assert before == pytest.approx(again.mean.epe, rel=1e-5)
    assert result.change == pytest.approx(after / before - 1)
    refined = load_model(None, result.refined.weights)
    errors = []
    for pair in find_pairs(result.folder.truth):
        a, b, truth, _ = read_pair(pair)
        errors.append(length(refined.flow(a[None], b[None], 2) - truth[None]).mean().item())
    assert after == pytest.approx(sum(errors) / len(errors), rel=1e-4)
    speeds = [length(read_pair(pair)[2][None]).mean().item() for pair in find_pairs(result.folder.truth)]
    assert result.zero == pytest.approx(sum(speeds) / len(speeds), rel=1e-5)


def test_label_error_is_that_of_the_kept_labels(result: DemoResult, monkeypatch: pytest.MonkeyPatch) -> None:
    from refine_motion.benchmarks.synthetic.worlds import random_scene
    from refine_motion.demo.job import FILTERS
    from refine_motion.demo.labels import label_quality

    assert 0 < result.labels.kept_share <= 1
    assert result.labels.error > 0

    # Labels that are the truth, half a pixel off along x, must be found to be so.
    scenes = [random_scene(seed, result.plan.size, None, 5, "fog") for seed in result.plan.learnt_seeds]
    truths = iter(
        [scene.flow(t, t + 1)[0] + torch.tensor([0.5, 0.0]).view(2, 1, 1) for scene in scenes for t in (0, 2, 3)]
    )

    class Shifted:
        def read(self, key: object) -> FlowLabel:
            stored = original(key)  # type: ignore[arg-type]
            flow = next(truths)
            return FlowLabel(stored.size, stored.index, flow.flatten(1).T[stored.index], stored.evidence)

    original = result.refined.store.read
    quality = label_quality(result.plan, result.folder.videos, Shifted(), FILTERS)  # type: ignore[arg-type]
    assert quality.error == pytest.approx(0.5, abs=1e-5)
    assert quality.kept_share == pytest.approx(result.labels.kept_share)
