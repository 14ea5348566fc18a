"""A small label store over procedural clips without a network: to look at, to try filters on, to test with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.opened import note_videos
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.motion.cycle import PAPER_ALPHA, PAPER_BETA, cycle_threshold, flow_evidence
from refine_motion.video.index import build_index
from refine_motion.video.reader import read_frames

CEILING = 4.0
# A network's flow comes from an eighth of the resolution.
_STRIDE = 8


def write_labelled_clips(
    folder: str | Path,
    seeds: Sequence[int] = (3, 5),
    frames: int = 9,
    size: tuple[int, int] = (144, 192),
    max_speed: float = 48.0,
) -> Path:
    """Write ``clips/``, and ``index/`` and ``labels/`` as stage 1 leaves them, into a folder.

    The teacher is made up: the true flow, at full resolution, with the two errors that are typical of networks. It is
    smeared across the borders of objects, and a smooth random field is added (standard deviation 0.02 px and 0.8 % of
    the speed), drawn anew for each direction. Evidence is measured as of any other flow.

    Args:
        folder: made where it does not exist.
        seeds: one clip each.
        frames: of each clip.
        size: height and width in pixels, both even.
        max_speed: no point moves farther from one frame to the next, in pixels.

    Returns:
        The folder; :func:`refine_motion.labels.opened.open_labels` opens it.

    Raises:
        ConfigError: the size is odd or there are less than two frames.
    """
    folder = Path(folder)
    # No noise: the colour rule of the paper expects clean video.
    paths = {write_clip(folder / "clips", s, frames, size, max_speed, 1, clean=True): s for s in seeds}
    index = build_index(list(paths), cache_dir=folder / "index", progress=False)
    store = LabelStore(folder / "labels", "true_flow_with_errors", {"model": "true flow", "ceiling": CEILING})
    for info in index.videos:
        scene = random_scene(paths[info.path], size, max_speed, frames)
        pictures = read_frames(info, range(frames))
        for t in range(frames - 1):
            forward, backward = (
                _as_of_a_network(scene.flow(i, j)[0][None], paths[info.path], i, j) for i, j in ((t, t + 1), (t + 1, t))
            )
            label = _label(forward, backward, pictures[t : t + 1], pictures[t + 1 : t + 2])
            store.write(PairKey(info.key, t, t + 1), label)
    store.write_manifest()
    note_videos(store.root, folder / "index", index.videos)
    return folder


def _as_of_a_network(flow: Tensor, seed: int, i: int, j: int) -> Tensor:
    height, width = flow.shape[-2:]
    smooth = F.interpolate(F.avg_pool2d(flow, _STRIDE // 2), (height, width), mode="bilinear", align_corners=False)
    coarse = torch.randn(1, 2, height // _STRIDE, width // _STRIDE, generator=generator(2, seed, i, j))
    error = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    return smooth + error * (0.02 + 0.008 * flow.norm(dim=1, keepdim=True))


def _label(forward: Tensor, backward: Tensor, a: Tensor, b: Tensor) -> FlowLabel:
    evidence, inside = flow_evidence(forward, backward, a, b)
    ceiling = CEILING * cycle_threshold(evidence.speed, evidence.backward_speed, PAPER_ALPHA, PAPER_BETA)
    keep = (evidence.cycle_error <= ceiling) & inside
    index = keep.flatten().nonzero().flatten()
    return FlowLabel((forward.shape[2], forward.shape[3]), index, forward[0].flatten(1).T[index], evidence[keep])
