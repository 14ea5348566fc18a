"""A track model on a video of a benchmark."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import torch
from torch import Tensor

from refine_motion.benchmarks.pictures import scaled
from refine_motion.benchmarks.tracks.video import TrackVideo
from refine_motion.errors import BenchmarkError
from refine_motion.models.track_base import TrackModel
from refine_motion.types import Tracks


def follow(model: TrackModel, video: TrackVideo) -> Tracks:
    """Follow the queries of a video.

    The model sees the frames as the benchmark serves them; what it says is scaled to the size that is scored. A query
    on the outer half of a pixel at the edge, or beyond, is moved to the nearest pixel, for the model alone. Where the
    frames before a query count, the model follows the point through the reversed video as well, and the two ways are
    joined at the query.

    Args:
        model: in eval mode.
        video: with one query at least.

    Returns:
        ``(T, M)``, a track for each query, in pixels of ``video.size``; not a number before a query, unless followed
        both ways.

    Raises:
        BenchmarkError: the frames are too small for the model, or there are not as many as the truth has.
    """
    if not video.backward:
        return _one_way(model, video, video.frames(), video.queries)
    frames = list(video.frames())
    tracks = _one_way(model, video, frames, video.queries)
    asked = video.queries[:, 0]
    late = torch.nonzero(asked > 0)[:, 0]
    if not len(late):
        return tracks
    queries = video.queries[late].clone()
    queries[:, 0] = len(frames) - 1 - queries[:, 0]
    back = _one_way(model, video, frames[::-1], queries)
    before = torch.arange(len(frames))[:, None] < asked[late]
    xy, visible = tracks.xy.clone(), tracks.visible.clone()
    xy[:, late] = torch.where(before[..., None], back.xy.flip(0), xy[:, late])
    visible[:, late] = torch.where(before, back.visible.flip(0), visible[:, late])
    return Tracks(xy, visible)


def stand_still(video: TrackVideo) -> Tracks:
    """What any tracker has to beat: every point stays where it was given, and is seen."""
    shape = (len(video.xy), len(video.queries))
    return Tracks(video.queries[:, 1:].expand(*shape, 2), torch.ones(shape, dtype=torch.bool))


def _one_way(model: TrackModel, video: TrackVideo, frames: Iterable[Tensor], queries: Tensor) -> Tracks:
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise BenchmarkError(f"{video.name}: has no frames; get its video again")
    height, width = first.shape[-2:]
    if min(height, width) < model.min_side:
        raise BenchmarkError(
            f"{video.name}: {width} x {height} pixels, and {model.name} needs at least {model.min_side} on each side; "
            "use larger frames"
        )
    xy = scaled(queries[:, 1:], video.size, (height, width))
    xy = torch.minimum(xy.clamp(min=0), torch.tensor([width - 1.0, height - 1.0]))
    tracks = model.follow(chain([first], stream), torch.cat((queries[:, :1], xy), dim=1), confidence=False)
    if len(tracks.xy) != len(video.xy):
        raise BenchmarkError(
            f"{video.name}: {len(tracks.xy)} frames, but its labels are of {len(video.xy)}; get both from one release"
        )
    return Tracks(scaled(tracks.xy, (height, width), video.size), tracks.visible)
