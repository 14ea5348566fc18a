"""Labels of one pair under different threads and correlation: the same but for rounding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from refine_motion.labels.codec import encode
from refine_motion.labels.teacher import FlowTeacher, LabelSettings
from refine_motion.models.load import load_model
from refine_motion.models.options import MatchOptions
from refine_motion.video.index import build_index
from refine_motion.video.reader import read_frames


def label(weights: Path, frames: torch.Tensor, threads: int, correlation: str) -> tuple[torch.Tensor, ...]:
    model = load_model("raft_small", weights)
    model.options = MatchOptions(correlation=correlation)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        (made,) = FlowTeacher(model, LabelSettings(iters=12)).label(frames, [(0, 1)], [0])
    finally:
        torch.set_num_threads(before)
    tensors, _ = encode(made)
    # The eighth bit is whether a motion boundary is near.
    return made.index, tensors["flow"].int(), tensors["cycle"].int() & 127, tensors["cycle"].int() >> 7


@pytest.mark.parametrize(("threads", "correlation"), [(2, "all_pairs"), (1, "on_demand")])
def test_at_most_one_quantum_on_a_thousandth_of_the_values(
    real_data: Path, tmp_path: Path, threads: int, correlation: str
) -> None:
    (video,) = build_index(str(real_data / "videos" / "bag.avi"), cache_dir=tmp_path, progress=False).videos
    frames = read_frames(video, [60, 61])[:, :, 100:292, 100:356]
    weights = real_data / "weights" / "raft-small.pth"
    index, *values = label(weights, frames, 1, "all_pairs")
    other_index, *other_values = label(weights, frames, threads, correlation)
    assert len(index) > 10_000
    common = torch.isin(index, other_index)
    # A pixel at the very ceiling may be stored by one and not by the other.
    assert (~common).sum() + (~torch.isin(other_index, index)).sum() <= 0.001 * len(index)
    other_common = torch.isin(other_index, index)
    for one, two in zip(values, other_values, strict=True):
        difference = (one[common] - two[other_common]).abs()
        assert difference.max() <= 1
        assert (difference > 0).float().mean() <= 0.001
