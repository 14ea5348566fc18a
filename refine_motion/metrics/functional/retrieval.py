"""Videos found by the features of their clips, as facebookresearch/selavi scores them (Asano et al., NeurIPS 2020,
arXiv 2006.13662); pure functions.

Each test video is a query, the train videos are the gallery, and a video is found at k when any of its k nearest
neighbours in the gallery has its class. SeLaVi takes ten clips a video and, as the features of a clip, its last stage
max-pooled by 2 and flattened; any features will do here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

KS = (1, 5, 10, 20, 50)
# The place of what is not there: beyond every k.
NEVER = torch.iinfo(torch.int64).max
# Queries whose distances are in memory together: 40 MB for each 10,000 videos.
_AT_ONCE = 512


def video_features(clips: Tensor) -> Tensor:
    """Features of videos: those of each clip scaled to length 1, and their mean, which is not scaled again.

    Args:
        clips: ``(..., N, D)`` features of N clips a video.

    Returns:
        ``(..., D)``, of length 1 at most.

    >>> video_features(torch.tensor([[3.0, 0.0], [0.0, 0.5]]))
    tensor([0.5000, 0.5000])
    """
    return F.normalize(clips, dim=-1).mean(dim=-2)


def first_hits(
    query: Tensor, query_labels: Tensor, gallery: Tensor, gallery_labels: Tensor, same: Tensor | None = None
) -> Tensor:
    """The place, from 1, of the nearest video of the right class among a query's neighbours.

    Neighbours are ordered by Euclidean distance, in double precision; of equally near ones the first in the gallery
    comes first.

    Args:
        query: ``(Q, D)`` features.
        query_labels: ``(Q,)`` int64 classes.
        gallery: ``(G, D)`` features.
        gallery_labels: ``(G,)`` int64.
        same: ``(Q, G)`` bool, what is the query itself and so is no neighbour of it; nothing when ``None``.

    Returns:
        ``(Q,)`` int64; :data:`NEVER` where the class is not in the gallery, or features are not a number.

    Raises:
        ValueError: the shapes do not fit together.

    >>> gallery, labels = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([0, 1, 0])
    >>> first_hits(torch.tensor([[0.9], [-1.0], [5.0]]), torch.tensor([0, 1, 0]), gallery, labels)
    tensor([2, 2, 1])
    """
    if query.ndim != 2 or query.shape[1:] != gallery.shape[1:] or len(gallery) != len(gallery_labels):
        raise ValueError(
            f"features must be (Q, D) and (G, D) with a label each; got {tuple(query.shape)}, {tuple(gallery.shape)} "
            f"and {len(gallery_labels)} labels"
        )
    if not len(gallery):
        return torch.full_like(query_labels, NEVER)
    found = []
    for start in range(0, len(query), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        away = torch.cdist(query[part].double(), gallery.double(), compute_mode="donot_use_mm_for_euclid_dist")
        # Features that are not a number are as far as can be: else they would be nearest of all.
        away = away.nan_to_num(nan=torch.inf, posinf=torch.inf)
        if same is not None:
            away = away.masked_fill(same[part], torch.inf)
        right = query_labels[part, None] == gallery_labels
        hit_away, hit = away.masked_fill(~right, torch.inf).min(dim=1, keepdim=True)
        numbers = torch.arange(len(gallery), device=away.device)
        # Those before the hit: nearer, or as near and earlier in the gallery.
        before = (away < hit_away) | ((away == hit_away) & (numbers < hit))
        place = 1 + before.sum(dim=1)
        found.append(torch.where(hit_away[:, 0].isinf(), NEVER, place))
    return torch.cat(found) if found else query_labels.new_empty(0)


def recall_at(places: Tensor, ks: Sequence[int] = KS) -> Tensor:
    """R@k, the share of the queries that are found at k.

    Args:
        places: ``(Q,)`` as of :func:`first_hits`.
        ks: values of k, from 1.

    Returns:
        ``(len(ks),)`` float64 per cent; not a number where there is no query.

    >>> recall_at(torch.tensor([1, 3, 6, 2]), (1, 2, 5)).tolist()
    [25.0, 50.0, 75.0]
    """
    return 100 * (places[:, None] <= torch.tensor(ks, device=places.device)).double().mean(dim=0)
